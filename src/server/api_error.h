// ApiError: what an OpenAI-compatible endpoint answers instead of a result. One bad request is one such
// value; it never stops anything else.
#pragma once

#include <optional>
#include <string>

#include "base/error.h"
#include "base/json.h"

namespace gossamer {

struct ApiError {
  int status = 400;
  std::string message;
  std::string type = "invalid_request_error";
  std::optional<std::string> param = std::nullopt;  // the field's path, "messages[2].role"
  std::optional<std::string> code = std::nullopt;
};

// {"error": {"message", "type", "param", "code"}}, always all four.
json::object to_json(const ApiError& error);

// An engine's refusal. Its messages begin with the parameter's name where one is to blame: "top_p: expected
// ...".
ApiError to_api_error(const RequestError& error);

template <typename T>
using ApiResult = Result<T, ApiError>;

}  // namespace gossamer
