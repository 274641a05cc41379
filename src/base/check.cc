#include "base/check.h"

#include <cstdio>
#include <cstdlib>

namespace gossamer {

void check_failed(const char* file, int line, const char* expression, const std::string& details) {
  std::fprintf(stderr, "%s:%d: check failed: %s%s%s%s\n", file, line, expression, details.empty() ? "" : " (",
               details.c_str(), details.empty() ? "" : ")");
  std::abort();
}

}  // namespace gossamer
