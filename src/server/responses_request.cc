#include "server/responses_request.h"

#include <algorithm>
#include <charconv>
#include <optional>
#include <set>
#include <string_view>
#include <utility>

#include "server/json_fields.h"
#include "server/refused_fields.h"
#include "server/responses_items.h"

namespace gossamer {
namespace {

constexpr std::string_view kLogprobs = "message.output_text.logprobs";
constexpr std::string_view kEncryptedReasoning = "reasoning.encrypted_content";
constexpr int64_t kMaxTopLogprobs = 20;

const std::vector<RefusedField> kRefused = {
    {"background", {"false"}, "ask for a stream"},
    {"conversation", {}, "previous_response_id continues a conversation"},
    {"prompt", {}, "there are no prompt templates here; use instructions"},
    {"context_management", {"[]"}, "a conversation is never cut silently"},
    {"moderation", {}},
    {"truncation", {"\"disabled\""}, "a conversation is never cut silently"},
    {"messages", {}, "its name is input here"},
    {"max_tokens", {}, "its name is max_output_tokens here"},
    {"max_completion_tokens", {}, "its name is max_output_tokens here"},
    {"response_format", {"{\"type\":\"text\"}"}, "its name is text.format here"},
    {"reasoning_effort", {}, "its name is reasoning.effort here"},
    {"logprobs", {"false"}, "include message.output_text.logprobs"},
    {"n", {"1"}, "a response is one answer"},
    {"best_of", {"1"}, "a response is one answer"},
};

// Read here and not by the chat's parser, which may know another field by that name.
const std::vector<std::string_view> kOwnFields = {
    "input",   "instructions",   "max_output_tokens", "reasoning",        "text",
    "tools",   "tool_choice",    "top_logprobs",      "include",          "previous_response_id",
    "store",   "stream_options", "metadata",          "messages",         "max_tokens",
    "n",       "best_of",        "response_format",   "reasoning_effort", "max_completion_tokens",
    "logprobs"};

// Values of `include` about items that no answer here has.
const std::vector<std::string_view> kIncludes = {kLogprobs,
                                                 kEncryptedReasoning,
                                                 "file_search_call.results",
                                                 "web_search_call.results",
                                                 "web_search_call.action.sources",
                                                 "message.input_image.image_url",
                                                 "computer_call_output.output.image_url",
                                                 "code_interpreter_call.outputs"};

json::value copy_or_null(const JsonFields& fields, std::string_view key) {
  const json::value* value = fields.find(key);
  return value == nullptr ? json::value(nullptr) : *value;
}

// Puts a copy of a field, where there is one, under another name.
void copy_field(const JsonFields& from, std::string_view key, json::object& to, std::string_view name) {
  if (const json::value* value = from.find(key)) to.insert_or_assign(name, *value);
}

// The chat's form of {"type": "function", "name", ...}: all but the type one level down.
json::object nested_function(const JsonFields& flat) {
  json::object function;
  for (const std::string_view key : {"name", "description", "parameters", "strict"})
    copy_field(flat, key, function, key);
  return {{"type", "function"}, {"function", std::move(function)}};
}

class Reader {
 public:
  Reader(const json::value& body, ResponseStore& store, const std::string& id)
      : fields_(body, ""), store_(store), id_(id) {}

  ResponsesRequest read() {
    refuse(fields_, kRefused);
    for (const auto& member : fields_.object()) {
      if (std::find(kOwnFields.begin(), kOwnFields.end(), member.key()) == kOwnFields.end())
        chat_.insert_or_assign(member.key(), member.value());
    }
    request_.store = fields_.boolean("store").value_or(true);
    read_tools();
    read_tool_choice();
    read_reasoning();
    read_text();
    read_include();
    read_echoed();
    copy_field(fields_, "max_output_tokens", chat_, "max_completion_tokens");
    if (const json::value* options = fields_.find("stream_options"))
      JsonFields(*options, "stream_options").boolean("include_obfuscation");

    // The conversation is read below, out of items.
    chat_.emplace("messages", json::array{json::object{{"role", "user"}, {"content", ""}}});
    ApiResult<ChatRequest> chat = parse_chat_request(chat_);
    if (!chat.ok()) throw in_words_of(request_, chat.error());
    request_.chat = std::move(chat).value();
    read_conversation();
    return std::move(request_);
  }

