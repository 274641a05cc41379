// Any bytes as config.json: an Error, or a model that can declare its parameters.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/error.h"
#include "base/json.h"
#include "checkpoint/config_reader.h"
#include "checkpoint/gpt_oss_original.h"
#include "model/registry.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, std::size_t size) {
  using namespace gossamer;
  try {
    const std::string_view text(reinterpret_cast<const char*>(data), size);
    json::value value = parse_json(text, "config.json");
    if (!value.is_object()) return 0;
    ConfigReader config(std::move(value.get_object()), "config.json");
    (void)config.get_ids({"eos_token_id"});
    if (is_gpt_oss_original(config)) {
      config = ConfigReader(convert_gpt_oss_original_config(config), config.where());
    }
    (void)create_model(config)->declare_params();
  } catch (const Error&) {
  }
  return 0;
}
