#include "grammar/schema_validator.h"

#include <algorithm>
#include <cmath>
#include <regex>
#include <string_view>

namespace gossamer {
namespace {

std::size_t num_characters(std::string_view text) {
  return static_cast<std::size_t>(std::count_if(
      text.begin(), text.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; }));
}

bool has_type(const json::value& value, std::string_view type) {
  if (type == "null") return value.is_null();
  if (type == "boolean") return value.is_bool();
  if (type == "string") return value.is_string();
  if (type == "array") return value.is_array();
  if (type == "object") return value.is_object();
  if (type == "number") return value.is_number();
  return value.is_number() && std::floor(value.to_number<double>()) == value.to_number<double>();
}

class Validator {
 public:
  explicit Validator(const json::value& root) : root_(root) {}

  std::string check(const json::value& value, const json::value& schema) {
    if (const bool* all = schema.if_bool()) return *all ? "" : "nothing is allowed";
    for (const auto& [key, rule] : schema.as_object()) {
      const std::string problem = check_keyword(value, key, rule, schema.as_object());
      if (!problem.empty()) return problem;
    }
    return "";
  }

 private:
  bool holds(const json::value& value, const json::value& schema) { return check(value, schema).empty(); }

  std::string check_keyword(const json::value& value, std::string_view key, const json::value& rule,
                            const json::object& schema) {
    const std::string broken = std::string(key) + " by " + json::serialize(value).substr(0, 200);
    const auto number = [&] { return rule.to_number<double>(); };
    const auto all_hold = [&](bool ok) { return ok ? std::string() : broken; };
    if (key == "$ref") return check(value, resolve(std::string(rule.as_string())));
    if (key == "type") {
      if (rule.is_string()) return all_hold(has_type(value, rule.as_string()));
      const auto& types = rule.as_array();
      return all_hold(std::any_of(types.begin(), types.end(),
                                  [&](const auto& type) { return has_type(value, type.as_string()); }));
    }
    if (key == "const") return all_hold(value == rule);
    if (key == "enum")
      return all_hold(std::find(rule.as_array().begin(), rule.as_array().end(), value) !=
                      rule.as_array().end());
    if (key == "anyOf" || key == "oneOf" || key == "allOf") {
      const auto& branches = rule.as_array();
      const auto holding = std::count_if(branches.begin(), branches.end(),
                                         [&](const auto& branch) { return holds(value, branch); });
      if (key == "anyOf") return all_hold(holding > 0);
      if (key == "oneOf") return all_hold(holding == 1);
      return all_hold(holding == static_cast<std::ptrdiff_t>(branches.size()));
    }
    if (value.is_number()) {
      const double x = value.to_number<double>();
      if (key == "minimum") return all_hold(x >= number());
      if (key == "maximum") return all_hold(x <= number());
      if (key == "exclusiveMinimum") return all_hold(x > number());
      if (key == "exclusiveMaximum") return all_hold(x < number());
      if (key == "multipleOf") return all_hold(std::fmod(x, number()) == 0);
    }
    if (value.is_string()) {
      const std::string text(value.as_string());
      if (key == "minLength") return all_hold(static_cast<double>(num_characters(text)) >= number());
      if (key == "maxLength") return all_hold(static_cast<double>(num_characters(text)) <= number());
      if (key == "pattern")
        return all_hold(std::regex_search(text, std::regex(std::string(rule.as_string()))));
    }
    if (value.is_array()) return check_array(value.as_array(), key, rule, schema, broken);
    if (value.is_object()) return check_object(value.as_object(), key, rule, schema, broken);
    return "";
  }

  std::string check_array(const json::array& array, std::string_view key, const json::value& rule,
                          const json::object& schema, const std::string& broken) {
    if (key == "minItems" && static_cast<double>(array.size()) < rule.to_number<double>()) return broken;
    if (key == "maxItems" && static_cast<double>(array.size()) > rule.to_number<double>()) return broken;
    const json::value* prefix = schema.if_contains("prefixItems");
    const std::size_t num_prefix = prefix == nullptr ? 0 : prefix->as_array().size();
    for (std::size_t i = 0; i < array.size(); ++i) {
      std::string problem;
      if (key == "prefixItems" && i < num_prefix) problem = check(array[i], rule.as_array()[i]);
      if (key == "items" && i >= num_prefix) problem = check(array[i], rule);
      if (!problem.empty()) return problem;
    }
    return "";
  }

  std::string check_object(const json::object& object, std::string_view key, const json::value& rule,
                           const json::object& schema, const std::string& broken) {
    if (key == "minProperties" && static_cast<double>(object.size()) < rule.to_number<double>())
      return broken;
    if (key == "maxProperties" && static_cast<double>(object.size()) > rule.to_number<double>())
      return broken;
    if (key == "required") {
      for (const json::value& name : rule.as_array()) {
        if (!object.contains(name.as_string())) return broken;
      }
    }
    for (const auto& [name, member] : object) {
      const json::value* properties = schema.if_contains("properties");
      const json::value* declared =
          properties == nullptr ? nullptr : properties->as_object().if_contains(name);
      std::string problem;
      if (key == "properties" && declared != nullptr) problem = check(member, *declared);
      if (key == "additionalProperties" && declared == nullptr) problem = check(member, rule);
      if (!problem.empty()) return problem;
    }
    return "";
  }

  const json::value& resolve(const std::string& ref) {
    return ref == "#" ? root_ : root_.at_pointer(ref.substr(1));
  }

  const json::value& root_;
};

}  // namespace

std::string violation(const json::value& value, const json::value& schema, const json::value& root) {
  return Validator(root).check(value, schema);
}

}  // namespace gossamer
