// The JSON form of conversations that the reference reads and writes (and that the `render` vectors have),
// for `gossamer harmony` and the tests. The server builds HarmonyMessage from OpenAI's forms instead.
#pragma once

#include <cstdint>
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

// Renders as the request's mode says.
Result<std::vector<int32_t>> render(const HarmonyRenderer& renderer, const HarmonyRequest& request);

}  // namespace gossamer
