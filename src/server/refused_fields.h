// Documented fields of an API whose effect is not to be had here: refused by name, since an answer without it
// would be another answer. Called by the parsers of requests.
#pragma once

#include <string_view>
#include <vector>

#include "server/json_fields.h"

namespace gossamer {

// The neutral values are those by which a request says that it does not want it.
struct RefusedField {
  std::string_view name;
  std::vector<std::string_view> neutral = {};  // serialized
  std::string_view instead = {};
};

// Throws ApiError for the first field that is there and not neutral.
void refuse(const JsonFields& body, const std::vector<RefusedField>& refused);

}  // namespace gossamer
