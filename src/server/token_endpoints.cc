#include "server/token_endpoints.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "base/utf8.h"
#include "server/call_response.h"
#include "server/chat_prompt.h"
#include "server/json_fields.h"
#include "server/openai_request.h"
#include "server/prepare_requests.h"

namespace gossamer {
namespace {

// As tokenizer.json writes a token: bytes by GPT-2's printable characters, special tokens as they are.
std::string token_string(const Tokenizer& tokenizer, int32_t id) {
  const std::string_view bytes = tokenizer.token_bytes(id);
  std::string out;
  if (tokenizer.is_special(id)) {
    utf8_append_lossy(bytes, out);
    return out;
  }
  const auto is_printable = [](int byte) {
    return (byte >= 0x21 && byte <= 0x7E) || (byte >= 0xA1 && byte <= 0xAC) || byte >= 0xAE;
  };
  for (const char c : bytes) {
    const int byte = static_cast<unsigned char>(c);
    char32_t character = static_cast<char32_t>(byte);
    if (!is_printable(byte)) {
      // The others are U+0100 on, in order.
      character = 0x100;
      for (int other = 0; other < byte; ++other) character += is_printable(other) ? 0 : 1;
    }
    utf8_append(character, out);
  }
  return out;
}

// The conversation's part of a body, as a chat request: what else it says is of no account here.
json::object chat_body(const JsonFields& fields) {
  json::object chat;
  for (const std::string_view key :
       {"model", "messages", "tools", "tool_choice", "reasoning_effort", "chat_template",
        "chat_template_kwargs", "continue_final_message", "documents"}) {
    if (const json::value* value = fields.find(key)) chat.emplace(key, *value);
  }
  return chat;
}

std::vector<int32_t> encode_chat(const JsonFields& fields, const ServedModel& model) {
  ApiResult<ChatRequest> chat = parse_chat_request(chat_body(fields));
  if (!chat.ok()) throw chat.error();
  ApiResult<std::vector<int32_t>> ids =
      render_chat_prompt(chat.value(), model, fields.boolean("add_generation_prompt").value_or(true));
  if (!ids.ok()) throw ids.error();
  return std::move(ids).value();
}

void check_model(const JsonFields& fields, const ServedModel& model) {
  CommonFields common;
  common.model = fields.string("model");
  if (std::optional<ApiError> error = check_model_name(common, model)) throw *std::move(error);
}

json::object tokenize_or_throw(const json::value& body, const ServedModel& model) {
  const JsonFields fields(body, "");
  check_model(fields, model);
  fields.boolean("add_special_tokens");  // none of our tokenizers adds any
  const bool has_prompt = fields.find("prompt") != nullptr;
  if (!has_prompt && fields.find("messages") == nullptr)
    fields.fail("prompt", "a string, or messages instead of it");
  // A prompt that is to be continued as it is may name special tokens.
  const std::vector<int32_t> ids =
      has_prompt ? model.tokenizer->encode(fields.required_string("prompt"), {.parse_special = true})
                 : encode_chat(fields, model);
  json::value strings(nullptr);
  if (fields.boolean("return_token_strs").value_or(false)) {
    json::array list;
    for (const int32_t id : ids) list.emplace_back(token_string(*model.tokenizer, id));
    strings = std::move(list);
  }
  return {{"count", ids.size()},
          {"max_model_len", model.max_model_len},
          {"tokens", ids_json(ids)},
          {"token_strs", std::move(strings)}};
}

json::object detokenize_or_throw(const json::value& body, const ServedModel& model) {
  const JsonFields fields(body, "");
  check_model(fields, model);
  const json::array& list = fields.required_array("tokens");
  std::vector<int32_t> ids;
  ids.reserve(list.size());
  for (std::size_t i = 0; i < list.size(); ++i) {
    ids.push_back(static_cast<int32_t>(integer_at(list[i], fmt::format("tokens[{}]", i),
                                                  {.min = 0, .max = std::numeric_limits<int32_t>::max()})));
  }
  if (std::optional<ApiError> error = check_ids(ids, "tokens", model)) throw *std::move(error);
  return {{"prompt", model.tokenizer->decode(ids)}};
}

json::object named_model(const ServedModel& model, std::string_view name, int64_t created) {
  return {{"id", name},
          {"object", "model"},
          {"created", created},
          {"owned_by", "gossamer"},
          {"root", model.names.front()},
          {"parent", nullptr},
          {"max_model_len", model.max_model_len}};
}

}  // namespace

ApiResult<json::object> tokenize(const json::value& body, const ServedModel& model) {
  try {
    return tokenize_or_throw(body, model);
  } catch (ApiError& error) {
    return std::move(error);
  }
}

ApiResult<json::object> detokenize(const json::value& body, const ServedModel& model) {
  try {
    return detokenize_or_throw(body, model);
  } catch (ApiError& error) {
    return std::move(error);
  }
}

json::object models_json(const ServedModel& model, int64_t created) {
  json::array data;
  for (const std::string& name : model.names) data.push_back(named_model(model, name, created));
  return {{"object", "list"}, {"data", std::move(data)}};
}

ApiResult<json::object> model_json(const ServedModel& model, std::string_view name, int64_t created) {
  if (std::find(model.names.begin(), model.names.end(), name) != model.names.end())
    return named_model(model, name, created);
  return ApiError{.status = 404,
                  .message = fmt::format("model: \"{}\" is not served here; there is {}", shortened(name),
                                         fmt::join(model.names, ", ")),
                  .param = "model",
                  .code = "model_not_found"};
}

}  // namespace gossamer
