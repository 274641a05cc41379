#include "server/constraints.h"

#include <algorithm>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "grammar/harmony_grammar.h"
#include "grammar/json_schema.h"
#include "grammar/matcher.h"
#include "grammar/text_grammar.h"
#include "server/chat_prompt.h"
#include "server/grammar_cache.h"
#include "server/reasoning_budget.h"
#include "text/harmony_tokens.h"

namespace gossamer {
namespace {

using Masks = std::shared_ptr<const GrammarMasks>;

class GrammarTokens : public TokenConstraint {
 public:
  explicit GrammarTokens(Masks masks) : grammar_(std::move(masks)) {}

  std::string fill_mask(std::span<const int32_t> output, TokenMask mask) override {
    return grammar_.fill_mask(output, mask);
  }
  bool is_active(std::span<const int32_t> output) const override { return grammar_.is_active(output); }

 private:
  GrammarConstraint grammar_;
};

// The first thing a request asks for that only constrained decoding can promise: an answer that happens to be
// as asked would be luck.
struct Promise {
  std::string param;
  std::string_view what;
};

std::optional<Promise> find_promise(const ChatRequest& request) {
  if (request.tool_choice.mode == ToolChoice::kRequired)
    return Promise{"tool_choice", "a required tool call"};
  if (request.tool_choice.mode == ToolChoice::kNamed) return Promise{"tool_choice", "a required function"};
  if (request.response_format.type == ResponseFormat::kJsonObject)
    return Promise{"response_format", "json_object"};
  if (request.response_format.type == ResponseFormat::kJsonSchema)
    return Promise{"response_format", "json_schema"};
  for (std::size_t i = 0; i < request.tools.size(); ++i) {
    if (request.tools[i].strict)
      return Promise{fmt::format("tools[{}].function.strict", i), "keeping to a schema"};
  }
  if (request.thinking_token_budget) return Promise{"thinking_token_budget", "a bound on reasoning"};
  return std::nullopt;
}

ApiError cannot_enforce(const Promise& promise) {
  return {.message = fmt::format("{}: {} needs constrained decoding, which this server runs without",
                                 promise.param, promise.what),
          .param = promise.param,
          .code = "unsupported_parameter"};
}

std::string recipient_of(const ChatTool& tool) { return "functions." + tool.function.name; }

bool must_call(const ChatRequest& request) {
  return request.tool_choice.mode == ToolChoice::kRequired || request.tool_choice.mode == ToolChoice::kNamed;
}

// Arguments by the schema where the request insists on a call or on the schema; else any object, since
// schemas that are only meant as a description may say more than is supported.
HarmonyToolGrammar tool_grammar(const ChatTool& tool, bool by_schema) {
  HarmonyToolGrammar grammar{.recipient = recipient_of(tool)};
  if (!by_schema) return grammar;
  // A function that declares no parameters has none.
  grammar.parameters = tool.function.parameters.value_or(
      json::object{{"type", "object"}, {"properties", json::object()}, {"additionalProperties", false}});
  return grammar;
}

HarmonyGrammarOptions harmony_options(const ChatRequest& request) {
  HarmonyGrammarOptions options;
  for (const ChatTool* tool : visible_tools(request)) {
    if (request.tool_choice.mode == ToolChoice::kNamed && tool->function.name != request.tool_choice.function)
      continue;
    options.tools.push_back(tool_grammar(*tool, tool->strict || must_call(request)));
  }
  if (must_call(request)) {
    options.tool_choice = HarmonyToolChoice::kRequired;
  } else if (request.tool_choice.mode == ToolChoice::kNone) {
    options.tool_choice = HarmonyToolChoice::kNone;
  }
  options.parallel_tool_calls = request.parallel_tool_calls;
  if (request.response_format.type != ResponseFormat::kText) {
    const json::value& schema = request.response_format.schema;
    options.answer_format =
        schema.is_null() ? HarmonyAnswerFormat::kJsonObject : HarmonyAnswerFormat::kJsonSchema;
    options.answer_schema = schema;
  }
  options.reasoning = request.reasons && request.thinking_token_budget.value_or(1) > 0;
  return options;
}

// All that makes the grammar what it is. A schema's keys keep their order: it is that of the answer's.
std::string definition_of(const HarmonyGrammarOptions& options) {
  json::array tools;
  for (const HarmonyToolGrammar& tool : options.tools)
    tools.push_back(json::array{tool.recipient, tool.parameters.value_or(nullptr)});
  return json::serialize(json::array{"harmony", std::move(tools), static_cast<int>(options.tool_choice),
                                     options.parallel_tool_calls, static_cast<int>(options.answer_format),
                                     options.answer_schema, options.reasoning});
}

// Names the field whose schema is to blame, as the request has it.
ApiError grammar_refusal(const ChatRequest& request, const RequestError& error) {
  const std::string_view message = error.message;
  const auto refusal = [](std::string param, std::string_view what, std::string code) {
    return ApiError{.message = fmt::format("{}: {}", param, what), .param = param, .code = std::move(code)};
  };
  for (std::size_t i = 0; i < request.tools.size(); ++i) {
    // harmony_grammar begins with the tool's name.
    const std::string prefix = fmt::format("tool \"{}\": ", recipient_of(request.tools[i]));
    if (message.starts_with(prefix)) {
      return refusal(fmt::format("tools[{}].function.parameters", i), message.substr(prefix.size()),
                     "invalid_function_parameters");
    }
  }
  constexpr std::string_view kFormat = "response_format: ";
  if (message.starts_with(kFormat)) {
    return refusal("response_format.json_schema.schema", message.substr(kFormat.size()),
                   "invalid_json_schema");
  }
  return refusal(must_call(request) && visible_tools(request).empty() ? "tool_choice" : "tools", message,
                 "invalid_function_parameters");
}

Result<Masks> harmony_masks(const HarmonyGrammarOptions& options, GrammarCache& cache) {
  return cache.find_or_make(definition_of(options), [&] { return harmony_grammar(options); });
}

Result<Grammar> guided_grammar(const GuidedOutput& guided) {
  switch (guided.type) {
    case GuidedOutput::kJsonSchema:
      return json_schema_grammar(guided.schema);
    case GuidedOutput::kRegex:
      return regex_grammar(guided.regex);
    case GuidedOutput::kChoice:
      return choice_grammar(guided.choices);
    case GuidedOutput::kJsonObject:
    case GuidedOutput::kNone:
      break;
  }
  return json_object_grammar();
}

std::string definition_of(const GuidedOutput& guided) {
  return json::serialize(json::array{"document", static_cast<int>(guided.type), guided.schema, guided.regex,
                                     json::value_from(guided.choices)});
}

}  // namespace

void OutputConstraint::apply_to(std::vector<Request>& requests) const {
  if (!make) return;
  for (Request& request : requests) {
    request.make_constraint = make;
    std::vector<int32_t>& stops = request.stop_token_ids;
    for (const int32_t id : end_ids) {
      if (std::find(stops.begin(), stops.end(), id) == stops.end()) stops.push_back(id);
    }
  }
}

namespace {

// response_format of a model without Harmony: the answer is its whole text.
GuidedOutput response_document(const ChatRequest& request) {
  const ResponseFormat& format = request.response_format;
  GuidedOutput guided{.param = "response_format"};
  if (format.type == ResponseFormat::kText) return guided;
  guided.type = format.schema.is_null() ? GuidedOutput::kJsonObject : GuidedOutput::kJsonSchema;
  if (!format.schema.is_null()) guided.param = "response_format.json_schema.schema";
  guided.schema = format.schema;
  return guided;
}

ApiResult<OutputConstraint> constrain_document(const GuidedOutput& guided, const ServedModel& model) {
  if (guided.type == GuidedOutput::kNone) return OutputConstraint();
  const std::optional<int32_t> end = model.tokenizer->special_id("<|endoftext|>");
  if (model.grammars == nullptr) return cannot_enforce({guided.param, "the form of the output"});
  if (!end) {
    return ApiError{
        .message = fmt::format("{}: the form of the output cannot be enforced, since this model's "
                               "vocabulary has no <|endoftext|> to end it with",
                               guided.param),
        .param = guided.param,
        .code = "unsupported_parameter"};
  }
  const Result<Masks> masks =
      model.grammars->find_or_make(definition_of(guided), [&] { return guided_grammar(guided); });
  if (!masks.ok()) {
    return ApiError{.message = fmt::format("{}: {}", guided.param, masks.error().message),
                    .param = guided.param,
                    .code = "invalid_json_schema"};
  }
  return OutputConstraint{
      .make = [grammar = masks.value()] { return std::make_unique<GrammarTokens>(grammar); },
      .end_ids = {*end}};
}

}  // namespace

ApiResult<OutputConstraint> constrain_chat(const ChatRequest& request, const ServedModel& model) {
  const std::optional<Promise> promise = find_promise(request);
  if (model.grammars == nullptr) {
    if (promise) return cannot_enforce(*promise);
    return OutputConstraint();
  }
  // Who ignores the end wants tokens without end (benchmarks do), which is no Harmony. What was promised
  // holds.
  if (!model.has_chat_form) return constrain_document(response_document(request), model);
  if (request.common.ignore_eos && !promise) return OutputConstraint();

  HarmonyGrammarOptions options = harmony_options(request);
  const Result<Masks> masks = harmony_masks(options, *model.grammars);
  if (!masks.ok()) return grammar_refusal(request, masks.error());
  const HarmonyTokens tokens(*model.tokenizer);
  OutputConstraint constraint{.make = {}, .end_ids = {tokens.return_, tokens.call}};
  if (!options.reasoning || !request.thinking_token_budget) {
    constraint.make = [grammar = masks.value()] { return std::make_unique<GrammarTokens>(grammar); };
    return constraint;
  }
  options.reasoning = false;
  const Result<Masks> rest = harmony_masks(options, *model.grammars);
  if (!rest.ok()) return grammar_refusal(request, rest.error());
  constraint.make = [with = masks.value(), without = rest.value(), tokens,
                     budget = *request.thinking_token_budget] {
    return std::make_unique<ReasoningBudget>(with, without, tokens, budget);
  };
  return constraint;
}

ApiResult<OutputConstraint> constrain_completion(const CompletionRequest& request, const ServedModel& model) {
  return constrain_document(request.guided, model);
}

}  // namespace gossamer
