#include "apps/run/sdk_settings.h"

#include <algorithm>
#include <optional>
#include <string_view>

#include "base/error.h"
#include "base/json.h"

namespace gossamer::apps {
namespace {

constexpr int64_t kMost = int64_t{1} << 24;  // tokens, sequences

std::optional<int64_t> positive(const json::value& value) {
  if (!value.is_int64() || value.get_int64() < 1 || value.get_int64() > kMost) return std::nullopt;
  return value.get_int64();
}

// A list as Python writes it, which is how JSON writes it too.
std::optional<json::array> parse_list(const std::string& text) {
  boost::system::error_code error;
  const json::value value = json::parse(text, error);
  if (error || !value.is_array() || value.get_array().empty()) return std::nullopt;
  return value.get_array();
}

void read_model(RunFile& file, SdkSettings& settings) {
  settings.model_path = file.take_text("model.model_path").value_or("");
  settings.log_dir = file.take_text("model.log_dir").value_or(".");
  settings.bind_cpu = file.take_flag("model.bind_cpu").value_or(true);
  const std::string devices = file.either("model.device_ids", "model.device_id");
  if (const auto ids = file.take_text(devices)) {
    const auto count = 1 + std::count(ids->begin(), ids->end(), ',');
    if (count > 1) refuse_devices(file.where(devices), count);
    file.note(devices, "there is one device, the processor");
  }
  file.ignore("model.parallel_backend", "there is one device, which talks to no other");
}

void read_precision(RunFile& file, SdkSettings::Precision& precision) {
  const char* kMode = "precision.mode";
  const std::string mode = file.take_choice(kMode, {"ceval", "mmlu", "boolq"}).value_or("ceval");
  if (mode == "mmlu") throw Error("{}: mmlu is not built: expected ceval or boolq", file.where(kMode));
  precision.mode = mode;
  precision.work_dir = file.take_text("precision.work_dir").value_or("");
  precision.batch = file.take_integer("precision.batch", 1, 4096).value_or(1);
  precision.shot = file.take_integer("precision.shot", 0, 5).value_or(5);
  file.ignore(
      "precision.seq_len_out",
      "answers are compared by their likelihood, as the official evaluators do it: nothing is written out");
}

std::vector<int64_t> read_batch_sizes(RunFile& file) {
  const char* kKey = "performance.batch_size";
  const std::optional<std::string> text = file.take_text(kKey);
  if (!text) return {1};
  const auto list = parse_list(text->starts_with('[') ? *text : "[" + *text + "]");
  std::vector<int64_t> sizes;
  for (const json::value& value : list.value_or(json::array{})) {
    const std::optional<int64_t> size = positive(value);
    if (!size || *size > 4096) break;
    sizes.push_back(*size);
  }
  if (!list || sizes.size() != list->size()) {
    throw Error("{}: expected numbers from 1 to 4096, 1 or 1,8 or [1,8], found \"{}\"", file.where(kKey),
                *text);
  }
  return sizes;
}

std::vector<PerformanceCase> read_cases(RunFile& file, std::string& where) {
  // Known, and of the right type, whichever of the two is used.
  const int64_t least = file.take_integer("performance.min_len_exp", 0, 24).value_or(5);
  const int64_t most = file.take_integer("performance.max_len_exp", 0, 24).value_or(10);
  const char* kKey = "performance.case_pair";
  std::vector<PerformanceCase> cases;
  if (const std::optional<std::string> text = file.take_text(kKey)) {
    where = file.where(kKey);
    const std::optional<json::array> list = parse_list(*text);
    for (const json::value& value : list.value_or(json::array{})) {
      if (!value.is_array() || value.get_array().size() != 2) break;
      const auto input = positive(value.get_array()[0]);
      const auto output = positive(value.get_array()[1]);
      if (!input || !output) break;
      cases.push_back({*input, *output});
    }
    if (!list || cases.size() != list->size()) {
      throw Error("{}: expected [[tokens in, tokens out], ...] with numbers from 1 on, found \"{}\"", where,
                  *text);
    }
    return cases;
  }
  where = file.where("performance.max_len_exp");
  if (least > most)
    throw Error("{}: {} is less than min_len_exp, {}: there is nothing between the two", where, most, least);
  for (int64_t input = least; input <= most; ++input) {
    for (int64_t output = least; output <= most; ++output)
      cases.push_back({int64_t{1} << input, int64_t{1} << output});
  }
  return cases;
}

void read_performance(RunFile& file, SdkSettings::Performance& performance) {
  performance.model_name = file.take_text("performance.model_name").value_or("");
  performance.save_file_name = file.take_text("performance.save_file_name").value_or("");
  for (const char* key : {"performance.model_name", "performance.save_file_name"}) {
    if (file.take_text(key).value_or("").find('/') != std::string::npos)
      throw Error("{}: expected a name without a folder: --output says where", file.where(key));
  }
  performance.batch_sizes = read_batch_sizes(file);
  performance.cases = read_cases(file, performance.cases_where);
  performance.detail =
      file.take_choice("performance.perf_mode", {"normal", "detail"}).value_or("normal") == "detail";
  performance.skip_decode = file.take_flag("performance.skip_decode").value_or(true);
}

}  // namespace

SdkSettings read_sdk(RunFile& file) {
  SdkSettings settings;
  read_model(file, settings);
  settings.prompt_file = file.take_text("inference.prompt_file").value_or("");
  settings.max_new_tokens = file.take_integer("inference.max_new_tokens", 1, kMost).value_or(64);
  read_precision(file, settings.precision);
  read_performance(file, settings.performance);
  file.refuse_unknown();
  return settings;
}

}  // namespace gossamer::apps
