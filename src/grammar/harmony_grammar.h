// The grammar of what GPT-OSS may answer: Harmony messages on legal channels, calls of declared tools with
// arguments by their schemas, a final answer in the asked format. Called by the server for every chat
// request; the masks then make malformed headers, unknown tools and invalid arguments impossible.
//
// Output begins behind "<|start|>assistant" of the prompt:
//
//   answer   = thought* (reply | calls)
//   thought  = <|channel|>analysis<|message|> text <|end|> <|start|>assistant
//            | <|channel|>commentary<|message|> text <|end|> <|start|>assistant        a preamble, with tools
//            only
//   reply    = <|channel|>final<|message|> text or JSON <|return|>
//   calls    = (call <|end|> <|start|>assistant)* call <|call|>                        several only if
//   parallel call     = header [type] <|message|> arguments header   =  to=TOOL<|channel|>commentary  |
//   <|channel|>commentary to=TOOL         models write either type     = [ ]<|constrain|>json  |  json
//
// Text is UTF-8 without special tokens. A final answer in JSON has no content type: the reference's parser
// would take one on this channel for a recipient.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/json.h"
#include "grammar/grammar.h"
#include "grammar/json_schema.h"

namespace gossamer {

struct HarmonyToolGrammar {
  std::string recipient;  // "functions.get_weather"
  // The schema of the arguments. Without one they are any JSON object: what tools get that are neither strict
  // nor required, and whose schema may ask for more than is supported.
  std::optional<json::value> parameters = std::nullopt;
};

enum class HarmonyToolChoice : uint8_t {
  kNone,      // no calls; tools need not be declared
  kAuto,      // an answer or a call
  kRequired,  // a call. For a named tool declare that one alone.
};

enum class HarmonyAnswerFormat : uint8_t { kText, kJsonObject, kJsonSchema };

struct HarmonyGrammarOptions {
  std::vector<HarmonyToolGrammar> tools = {};
  HarmonyToolChoice tool_choice = HarmonyToolChoice::kAuto;
  // Several calls in one answer. GPT-OSS stops behind <|call|>, so all but the last then end with <|end|>.
  bool parallel_tool_calls = false;
  HarmonyAnswerFormat answer_format = HarmonyAnswerFormat::kText;
  json::value answer_schema = {};  // for kJsonSchema
  bool reasoning = true;           // whether messages on the analysis channel may come
  JsonOptions json = {};
};

// The error says which tool or part of a schema is not supported and why.
Result<Grammar> harmony_grammar(const HarmonyGrammarOptions& options);

}  // namespace gossamer
