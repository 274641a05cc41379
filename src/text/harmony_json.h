// The JSON forms of conversations and token sequences that the reference reads and writes (and that the
// vectors have), for `gossamer harmony` and the tests. The server builds HarmonyMessage from OpenAI's forms
// instead.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/json.h"
#include "text/harmony.h"

namespace gossamer {

enum class HarmonyMode : uint8_t { kConversation, kCompletion, kTraining };

struct HarmonyRequest {
  HarmonyMode mode = HarmonyMode::kCompletion;
  HarmonyRenderOptions options = {};
  std::vector<HarmonyMessage> messages = {};
};

// Reads {"mode", "auto_drop_analysis", "messages": [{"role", "name", "recipient", "channel", "content_type",
// "content"}]}. Unknown keys are ignored; the error says where a value is not what it should be,
// "messages[2].role".
Result<HarmonyRequest> harmony_request_from_json(const json::value& value);

// A sequence of tokens to be parsed.
struct HarmonyParseRequest {
  std::vector<int32_t> ids = {};
  std::optional<HarmonyRole> role = std::nullopt;  // whose message the prompt began; nothing: none
  bool strict = true;                              // how the reference is to judge it
};

// Reads {"ids": [ID, ...]} or {"steps": [[ID, ...], ...]} with "role" and "strict": the lines of the `parse`
// and the `stream` vectors. Ids beyond the vocabulary are allowed. Errors as above, "ids[7]".
Result<HarmonyParseRequest> harmony_parse_request_from_json(const json::value& value);

// Renders as the request's mode says.
Result<std::vector<int32_t>> render(const HarmonyRenderer& renderer, const HarmonyRequest& request);

// [{"role": "assistant", "content": "Hi", "channel": "final"}, ...] in ASCII, absent values left out, for
// messages of text alone, as parsed ones are.
std::string messages_to_json(std::span<const HarmonyMessage> messages);

}  // namespace gossamer
