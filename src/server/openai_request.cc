#include "server/openai_request.h"

#include <charconv>
#include <cmath>
#include <span>
#include <string_view>
#include <utility>

#include "server/chat_messages.h"
#include "server/json_fields.h"
#include "server/refused_fields.h"

namespace gossamer {
namespace {

constexpr int64_t kMaxChoices = 128;
constexpr int64_t kMaxTopLogprobs = 20;
constexpr std::size_t kMaxStops = 4;
constexpr int64_t kMaxInt32 = std::numeric_limits<int32_t>::max();

const std::vector<RefusedField> kRefusedEverywhere = {
    {"use_beam_search", {"false"}, "best_of chooses among samples"},
    {"length_penalty", {"1", "1E0"}, "it belongs to beam search"},
    {"prompt_logprobs", {}, "/v1/completions gives them with echo and logprobs"},
    {"bad_words", {"[]"}, "logit_bias forbids tokens"},
    {"allowed_token_ids", {}, "logit_bias favours tokens"},
    {"logits_processors", {"[]"}},
    {"truncate_prompt_tokens", {"-1"}, "a prompt is never cut silently"},
    {"include_stop_str_in_output", {"false"}},
    {"guided_grammar", {}, "a JSON schema, a pattern or a list of choices can be enforced"},
    {"guided_whitespace_pattern", {}},
    {"structural_tag", {}},
    {"grammar", {"\"\""}, "a JSON schema, a pattern or a list of choices can be enforced"},
};
const std::vector<RefusedField> kRefusedInChat = {
    {"audio"},
    {"modalities", {"[\"text\"]", "[]"}, "this model writes text"},
    {"prediction"},
    {"web_search_options"},
    {"functions", {"[]"}, "use tools"},
    {"function_call", {"\"none\"", "\"auto\""}, "use tool_choice"},
    {"echo", {"false"}, "/v1/completions has it"},
    {"suffix", {"\"\""}},
    {"chat_template", {}, "conversations have the model's own form"},
    {"add_generation_prompt", {"true"}},
    {"continue_final_message", {"false"}},
    {"documents", {"[]"}},
    {"guided_json", {}, "response_format does it in a chat"},
    {"guided_regex", {}, "/v1/completions has it; response_format takes a schema with a pattern"},
    {"guided_choice", {}, "/v1/completions has it; response_format takes a schema with an enum"},
    {"structured_outputs", {}, "response_format does it in a chat"},
};
const std::vector<RefusedField> kRefusedInCompletions = {
    {"suffix", {"\"\""}, "these models cannot fill in before a text"},
    {"prompt_embeds", {}},
    {"thinking_token_budget", {}, "a completion has no reasoning of its own"},
};

std::optional<float> read_float(const JsonFields& body, std::string_view key) {
  const std::optional<double> number = body.number(key);
  if (!number) return std::nullopt;
  if (std::abs(*number) > 1e30) body.fail(key, "a number of reasonable size");  // it would not fit a float
  return static_cast<float>(*number);
}

std::optional<uint64_t> read_seed(const JsonFields& body) {
  const json::value* value = body.find("seed");
  if (value != nullptr && value->is_uint64()) return value->get_uint64();
  const std::optional<int64_t> seed = body.integer("seed");
  return seed ? std::optional<uint64_t>(static_cast<uint64_t>(*seed)) : std::nullopt;
}

std::map<int32_t, float> read_logit_bias(const JsonFields& body) {
  std::map<int32_t, float> biases;
  const json::value* value = body.find("logit_bias");
  if (value == nullptr) return biases;
  const JsonFields fields(*value, "logit_bias");
  for (const auto& member : fields.object()) {
    const std::string_view key = member.key();
    int32_t id = 0;
    const auto [end, error] = std::from_chars(key.data(), key.data() + key.size(), id);
    if (error != std::errc() || end != key.data() + key.size()) {
      const json::value found = json::string(key);
      fail_at("logit_bias", "token ids as keys", &found);
    }
    const std::optional<float> bias = read_float(fields, key);
    if (!bias) fields.fail(key, "a number");
    biases.insert_or_assign(id, *bias);
  }
  return biases;
}

SamplingOverrides read_sampling(const JsonFields& body) {
  SamplingOverrides sampling;
  sampling.temperature = read_float(body, "temperature");
  sampling.top_p = read_float(body, "top_p");
  sampling.min_p = read_float(body, "min_p");
  sampling.repetition_penalty = read_float(body, "repetition_penalty");
  sampling.presence_penalty = read_float(body, "presence_penalty");
  sampling.frequency_penalty = read_float(body, "frequency_penalty");
  if (const auto top_k = body.integer("top_k", {.min = -1, .max = kMaxInt32}))
    sampling.top_k = static_cast<int32_t>(std::max(int64_t{0}, *top_k));  // vLLM's -1 is off, as 0
  sampling.logit_bias = read_logit_bias(body);
  sampling.seed = read_seed(body);
  return sampling;
}

std::vector<std::string> read_stop(const JsonFields& body) {
  constexpr std::string_view kExpected = "a string, or a list of up to 4 strings, none of them empty";
  const json::value* value = body.find("stop");
  if (value == nullptr) return {};
  std::vector<std::string> stops;
  if (value->is_string()) {
    stops.emplace_back(value->get_string());
  } else if (value->is_array() && value->get_array().size() <= kMaxStops) {
    const json::array& list = value->get_array();
    for (std::size_t i = 0; i < list.size(); ++i)
      stops.push_back(string_at(list[i], fmt::format("stop[{}]", i)));
  } else {
    body.fail("stop", kExpected);
  }
  for (const std::string& stop : stops) {
    if (stop.empty()) body.fail("stop", kExpected);
  }
  return stops;
}

std::vector<int32_t> read_ids(const json::array& list, const std::string& path) {
  std::vector<int32_t> ids;
  ids.reserve(list.size());
  for (std::size_t i = 0; i < list.size(); ++i) {
    if (list[i].is_int64() && list[i].get_int64() >= 0 && list[i].get_int64() <= kMaxInt32) {
      ids.push_back(static_cast<int32_t>(list[i].get_int64()));
    } else {
      fail_at(fmt::format("{}[{}]", path, i), "a token id", &list[i]);
    }
  }
  return ids;
}

CommonFields read_common(const JsonFields& body) {
  refuse(body, kRefusedEverywhere);
  CommonFields common;
  common.model = body.string("model");
  common.sampling = read_sampling(body);
  common.min_tokens = body.integer("min_tokens", {.min = 0, .max = kMaxInt32}).value_or(0);
  common.num_choices = static_cast<int>(body.integer("n", {.min = 1, .max = kMaxChoices}).value_or(1));
  common.best_of = static_cast<int>(
      body.integer("best_of", {.min = common.num_choices, .max = kMaxChoices}).value_or(common.num_choices));
  common.stop = read_stop(body);
  if (const json::array* ids = body.array("stop_token_ids"))
    common.stop_token_ids = read_ids(*ids, "stop_token_ids");
  common.ignore_eos = body.boolean("ignore_eos").value_or(false);
  common.skip_special_tokens = body.boolean("skip_special_tokens").value_or(true);
  common.stream = body.boolean("stream").value_or(false);
  if (const json::value* options = body.find("stream_options")) {
    const JsonFields fields(*options, "stream_options");
    common.stream_usage = fields.boolean("include_usage").value_or(false);
    if (!common.stream) body.fail("stream_options", "nothing, since stream is not true");
  }
  if (common.stream && common.best_of > common.num_choices)
    body.fail("best_of", "as many as n, since the best can be told only at the end of a stream");
  common.priority =
      static_cast<int>(body.integer("priority", {.min = -1'000'000, .max = 1'000'000}).value_or(0));
  common.cache_salt = body.string("cache_salt").value_or("");
  common.return_token_ids = body.boolean("return_token_ids").value_or(false);
  common.include_timings = body.boolean("include_timings").value_or(false);
  return common;
}

int read_chat_logprobs(const JsonFields& body) {
  const bool wanted = body.boolean("logprobs").value_or(false);
  const std::optional<int64_t> top = body.integer("top_logprobs", {.min = 0, .max = kMaxTopLogprobs});
  if (!wanted && top.value_or(0) > 0) body.fail("top_logprobs", "nothing, since logprobs is not true");
  return wanted ? static_cast<int>(top.value_or(0)) : -1;
}

void read_effort(const JsonFields& fields, ChatRequest& request) {
  // GPT-OSS knows three; OpenAI's further names are their neighbours.
  const auto index =
      fields.choice("reasoning_effort", {"none", "minimal", "low", "medium", "high", "xhigh", "max"});
  if (!index) return;
  request.reasons = *index != 0;
  request.reasoning_effort = *index <= 2   ? ReasoningEffort::kLow
                             : *index == 3 ? ReasoningEffort::kMedium
                                           : ReasoningEffort::kHigh;
}

ChatRequest read_chat(const json::value& value) {
  const JsonFields body(value, "");
  ChatRequest request;
  request.common = read_common(body);
  refuse(body, kRefusedInChat);
  const std::optional<int64_t> max_tokens = body.integer("max_tokens", {.min = 1});
  request.common.max_tokens = body.integer("max_completion_tokens", {.min = 1});
  if (!request.common.max_tokens) request.common.max_tokens = max_tokens;
  request.common.top_logprobs = read_chat_logprobs(body);
  request.messages = read_messages(body);
  request.tools = read_tools(body);
  request.tool_choice = read_tool_choice(body, request.tools);
  request.response_format = read_response_format(body);
  request.parallel_tool_calls = body.boolean("parallel_tool_calls").value_or(false);
  read_effort(body, request);
  if (const json::value* kwargs = body.find("chat_template_kwargs");
      kwargs != nullptr && !request.reasoning_effort)
    read_effort(JsonFields(*kwargs, "chat_template_kwargs"), request);
  request.thinking_token_budget = body.integer("thinking_token_budget", {.min = 0, .max = kMaxInt32});
  request.include_reasoning = body.boolean("include_reasoning").value_or(true);
  return request;
}

CompletionRequest read_completion(const json::value& value) {
  const JsonFields body(value, "");
  CompletionRequest request;
  request.common = read_common(body);
  refuse(body, kRefusedInCompletions);
  request.echo = body.boolean("echo").value_or(false);
  request.guided = read_guided_output(body);
  request.tokens_as_ids = body.boolean("return_tokens_as_token_ids").value_or(false);
  request.hidden_states = body.boolean("return_hidden_states").value_or(false);
  if (request.hidden_states && request.common.stream)
    body.fail("return_hidden_states", "nothing, since stream is true");
  // It makes sense to ask for the prompt's log-probabilities, or hidden states, alone.
  const bool may_have_none = request.echo || request.hidden_states;
  constexpr int64_t kDefaultTokens = 16;
  request.common.max_tokens =
      body.integer("max_tokens", {.min = may_have_none ? 0 : 1}).value_or(kDefaultTokens);
  if (const auto top = body.integer("logprobs", {.min = 0, .max = kMaxTopLogprobs}))
    request.common.top_logprobs = static_cast<int>(*top);

  constexpr std::string_view kExpected =
      "a string, a list of strings, a list of token ids or a list of such lists";
  const json::value* prompt = body.find("prompt");
  if (prompt == nullptr) body.fail("prompt", kExpected);
  if (prompt->is_string()) {
    request.prompts.emplace_back(std::string(prompt->get_string()));
    return request;
  }
  if (!prompt->is_array() || prompt->get_array().empty()) body.fail("prompt", kExpected);
  const json::array& list = prompt->get_array();
  if (list.front().is_number()) {
    request.prompts.emplace_back(read_ids(list, "prompt"));
    return request;
  }
  for (std::size_t i = 0; i < list.size(); ++i) {
    const std::string path = fmt::format("prompt[{}]", i);
    if (list[i].is_array()) {
      request.prompts.emplace_back(read_ids(list[i].get_array(), path));
    } else if (list[i].is_string()) {
      request.prompts.emplace_back(std::string(list[i].get_string()));
    } else {
      fail_at(path, "a string or a list of token ids", &list[i]);
    }
  }
  return request;
}

}  // namespace

ApiResult<ChatRequest> parse_chat_request(const json::value& body) {
  try {
    return read_chat(body);
  } catch (ApiError& error) {
    return std::move(error);
  }
}

ApiResult<CompletionRequest> parse_completion_request(const json::value& body) {
  try {
    return read_completion(body);
  } catch (ApiError& error) {
    return std::move(error);
  }
}

}  // namespace gossamer