 private:
  void read_tools() {
    json::array nested;
    json::array echoed;
    const json::array* list = fields_.array("tools");
    for (std::size_t i = 0; list != nullptr && i < list->size(); ++i) {
      const JsonFields tool((*list)[i], fmt::format("tools[{}]", i));
      if (tool.required_string("type") != "function") continue;
      nested.push_back(nested_function(tool));
      request_.tools.push_back(i);
      echoed.push_back(json::object{{"type", "function"},
                                    {"name", copy_or_null(tool, "name")},
                                    {"description", copy_or_null(tool, "description")},
                                    {"parameters", copy_or_null(tool, "parameters")},
                                    {"strict", tool.boolean("strict").value_or(false)}});
    }
    chat_.emplace("tools", std::move(nested));
    request_.echo.emplace("tools", std::move(echoed));
  }

  void read_tool_choice() {
    const json::value* choice = fields_.find("tool_choice");
    request_.echo.emplace("tool_choice", choice == nullptr ? json::value("auto") : *choice);
    if (choice == nullptr) return;
    if (!choice->is_object()) {
      chat_.emplace("tool_choice", *choice);
      return;
    }
    const JsonFields named(*choice, "tool_choice");
    const std::string type = named.required_string("type");
    if (type == "function") {
      chat_.emplace("tool_choice", nested_function(named));
    } else if (type == "allowed_tools") {
      json::array tools;
      const json::array& list = named.required_array("tools");
      for (std::size_t i = 0; i < list.size(); ++i) {
        const JsonFields tool(list[i], fmt::format("tool_choice.tools[{}]", i));
        if (tool.required_string("type") != "function") tool.fail("type", "\"function\"");
        tools.push_back(nested_function(tool));
      }
      json::object allowed = {{"tools", std::move(tools)}};
      copy_field(named, "mode", allowed, "mode");
      chat_.emplace("tool_choice",
                    json::object{{"type", "allowed_tools"}, {"allowed_tools", std::move(allowed)}});
    } else {
      named.fail("type", "\"function\" or \"allowed_tools\"");
    }
  }

  void read_reasoning() {
    json::object echoed = {{"effort", nullptr}, {"summary", nullptr}};
    if (const json::value* value = fields_.find("reasoning")) {
      const JsonFields reasoning(*value, "reasoning");
      copy_field(reasoning, "effort", chat_, "reasoning_effort");
      copy_field(reasoning, "effort", echoed, "effort");
      for (const std::string_view key : {"summary", "generate_summary"}) {
        reasoning.choice(key, {"auto", "concise", "detailed", "none"});
      }
      copy_field(reasoning, "summary", echoed, "summary");
    }
    request_.echo.emplace("reasoning", std::move(echoed));
  }

  void read_text() {
    json::object echoed = {{"format", {{"type", "text"}}}, {"verbosity", "medium"}};
    if (const json::value* value = fields_.find("text")) {
      const JsonFields text(*value, "text");
      text.choice("verbosity", {"low", "medium", "high"});
      copy_field(text, "verbosity", echoed, "verbosity");
      copy_field(text, "format", echoed, "format");
      if (const json::value* format = text.find("format")) read_format(*format);
    }
    request_.echo.emplace("text", std::move(echoed));
  }

  void read_format(const json::value& value) {
    const JsonFields format(value, "text.format");
    json::object nested;
    copy_field(format, "type", nested, "type");
    const json::value* type = format.find("type");
    if (type != nullptr && *type == "json_schema") {
      json::object schema;
      for (const std::string_view key : {"name", "description", "schema", "strict"})
        copy_field(format, key, schema, key);
      nested.emplace("json_schema", std::move(schema));
    }
    chat_.emplace("response_format", std::move(nested));
  }

