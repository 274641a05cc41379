// A chat request's conversation as the prompt that the model was trained on: Harmony, or its chat_template.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "server/api_error.h"
#include "server/openai_request.h"
#include "server/served_model.h"
#include "text/harmony.h"

namespace gossamer {

// The tools that the model is told of: none under tool_choice none, else those that tool_choice allows.
std::vector<const ChatTool*> visible_tools(const ChatRequest& request);

// The conversation in Harmony's messages. System and developer messages that come first, the tools and the
// schema of response_format make its developer message; later ones stand where they are. Reasoning is kept
// until a final answer follows it: tool calls belong to a line of thought that goes on, an answer ends it.
std::vector<HarmonyMessage> to_harmony(const ChatRequest& request, const ServedModel& model);

// The error says that a model has no chat form, or that the format does not allow a message. Without
// `add_generation_prompt` the beginning of the answer is left out.
ApiResult<std::vector<int32_t>> render_chat_prompt(const ChatRequest& request, const ServedModel& model,
                                                   bool add_generation_prompt = true);

}  // namespace gossamer
