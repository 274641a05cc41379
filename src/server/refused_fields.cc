#include "server/refused_fields.h"

#include <string>

namespace gossamer {

void refuse(const JsonFields& body, const std::vector<RefusedField>& refused) {
  for (const RefusedField& field : refused) {
    const json::value* value = body.find(field.name);
    if (value == nullptr) continue;
    // Neutral values are short: a long one need not be serialized to see that it is none.
    const bool is_short = !value->is_string() || value->get_string().size() < 16;
    const bool is_small = !value->is_array() || value->get_array().size() < 2;
    const std::string text = is_short && is_small ? json::serialize(*value) : std::string();
    bool neutral = false;
    for (const std::string_view allowed : field.neutral) neutral = neutral || text == allowed;
    if (neutral) continue;
    throw ApiError{
        .message = fmt::format("{}: this server does not support it{}{}; leave it out",
                               body.path_of(field.name), field.instead.empty() ? "" : ": ", field.instead),
        .param = body.path_of(field.name),
        .code = "unsupported_parameter"};
  }
}

}  // namespace gossamer
