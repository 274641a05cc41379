#include "text/harmony_json.h"

#include <string>
#include <string_view>

namespace gossamer {
namespace {

constexpr std::string_view kRoleNames = "user, assistant, system, developer or tool";

// Thrown and caught in this file only: reading a tree of optional values with an error check at each would
// bury it.
struct Invalid {
  std::string message;
};

[[noreturn]] void fail(const std::string& path, std::string_view expected, const json::value* found) {
  throw Invalid{fmt::format("{}: expected {}, found {}", path, expected,
                            found == nullptr ? "nothing" : json::serialize(*found))};
}

// nullptr where the key is absent or null.
const json::value* find(const json::object& object, std::string_view key) {
  const json::value* value = object.if_contains(key);
  return value == nullptr || value->is_null() ? nullptr : value;
}

const json::object& as_object(const json::value& value, const std::string& path) {
  if (!value.is_object()) fail(path, "an object", &value);
  return value.get_object();
}

const json::array& array_at(const json::object& object, std::string_view key, const std::string& path) {
  const json::value* value = find(object, key);
  if (value == nullptr || !value->is_array()) fail(fmt::format("{}.{}", path, key), "a list", value);
  return value->get_array();
}

std::string as_string(const json::value& value, const std::string& path) {
  if (!value.is_string()) fail(path, "a string", &value);
  return std::string(value.get_string());
}

std::optional<std::string> optional_string(const json::object& object, std::string_view key,
                                           const std::string& path) {
  const json::value* value = find(object, key);
  if (value == nullptr) return std::nullopt;
  return as_string(*value, fmt::format("{}.{}", path, key));
}

std::string required_string(const json::object& object, std::string_view key, const std::string& path) {
  std::optional<std::string> text = optional_string(object, key, path);
  if (!text) fail(fmt::format("{}.{}", path, key), "a string", nullptr);
  return *std::move(text);
}

HarmonyTools read_tools(const json::object& content, const std::string& path) {
  HarmonyTools tools;
  const json::value* value = find(content, "tools");
  if (value == nullptr) return tools;
  for (const auto& member : as_object(*value, path + ".tools")) {
    const std::string space_path = fmt::format("{}.tools.{}", path, std::string_view(member.key()));
    const json::object& object = as_object(member.value(), space_path);
    HarmonyToolNamespace space;
    space.name = required_string(object, "name", space_path);
    space.description = optional_string(object, "description", space_path);
    for (const json::value& element : array_at(object, "tools", space_path)) {
      const std::string tool_path = fmt::format("{}.tools[{}]", space_path, space.tools.size());
      const json::object& tool = as_object(element, tool_path);
      const json::value* parameters = find(tool, "parameters");
      space.tools.push_back({required_string(tool, "name", tool_path),
                             required_string(tool, "description", tool_path),
                             parameters == nullptr ? std::nullopt : std::optional<json::value>(*parameters)});
    }
    tools.insert_or_assign(std::string(member.key()), std::move(space));
  }
  return tools;
}

HarmonySystemContent read_system_content(const json::object& object, const std::string& path) {
  HarmonySystemContent content;
  content.model_identity = optional_string(object, "model_identity", path);
  content.knowledge_cutoff = optional_string(object, "knowledge_cutoff", path);
  content.conversation_start_date = optional_string(object, "conversation_start_date", path);
  content.reasoning_effort = std::nullopt;
  if (const std::optional<std::string> effort = optional_string(object, "reasoning_effort", path)) {
    if (*effort == "Low") {
      content.reasoning_effort = ReasoningEffort::kLow;
    } else if (*effort == "Medium") {
      content.reasoning_effort = ReasoningEffort::kMedium;
    } else if (*effort == "High") {
      content.reasoning_effort = ReasoningEffort::kHigh;
    } else {
      fail(path + ".reasoning_effort", "\"Low\", \"Medium\" or \"High\"", find(object, "reasoning_effort"));
    }
  }
  content.tools = read_tools(object, path);
  content.channels = std::nullopt;
  if (const json::value* value = find(object, "channel_config")) {
    const std::string channels_path = path + ".channel_config";
    const json::object& config = as_object(*value, channels_path);
    HarmonyChannels channels;
    channels.valid.clear();
    for (const json::value& channel : array_at(config, "valid_channels", channels_path)) {
      channels.valid.push_back(as_string(channel, channels_path + ".valid_channels"));
    }
    const json::value* required = find(config, "channel_required");
    if (required == nullptr || !required->is_bool())
      fail(channels_path + ".channel_required", "true or false", required);
    channels.required = required->get_bool();
    content.channels = std::move(channels);
  }
  return content;
}

HarmonyContent read_content(const json::value& value, const std::string& path) {
  const json::object& object = as_object(value, path);
  const std::string type = required_string(object, "type", path);
  if (type == "text") return required_string(object, "text", path);
  if (type == "system_content") return read_system_content(object, path);
  if (type == "developer_content") {
    return HarmonyDeveloperContent{optional_string(object, "instructions", path), read_tools(object, path)};
  }
  fail(path + ".type", "\"text\", \"system_content\" or \"developer_content\"", find(object, "type"));
}

HarmonyMessage read_message(const json::value& value, const std::string& path) {
  const json::object& object = as_object(value, path);
  HarmonyMessage message;
  const std::optional<HarmonyRole> role = harmony_role(required_string(object, "role", path));
  if (!role) fail(path + ".role", kRoleNames, find(object, "role"));
  message.role = *role;
  message.name = optional_string(object, "name", path);
  message.recipient = optional_string(object, "recipient", path);
  message.channel = optional_string(object, "channel", path);
  message.content_type = optional_string(object, "content_type", path);
  const json::value* content = find(object, "content");
  if (content != nullptr && content->is_string()) {
    message.content.emplace_back(std::string(content->get_string()));
  } else if (content != nullptr && content->is_array()) {
    for (const json::value& part : content->get_array()) {
      message.content.push_back(
          read_content(part, fmt::format("{}.content[{}]", path, message.content.size())));
    }
  } else {
    fail(path + ".content", "a string or a list", content);
  }
  return message;
}

HarmonyRequest read_request(const json::value& value) {
  const json::object& object = as_object(value, "request");
  HarmonyRequest request;
  const std::string mode = optional_string(object, "mode", "request").value_or("completion");
  if (mode == "conversation") {
    request.mode = HarmonyMode::kConversation;
  } else if (mode == "training") {
    request.mode = HarmonyMode::kTraining;
  } else if (mode != "completion") {
    fail("request.mode", "\"conversation\", \"completion\" or \"training\"", find(object, "mode"));
  }
  if (const json::value* drop = find(object, "auto_drop_analysis")) {
    if (!drop->is_bool()) fail("request.auto_drop_analysis", "true or false", drop);
    request.options.auto_drop_analysis = drop->get_bool();
  }
  for (const json::value& message : array_at(object, "messages", "request")) {
    request.messages.push_back(read_message(message, fmt::format("messages[{}]", request.messages.size())));
  }
  return request;
}

std::optional<HarmonyRole> optional_role(const json::object& object, const std::string& path) {
  const std::optional<std::string> name = optional_string(object, "role", path);
  if (!name) return std::nullopt;
  const std::optional<HarmonyRole> role = harmony_role(*name);
  if (!role) fail(path + ".role", kRoleNames, find(object, "role"));
  return role;
}

// The reference's ids have 32 bits without a sign. Those beyond ours are as unknown as negative ones.
int32_t as_id(const json::value& value, const std::string& path) {
  const bool is_id = (value.is_int64() && value.get_int64() >= 0 && value.get_int64() <= int64_t{UINT32_MAX});
  if (!is_id) fail(path, "a token id", &value);
  return static_cast<int32_t>(static_cast<uint32_t>(value.get_int64()));
}

HarmonyParseRequest read_parse_request(const json::value& value) {
  const json::object& object = as_object(value, "request");
  HarmonyParseRequest request;
  request.role = optional_role(object, "request");
  if (const json::value* strict = find(object, "strict")) {
    if (!strict->is_bool()) fail("request.strict", "true or false", strict);
    request.strict = strict->get_bool();
  }
  const bool has_steps = find(object, "ids") == nullptr && find(object, "steps") != nullptr;
  const std::string key = has_steps ? "steps" : "ids";
  for (const json::value& element : array_at(object, key, "request")) {
    const std::string path = fmt::format("{}[{}]", key, request.ids.size());
    if (has_steps && (!element.is_array() || element.get_array().empty()))
      fail(path, "a list that begins with a token id", &element);
    request.ids.push_back(as_id(has_steps ? element.get_array().front() : element, path));
  }
  return request;
}

template <typename Read>
auto result_of(Read read) -> Result<decltype(read())> {
  try {
    return read();
  } catch (Invalid& invalid) {
    return RequestError{RequestErrorKind::kInvalid, std::move(invalid.message)};
  }
}

}  // namespace

Result<HarmonyRequest> harmony_request_from_json(const json::value& value) {
  return result_of([&] { return read_request(value); });
}

Result<HarmonyParseRequest> harmony_parse_request_from_json(const json::value& value) {
  return result_of([&] { return read_parse_request(value); });
}

Result<std::vector<int32_t>> render(const HarmonyRenderer& renderer, const HarmonyRequest& request) {
  switch (request.mode) {
    case HarmonyMode::kConversation:
      return renderer.render_conversation(request.messages, request.options);
    case HarmonyMode::kTraining:
      return renderer.render_for_training(request.messages, request.options);
    case HarmonyMode::kCompletion:
      break;
  }
  return renderer.render_for_completion(request.messages, request.options);
}

std::string messages_to_json(std::span<const HarmonyMessage> messages) {
  std::vector<std::string> objects;
  for (const HarmonyMessage& message : messages) {
    std::string content;
    for (const HarmonyContent& part : message.content) content += std::get<std::string>(part);
    std::string object = fmt::format("{{\"role\": {}", to_ascii_json(to_string(message.role)));
    const auto add = [&](std::string_view key, const std::optional<std::string>& value) {
      if (value) object += fmt::format(", \"{}\": {}", key, to_ascii_json(*value));
    };
    add("name", message.name);
    add("content", content);
    add("channel", message.channel);
    add("recipient", message.recipient);
    add("content_type", message.content_type);
    objects.push_back(object + "}");
  }
  return fmt::format("[{}]", fmt::join(objects, ", "));
}

}  // namespace gossamer
