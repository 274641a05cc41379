// GuidedOutput: the form that the whole text of a completion must have, in the fields of vLLM and OpenAI that
// ask for it. Read by openai_request.cc, enforced by constraints.h.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/json.h"
#include "server/json_fields.h"

namespace gossamer {

struct GuidedOutput {
  enum Type : uint8_t { kNone, kJsonObject, kJsonSchema, kRegex, kChoice };
  Type type = kNone;
  std::string param;  // the field that asks for it, "structured_outputs.regex"
  json::value schema;
  std::string regex;
  std::vector<std::string> choices;
};

// guided_json, guided_regex, guided_choice; structured_outputs with json, json_object, regex or choice;
// response_format. One of them: two forms at once are refused.
GuidedOutput read_guided_output(const JsonFields& body);

}  // namespace gossamer
