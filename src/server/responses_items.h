// The items of /v1/responses (messages, reasoning, function calls and their outputs) as the messages of a
// conversation, and as they are kept. A part of responses_request.cc.
#pragma once

#include <cstddef>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/json.h"
#include "server/json_fields.h"
#include "server/openai_request.h"

namespace gossamer {

// Instead of encrypting it, reasoning that a client asks to carry itself (include:
// reasoning.encrypted_content) is written behind this: it is the client's own conversation, and some clients
// send back nothing else.
inline constexpr std::string_view kPlainReasoning = "gossamer-plain:";

// Items in the order of the conversation.
class ConversationReader {
 public:
  // Throws ApiError. An item without a type is a message. References must have been resolved.
  void add(const json::value& item, const std::string& path);

  std::vector<ChatMessage> take_messages() { return std::move(messages_); }

 private:
  void add_message(const JsonFields& item);
  void add_reasoning(const JsonFields& item);
  void add_call(const JsonFields& item);
  void add_output(const JsonFields& item);
  // The assistant's message that is being put together; a new one where `is_new`, or where there is none.
  ChatMessage& assistant(bool is_new);

  std::vector<ChatMessage> messages_;
  std::map<std::string, std::string> functions_;  // by call_id
};

// The id that an item_reference names (its type may be missing); nothing where the item is none.
std::optional<std::string> referenced_id(const json::value& item, const std::string& path);

// An item that was read without error as GET .../input_items shows it: with type, id and status, the content
// of messages in parts. One without an id gets one, which names the call (CallIdentity's id) and `index`.
json::object stored_item(const json::value& item, std::string_view call, std::size_t index);

}  // namespace gossamer
