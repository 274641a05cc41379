// The two ways in which things outside our control go wrong.
//   Error      a bad file, config or device at start-up: thrown, caught once in apps/.
//   Result<T>  a bad or unlucky request: a value, so that one request never takes the others down.
// Our own bugs are neither: see check.h.
#pragma once

#include <fmt/format.h>

#include <stdexcept>
#include <string>
#include <utility>
#include <variant>

#include "base/check.h"

namespace gossamer {

// The message says what was expected, what was found, where, and what to do about it.
class Error : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;

  template <typename... Args>
  explicit Error(fmt::format_string<Args...> format, Args&&... args) requires(sizeof...(Args) > 0)
      : std::runtime_error(fmt::format(format, std::forward<Args>(args)...)) {}
};

// Why a request was refused. Each maps to one HTTP status.
enum class RequestErrorKind {
  kInvalid,     // 400: malformed, out of range, too long
  kOverloaded,  // 429: the waiting queue is full
  kCancelled,   // 499: the client went away
  kInternal,    // 500: for example non-finite logits
};

struct RequestError {
  RequestErrorKind kind = RequestErrorKind::kInvalid;
  std::string message;
};

// A value or the reason why there is none.
template <typename T, typename Reason = RequestError>
class [[nodiscard]] Result {
 public:
  Result(T value) : state_(std::move(value)) {}       // NOLINT: implicit by design
  Result(Reason error) : state_(std::move(error)) {}  // NOLINT: implicit by design

  bool ok() const { return std::holds_alternative<T>(state_); }
  const T& value() const& {
    GOSSAMER_CHECK(ok());
    return std::get<T>(state_);
  }
  T&& value() && {
    GOSSAMER_CHECK(ok());
    return std::get<T>(std::move(state_));
  }
  const Reason& error() const {
    GOSSAMER_CHECK(!ok());
    return std::get<Reason>(state_);
  }

 private:
  std::variant<T, Reason> state_;
};

}  // namespace gossamer
