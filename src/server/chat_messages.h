// The conversational fields of a chat request: messages, tools, tool_choice, response_format. A part of
// openai_request.cc.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "server/json_fields.h"
#include "server/openai_request.h"

namespace gossamer {

// These throw ApiError.
std::string required_name(const JsonFields& fields, std::string_view key);  // of a function, or of a user
std::vector<ChatMessage> read_messages(const JsonFields& body);
std::vector<ChatTool> read_tools(const JsonFields& body);
ToolChoice read_tool_choice(const JsonFields& body, const std::vector<ChatTool>& tools);
ResponseFormat read_response_format(const JsonFields& body);

}  // namespace gossamer
