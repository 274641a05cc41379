// A JSON Schema validator for `gossamer verify` and the tests: what the grammars of this room promise is
// checked by code that shares nothing with them. Formats are left to the tests of formats.
#pragma once

#include <string>

#include "base/json.h"

namespace gossamer {

// Empty if `value` satisfies `schema`, otherwise what it violates.
std::string violation(const json::value& value, const json::value& schema, const json::value& root);

}  // namespace gossamer
