#include "model/registry.h"

#include <array>
#include <string>
#include <utility>

#include "base/error.h"
#include "model/architectures.h"

namespace gossamer {
namespace {

constexpr std::array kArchitectures = {
    std::pair{"gpt2", &create_gpt2},
    std::pair{"gpt_neox", &create_gpt_neox},
    std::pair{"gpt_oss", &create_gpt_oss},
};

}  // namespace

std::unique_ptr<Model> create_model(const ConfigReader& config) {
  const std::string type = config.get_string({"model_type"});
  for (const auto& [name, create] : kArchitectures) {
    if (type == name) return create(config);
  }
  config.fail({"model_type"}, "one of gpt2, gpt_neox, gpt_oss");
}

GeluKind read_gelu(const ConfigReader& config, Keys keys, std::string_view default_name) {
  const std::string name = config.get_string(keys, default_name);
  if (name == "gelu") return GeluKind::kErf;
  if (name == "gelu_new" || name == "gelu_fast" || name == "gelu_pytorch_tanh") return GeluKind::kTanh;
  config.fail(keys, "one of gelu, gelu_new, gelu_fast, gelu_pytorch_tanh");
}

}  // namespace gossamer
