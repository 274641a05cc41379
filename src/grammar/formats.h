// The values of JSON Schema's `format` that are enforced, as patterns. Each describes a part of what the
// format allows, chosen so that every validator accepts it: real days of the month, no leap seconds, names
// and addresses of ordinary length.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace gossamer {

// The pattern of a format, or nothing if it is not one of ours.
std::optional<std::string> format_pattern(std::string_view format);

// Whether JSON Schema defines the format although we do not enforce it. Other names are mere annotations.
bool is_standard_format(std::string_view format);

}  // namespace gossamer
