#include "server/tgi_request.h"

#include <cmath>
#include <limits>
#include <utility>

#include "server/json_fields.h"
#include "server/refused_fields.h"

namespace gossamer {
namespace {

constexpr std::string_view kParameters = "parameters";
constexpr int64_t kMaxInt32 = std::numeric_limits<int32_t>::max();
constexpr int64_t kMaxBestOf = 128;
constexpr int64_t kMaxTopTokens = 20;
constexpr std::size_t kMaxStops = 4;

const std::vector<RefusedField> kRefused = {
    {"typical_p", {"1", "1E0"}, "top_p, top_k and temperature choose how to sample"},
    {"watermark", {"false"}},
    {"grammar", {}, "not supported yet"},
    {"adapter_id", {}, "no adapters are served"},
};

// Between the bounds, both of which are allowed.
std::optional<float> read_float(const JsonFields& fields, std::string_view key, double min, double max) {
  const std::optional<double> number = fields.number(key);
  if (!number) return std::nullopt;
  if (!(*number >= min && *number <= max)) fields.fail(key, fmt::format("a number from {} to {}", min, max));
  return static_cast<float>(*number);
}

SamplingOverrides read_sampling(const JsonFields& fields) {
  SamplingOverrides sampling;
  sampling.temperature = read_float(fields, "temperature", 0, 100);  // 0, which TGI refuses, is greedy
  sampling.top_p = read_float(fields, "top_p", 0, 1);
  sampling.repetition_penalty = read_float(fields, "repetition_penalty", 0, 100);
  sampling.frequency_penalty = read_float(fields, "frequency_penalty", -2, 2);
  if (const auto top_k = fields.integer("top_k", {.min = 1, .max = kMaxInt32}))
    sampling.top_k = static_cast<int32_t>(*top_k);
  const json::value* seed = fields.find("seed");
  if (seed != nullptr && seed->is_uint64()) {
    sampling.seed = seed->get_uint64();
  } else if (const auto number = fields.integer("seed", {.min = 0})) {
    sampling.seed = static_cast<uint64_t>(*number);
  }
  return sampling;
}

void read_parameters(const JsonFields& fields, TgiRequest& request) {
  refuse(fields, kRefused);
  CommonFields& common = request.common;
  common.sampling = read_sampling(fields);
  common.max_tokens = fields.integer("max_new_tokens", {.min = 1});
  if (const json::array* stops = fields.array("stop")) {
    for (std::size_t i = 0; i < stops->size(); ++i) {
      common.stop.push_back(string_at((*stops)[i], fmt::format("{}[{}]", fields.path_of("stop"), i)));
      if (common.stop.back().empty()) fields.fail("stop", "strings that are not empty");
    }
    if (stops->size() > kMaxStops) fields.fail("stop", fmt::format("at most {} strings", kMaxStops));
  }
  const bool has_warper = common.sampling.temperature.value_or(1.0F) != 1.0F || common.sampling.top_k ||
                          common.sampling.top_p.value_or(1.0F) != 1.0F;
  request.samples = fields.boolean("do_sample").value_or(false) || has_warper;
  common.best_of = static_cast<int>(fields.integer("best_of", {.min = 1, .max = kMaxBestOf}).value_or(1));
  if (common.best_of > 1 && common.sampling.seed)
    fields.fail("best_of", "1, since the request has a seed, of which all sequences would be the same");
  if (common.best_of > 1 && !request.samples) fields.fail("best_of", "1, since the request is greedy");
  request.truncate = fields.integer("truncate", {.min = 1});
  request.return_full_text = fields.boolean("return_full_text").value_or(false);
  request.prefill = fields.boolean("decoder_input_details").value_or(false);
  request.details = fields.boolean("details").value_or(false) || request.prefill;
  request.top_n_tokens =
      static_cast<int>(fields.integer("top_n_tokens", {.min = 0, .max = kMaxTopTokens}).value_or(0));
}

TgiRequest read(const json::value& value) {
  const JsonFields body(value, "");
  TgiRequest request;
  request.inputs = body.required_string("inputs");
  request.common.stream = body.boolean("stream").value_or(false);
  if (const json::value* parameters = body.find(kParameters))
    read_parameters(JsonFields(*parameters, std::string(kParameters)), request);
  // As in merge_sampling the seed would otherwise ask for sampling.
  if (!request.samples) request.common.sampling.temperature = 0.0F;
  if (request.samples && !request.common.sampling.temperature) request.common.sampling.temperature = 1.0F;
  return request;
}

}  // namespace

ApiResult<TgiRequest> parse_tgi_request(const json::value& body) {
  try {
    return read(body);
  } catch (ApiError& error) {
    return std::move(error);
  }
}

}  // namespace gossamer
