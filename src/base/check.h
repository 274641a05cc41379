// GOSSAMER_CHECK and its kin: for our own bugs only. A failed check prints both values and aborts.
// Bad files, configs and requests are never checked this way: they are Error and Result (error.h).
#pragma once

#include <sstream>
#include <string>

namespace gossamer {

// Prints "file:line: check failed: expression (details)" on standard error and aborts.
[[noreturn]] void check_failed(const char* file, int line, const char* expression,
                               const std::string& details);

template <typename A, typename B>
[[noreturn]] void check_op_failed(const char* file, int line, const char* expression, const A& a,
                                  const B& b) {
  std::ostringstream details;
  details << a << " vs " << b;
  check_failed(file, line, expression, details.str());
}

}  // namespace gossamer

#define GOSSAMER_CHECK(condition)                                              \
  do {                                                                         \
    if (!(condition)) [[unlikely]]                                             \
      ::gossamer::check_failed(__FILE__, __LINE__, #condition, std::string()); \
  } while (false)

#define GOSSAMER_CHECK_OP(a, op, b)                                                         \
  do {                                                                                      \
    const auto& check_a = (a);                                                              \
    const auto& check_b = (b);                                                              \
    if (!(check_a op check_b)) [[unlikely]]                                                 \
      ::gossamer::check_op_failed(__FILE__, __LINE__, #a " " #op " " #b, check_a, check_b); \
  } while (false)

#define GOSSAMER_CHECK_EQ(a, b) GOSSAMER_CHECK_OP(a, ==, b)
#define GOSSAMER_CHECK_NE(a, b) GOSSAMER_CHECK_OP(a, !=, b)
#define GOSSAMER_CHECK_LE(a, b) GOSSAMER_CHECK_OP(a, <=, b)
#define GOSSAMER_CHECK_LT(a, b) GOSSAMER_CHECK_OP(a, <, b)
#define GOSSAMER_CHECK_GE(a, b) GOSSAMER_CHECK_OP(a, >=, b)
#define GOSSAMER_CHECK_GT(a, b) GOSSAMER_CHECK_OP(a, >, b)
