#include <fmt/format.h>

#include <filesystem>
#include <string_view>

#include "apps/model_path.h"
#include "apps/verify/recording.h"
#include "base/error.h"

namespace gossamer::apps {
namespace {

[[noreturn]] void fail(const std::string& where, std::string_view expected, const json::value& found) {
  constexpr std::size_t kMostShown = 80;
  std::string shown = json::serialize(found);
  if (shown.size() > kMostShown) shown = shown.substr(0, kMostShown) + "...";
  throw Error("{}: expected {}, found {}", where, expected, shown);
}

std::string read_string(const json::value& value, const std::string& where) {
  if (!value.is_string() || value.get_string().empty()) fail(where, "a string that is not empty", value);
  return std::string(value.get_string());
}

// [{"role": "user", "content": "..."}]
RecordingPrompts::Prompt read_messages(const json::value& value, const std::string& where) {
  constexpr std::string_view kExpected =
      "a list of one message, {\"role\": \"user\", \"content\": \"...\"}: instructions are given by --system";
  if (!value.is_array() || value.get_array().size() != 1) fail(where, kExpected, value);
  const json::value& message = value.get_array().front();
  const json::object* object = message.if_object();
  const json::value* role = object == nullptr ? nullptr : object->if_contains("role");
  const json::value* content = object == nullptr ? nullptr : object->if_contains("content");
  if (role == nullptr || content == nullptr || *role != json::value("user")) fail(where, kExpected, value);
  return {.text = read_string(*content, where + ": content"), .chat = true};
}

RecordingPrompts::Prompt read_prompt(const json::value& value, const std::string& where) {
  if (value.is_string()) return {.text = read_string(value, where), .chat = std::nullopt};
  if (value.is_array()) return read_messages(value, where);
  const json::object* object = value.if_object();
  if (object != nullptr && object->contains("messages"))
    return read_messages(object->at("messages"), where + ": messages");
  if (object != nullptr && object->contains("prompt"))
    return {.text = read_string(object->at("prompt"), where + ": prompt"), .chat = false};
  fail(where, "a string, {\"prompt\": \"...\"} or {\"messages\": [...]}", value);
}

}  // namespace

RecordingPrompts parse_prompt_set(const json::value& value, const std::string& where) {
  RecordingPrompts set;
  const auto read_prompts = [&](const json::value& list, const std::string& place) {
    if (!list.is_array()) fail(place, "a list of prompts", list);
    for (const json::value& item : list.get_array())
      set.prompts.push_back(read_prompt(item, fmt::format("{}[{}]", place, set.prompts.size())));
  };
  if (value.is_array()) {
    read_prompts(value, where);
  } else if (const json::object* object = value.if_object()) {
    for (const auto& member : *object) {
      const std::string place = fmt::format("{}: {}", where, std::string_view(member.key()));
      if (member.key() == "prompts") {
        read_prompts(member.value(), place);
      } else if (member.key() == "text") {
        if (!member.value().is_array()) fail(place, "a list of texts", member.value());
        for (const json::value& item : member.value().get_array())
          set.texts.push_back(read_string(item, fmt::format("{}[{}]", place, set.texts.size())));
      } else {
        throw Error("{}: expected the fields \"prompts\" and \"text\", found \"{}\"", where,
                    std::string_view(member.key()));
      }
    }
  } else {
    fail(where, "a list of prompts or an object with \"prompts\" and \"text\"", value);
  }
  if (set.prompts.empty() && set.texts.empty())
    throw Error("{}: expected prompts or texts, found none", where);
  return set;
}

RecordingPrompts read_prompt_set(const std::string& path) {
  return parse_prompt_set(read_json_file(path), path);
}

std::string default_prompt_file(const std::string& model, const Subject& subject) {
  const json::object identity = subject.identity();
  const auto text = [&](std::string_view key) {
    const json::value* value = identity.if_contains(key);
    return value != nullptr && value->is_string() ? std::string(value->get_string()) : std::string();
  };
  std::string name = text("architecture");
  if (name.empty()) name = subject.has_chat_form() ? "gpt_oss" : "gpt2";
  if (model == "demo" || std::filesystem::path(text("model")).filename() == "demo") name = "demo";
  const std::filesystem::path file = std::filesystem::path("prompts") / (name + ".json");
  return find_beside_program(file, "share" / file).string();
}

}  // namespace gossamer::apps