  void read_include() {
    bool logprobs = false;
    const json::array* list = fields_.array("include");
    for (std::size_t i = 0; list != nullptr && i < list->size(); ++i) {
      const std::string path = fmt::format("include[{}]", i);
      const std::string name = string_at((*list)[i], path);
      if (std::find(kIncludes.begin(), kIncludes.end(), name) == kIncludes.end())
        fail_at(path, fmt::format("\"{}\" or \"{}\"", kLogprobs, kEncryptedReasoning), &(*list)[i]);
      logprobs = logprobs || name == kLogprobs;
      request_.encrypted_reasoning = request_.encrypted_reasoning || name == kEncryptedReasoning;
    }
    const int64_t top = fields_.integer("top_logprobs", {.min = 0, .max = kMaxTopLogprobs}).value_or(0);
    request_.echo.emplace("top_logprobs", top);
    if (!logprobs && top == 0) return;
    chat_.insert_or_assign("logprobs", true);
    chat_.insert_or_assign("top_logprobs", top);
  }

  void read_echoed() {
    json::object& echo = request_.echo;
    echo.emplace("instructions", fields_.string("instructions") ? json::value(*fields_.string("instructions"))
                                                                : json::value(nullptr));
    echo.emplace("metadata", json::object());
    if (const json::value* metadata = fields_.find("metadata")) {
      const JsonFields pairs(*metadata, "metadata");
      for (const auto& member : pairs.object()) {
        if (!member.value().is_string()) fields_.fail("metadata", "an object whose values are strings");
      }
      echo["metadata"] = *metadata;
    }
    for (const std::string_view key : {"max_output_tokens", "max_tool_calls"}) {
      const std::optional<int64_t> number = fields_.integer(key, {.min = 1});
      echo.emplace(key, number ? json::value(*number) : json::value(nullptr));
    }
    for (const std::string_view key :
         {"previous_response_id", "prompt_cache_key", "safety_identifier", "user"}) {
      std::optional<std::string> text = fields_.string(key);
      echo.emplace(key, text ? json::value(*std::move(text)) : json::value(nullptr));
    }
    echo.emplace("background", false);
    echo.emplace("parallel_tool_calls", fields_.boolean("parallel_tool_calls").value_or(true));
    echo.emplace("service_tier", "default");
    echo.emplace("store", request_.store);
    echo.emplace("temperature", copy_or_null(fields_, "temperature"));
    echo.emplace("top_p", copy_or_null(fields_, "top_p"));
    echo.emplace("truncation", "disabled");
  }

  // What came before, then this request's own items. Instructions are of one call only.
  void read_conversation() {
    ConversationReader conversation;
    if (const std::optional<std::string> previous = fields_.string("previous_response_id")) {
      request_.previous = store_.find(*previous);
      if (request_.previous == nullptr) {
        throw ApiError{.message = fmt::format("previous_response_id: no response \"{}\" is kept here: it was "
                                              "made with store false, was deleted, or made room for others; "
                                              "send the whole conversation as input",
                                              shortened(*previous)),
                       .param = "previous_response_id",
                       .code = "previous_response_not_found"};
      }
      std::vector<const StoredResponse*> chain;
      for (const StoredResponse* at = request_.previous.get(); at != nullptr; at = at->previous.get())
        chain.push_back(at);
      for (auto stored = chain.rbegin(); stored != chain.rend(); ++stored) {
        for (const json::value& item : (*stored)->input) conversation.add(item, "previous_response_id");
        for (const json::value& item : (*stored)->response.at("output").as_array())
          conversation.add(item, "previous_response_id");
      }
    }
    read_input(conversation);
    request_.chat.messages = conversation.take_messages();
    if (const std::optional<std::string> instructions = fields_.string("instructions");
        instructions && !instructions->empty()) {
      request_.chat.messages.insert(request_.chat.messages.begin(),
                                    {.role = ChatRole::kDeveloper, .content = *instructions});
    }
  }

