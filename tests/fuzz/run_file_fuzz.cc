// Run files: any bytes, as YAML and as INI, give settings or an Error that names the file.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "apps/run/recipe_settings.h"
#include "apps/run/run_file.h"
#include "apps/run/sdk_settings.h"
#include "base/error.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, std::size_t size) {
  using gossamer::apps::RunFile;
  const std::string text(reinterpret_cast<const char*>(data), size);
  const auto names_the_file = [](const std::exception& error) {
    if (std::string_view(error.what()).find("file:") == std::string_view::npos) std::abort();
  };
  try {
    RunFile file = RunFile::from_yaml("file", text);
    read_recipe(file);
  } catch (const gossamer::Error& error) {
    names_the_file(error);
  }
  try {
    RunFile file = RunFile::from_ini("file", text);
    read_sdk(file);
  } catch (const gossamer::Error& error) {
    names_the_file(error);
  }
  return 0;
}
