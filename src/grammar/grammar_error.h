// GrammarError: why a schema, pattern or tool cannot become a grammar. Thrown inside this room only:
// compiling recurses through several files, and every function there would do nothing with a Result but hand
// it on. The public functions (json_schema.h, harmony_grammar.h) catch it and return a RequestError.
#pragma once

#include <fmt/format.h>

#include <stdexcept>
#include <string>
#include <utility>

namespace gossamer {

class GrammarError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;

  template <typename... Args>
  explicit GrammarError(fmt::format_string<Args...> format, Args&&... args) requires(sizeof...(Args) > 0)
      : std::runtime_error(fmt::format(format, std::forward<Args>(args)...)) {}
};

}  // namespace gossamer
