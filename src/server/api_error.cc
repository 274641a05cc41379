#include "server/api_error.h"

#include <algorithm>

namespace gossamer {
namespace {

json::value string_or_null(const std::optional<std::string>& text) {
  return text ? json::value(*text) : json::value(nullptr);
}

std::optional<std::string> parameter_of(const std::string& message) {
  const std::size_t colon = message.find(':');
  if (colon == 0 || colon == std::string::npos) return std::nullopt;
  const bool is_name = std::all_of(message.begin(), message.begin() + static_cast<std::ptrdiff_t>(colon),
                                   [](char c) { return c == '_' || (c >= 'a' && c <= 'z'); });
  return is_name ? std::optional<std::string>(message.substr(0, colon)) : std::nullopt;
}

}  // namespace

json::object to_json(const ApiError& error) {
  return {{"error",
           {{"message", error.message},
            {"type", error.type},
            {"param", string_or_null(error.param)},
            {"code", string_or_null(error.code)}}}};
}

ApiError to_api_error(const RequestError& error) {
  switch (error.kind) {
    case RequestErrorKind::kInvalid:
      return {.message = error.message, .param = parameter_of(error.message)};
    case RequestErrorKind::kOverloaded:
      return {
          .status = 429, .message = error.message, .type = "rate_limit_error", .code = "rate_limit_exceeded"};
    case RequestErrorKind::kCancelled:
      return {.status = 499, .message = error.message, .type = "request_cancelled"};
    case RequestErrorKind::kInternal:
      break;
  }
  return {.status = 500, .message = error.message, .type = "server_error"};
}

}  // namespace gossamer
