#include "apps/sampling_options.h"

#include <CLI/CLI.hpp>
#include <charconv>
#include <random>
#include <string_view>
#include <utility>

#include "base/error.h"

namespace gossamer::apps {
namespace {

constexpr const char* kGroup = "Sampling";

template <typename T>
bool parse_number(std::string_view text, T& number) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  return error == std::errc() && end == text.data() + text.size();
}

std::pair<int32_t, float> parse_bias(const std::string& text) {
  const std::size_t colon = text.find(':');
  int32_t id = 0;
  float bias = 0.0F;
  if (colon == std::string::npos || !parse_number(std::string_view(text).substr(0, colon), id) ||
      !parse_number(std::string_view(text).substr(colon + 1), bias)) {
    throw Error("--logit-bias: expected ID:VALUE, as in 50256:-100, found \"{}\"", text);
  }
  return {id, bias};
}

uint64_t random_seed() {
  std::random_device device;
  return static_cast<uint64_t>(device()) << 32 | device();
}

}  // namespace

void add_sampling_options(CLI::App& command, SamplingOptions& options) {
  const auto add = [&command](const std::string& name, auto& value, const std::string& help) {
    return command.add_option(name, value, help)->group(kGroup);
  };
  command.add_flag("--greedy", options.greedy, "Always the most likely token; the same as --temperature 0")
      ->group(kGroup);
  add("--temperature", options.values.temperature,
      "0: greedy. Default: of generation_config.json when that says do_sample, else 0; but 1 when --top-k, "
      "--top-p, "
      "--min-p or --seed is given");
  add("--top-k", options.values.top_k, "Only the so many most likely tokens; 0: all");
  add("--top-p", options.values.top_p, "Only the most likely tokens that together reach this probability");
  add("--min-p", options.values.min_p, "Only tokens at least this times as likely as the most likely");
  add("--repetition-penalty", options.values.repetition_penalty,
      "Divides (multiplies, where negative) the logits of tokens in prompt and answer; 1: off");
  add("--presence-penalty", options.values.presence_penalty,
      "Subtracted from the logits of tokens in the answer");
  add("--frequency-penalty", options.values.frequency_penalty,
      "The same for each time that a token was used");
  add("--logit-bias", options.logit_bias, "ID:VALUE, added to that token's logit; may be repeated")
      ->allow_extra_args(false);
  add("--seed", options.values.seed,
      "The same seed gives the same answer. Default: random; --verbose and --json tell it");
  add("--stop", options.stop, "Text that ends the answer, and is not part of it; may be repeated")
      ->allow_extra_args(false);
  add("--stop-token-ids", options.stop_token_ids, "Tokens that end the answer: 1,2,3")
      ->delimiter(',')
      ->allow_extra_args(false);
  command.add_flag("--ignore-eos", options.ignore_eos, "Do not end at the model's own end tokens")
      ->group(kGroup);
}

SamplingParams resolve_sampling(const SamplingOptions& options, const Session& session) {
  SamplingOverrides values = options.values;
  if (options.greedy && values.temperature.value_or(0.0F) != 0.0F)
    throw Error("--greedy is --temperature 0: leave out one of the two");
  if (options.greedy) values.temperature = 0.0F;
  for (const std::string& text : options.logit_bias) {
    const auto [id, bias] = parse_bias(text);
    values.logit_bias.insert_or_assign(id, bias);
  }
  SamplingParams params = merge_sampling(session.defaults().sampling, values);
  if (!values.seed) params.seed = random_seed();
  if (const auto error = check_sampling_params(params, session.info().vocab_size))
    throw Error("{}", error->message);
  return params;
}

std::vector<int32_t> resolve_stop_ids(const SamplingOptions& options, const Session& session) {
  std::vector<int32_t> ids;
  if (!options.ignore_eos) ids = session.defaults().eos_ids;
  for (const int32_t id : options.stop_token_ids) {
    if (id < 0 || id >= session.info().vocab_size) {
      throw Error("--stop-token-ids: expected 0 to {}, found {}", session.info().vocab_size - 1, id);
    }
    ids.push_back(id);
  }
  return ids;
}

}  // namespace gossamer::apps
