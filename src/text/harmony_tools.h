// The tools section of Harmony's system and developer messages: functions as TypeScript types. Called by
// harmony.cc.
#pragma once

#include <string>

#include "base/json.h"
#include "text/harmony.h"

namespace gossamer {

// "# Tools" and, for each namespace, its description and its functions.
std::string harmony_tools_section(const HarmonyTools& tools);

// A JSON schema as a TypeScript type, with descriptions, examples and defaults as comments. Lines after the
// first begin with `indent`. What the reference does not know is `any`.
std::string typescript_type(const json::value& schema, const std::string& indent);

// `value` as compact JSON, spelled as the reference does (serde_json): characters beyond ASCII as they
// are, 1.0 with its fraction, 1e-7 without a sign or zeros in the exponent.
std::string compact_json(const json::value& value);

}  // namespace gossamer