  void read_input(ConversationReader& conversation) {
    const json::value* input = fields_.find("input");
    if (input != nullptr && input->is_string()) {
      // Nothing said is no message: agents ask so for nothing but the prompt to be computed.
      if (!input->get_string().empty())
        add(json::object{{"type", "message"}, {"role", "user"}, {"content", input->get_string()}}, "input",
            conversation);
    } else if (input != nullptr && input->is_array()) {
      const json::array& items = input->get_array();
      for (std::size_t i = 0; i < items.size(); ++i) add(items[i], fmt::format("input[{}]", i), conversation);
    } else {
      fields_.fail("input", "a string or a list of items");
    }
  }

  void add(const json::value& item, const std::string& path, ConversationReader& conversation) {
    std::optional<json::value> referenced;
    if (const std::optional<std::string> id = referenced_id(item, path)) {
      const json::value found = json::string(*id);
      // A short body that named a long item again and again would be a conversation of any length.
      if (!referenced_.insert(*id).second)
        fail_at(path + ".id", "the id of an item that is not referred to above", &found);
      referenced = find_item(store_, *id);
      if (!referenced) fail_at(path + ".id", "the id of an item of a response that is kept here", &found);
    }
    const json::value& actual = referenced ? *referenced : item;
    conversation.add(actual, path);
    if (request_.store) request_.input.push_back(stored_item(actual, id_, request_.input.size()));
  }

  JsonFields fields_;
  ResponseStore& store_;
  const std::string& id_;
  json::object chat_;
  std::set<std::string> referenced_;
  ResponsesRequest request_;
};

// A path of the chat request in the words of the other.
std::string rename(std::string_view path, const std::vector<std::size_t>& tools) {
  struct Renamed {
    std::string_view from;
    std::string_view to;
  };
  constexpr std::string_view kTools = "tools[";
  constexpr std::string_view kFunction = ".function";
  const auto ends_name = [](std::string_view rest) {
    return rest.empty() || rest.front() == '.' || rest.front() == '[';
  };
  std::string begin;
  if (path.starts_with(kTools)) {
    std::size_t index = 0;
    const char* last = path.data() + path.size();
    const auto [end, error] = std::from_chars(path.data() + kTools.size(), last, index);
    if (error != std::errc() || end == last || *end != ']' || index >= tools.size()) return std::string(path);
    begin = fmt::format("tools[{}]", tools[index]);
    path.remove_prefix(static_cast<std::size_t>(end + 1 - path.data()));
  } else {
    for (const Renamed& renamed : {Renamed{"tool_choice.allowed_tools", "tool_choice"},
                                   {"tool_choice", "tool_choice"},
                                   {"response_format.json_schema", "text.format"},
                                   {"response_format", "text.format"},
                                   {"reasoning_effort", "reasoning.effort"},
                                   {"max_completion_tokens", "max_output_tokens"},
                                   {"max_tokens", "max_output_tokens"},
                                   {"messages", "input"}}) {
      if (!path.starts_with(renamed.from) || !ends_name(path.substr(renamed.from.size()))) continue;
      begin = renamed.to;
      path.remove_prefix(renamed.from.size());
      break;
    }
    // An element of allowed_tools nests its name as a tool does.
    if (begin == "tool_choice" && path.starts_with(".tools[")) {
      const std::size_t end = path.find(']') + 1;
      begin += path.substr(0, end);
      path.remove_prefix(end);
    }
  }
  if ((begin.starts_with("tool")) && path.starts_with(kFunction) && ends_name(path.substr(kFunction.size())))
    path.remove_prefix(kFunction.size());
  return begin + std::string(path);
}

}  // namespace

ApiError in_words_of(const ResponsesRequest& request, ApiError error) {
  if (!error.param) return error;
  const std::string renamed = rename(*error.param, request.tools);
  if (error.message.starts_with(*error.param)) error.message.replace(0, error.param->size(), renamed);
  error.param = renamed;
  return error;
}

ApiResult<ResponsesRequest> parse_responses_request(const json::value& body, ResponseStore& store,
                                                    const std::string& id) {
  try {
    return Reader(body, store, id).read();
  } catch (ApiError& error) {
    return std::move(error);
  }
}

}  // namespace gossamer
