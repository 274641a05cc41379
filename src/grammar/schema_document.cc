#include "grammar/schema_document.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <optional>
#include <utility>

namespace gossamer {
namespace {

constexpr std::size_t kMaxSchemaBytes = 256 << 10;
constexpr std::size_t kMaxMergedValues = 500'000;
constexpr int kMaxReferences = 64;  // followed one after the other
constexpr int kMaxNesting = 100;

constexpr std::array<std::pair<std::string_view, unsigned>, 7> kTypeNames = {{{"null", kNull},
                                                                              {"boolean", kBoolean},
                                                                              {"integer", kInteger},
                                                                              {"number", kNumber | kInteger},
                                                                              {"string", kString},
                                                                              {"array", kArray},
                                                                              {"object", kObject}}};

// The types that a keyword speaks of; 0 for those that speak of all.
constexpr std::array<std::pair<std::string_view, unsigned>, 24> kAssertions = {{
    {"type", 0},
    {"enum", 0},
    {"const", 0},
    {"anyOf", 0},
    {"oneOf", 0},
    {"allOf", 0},
    {"$ref", 0},
    {"properties", kObject},
    {"required", kObject},
    {"additionalProperties", kObject},
    {"minProperties", kObject},
    {"maxProperties", kObject},
    {"items", kArray},
    {"prefixItems", kArray},
    {"minItems", kArray},
    {"maxItems", kArray},
    {"minLength", kString},
    {"maxLength", kString},
    {"pattern", kString},
    {"minimum", kNumber | kInteger},
    {"maximum", kNumber | kInteger},
    {"exclusiveMinimum", kNumber | kInteger},
    {"exclusiveMaximum", kNumber | kInteger},
    {"multipleOf", kNumber | kInteger},
}};

const json::value kAnything = true;
const json::value kNothing = false;

std::size_t count_values(const json::value& value) {
  std::size_t count = 1;
  if (const auto* object = value.if_object()) {
    for (const auto& [key, member] : *object) count += count_values(member);
  } else if (const auto* array = value.if_array()) {
    for (const json::value& element : *array) count += count_values(element);
  }
  return count;
}

void check_nesting(const json::value& value, int depth) {
  if (depth > kMaxNesting) schema_error("#", fmt::format("nested more than {} levels deep", kMaxNesting));
  if (const auto* object = value.if_object()) {
    for (const auto& [key, member] : *object) check_nesting(member, depth + 1);
  } else if (const auto* array = value.if_array()) {
    for (const json::value& element : *array) check_nesting(element, depth + 1);
  }
}

const json::value* find(const json::object& object, std::string_view key) { return object.if_contains(key); }

// The values of const and enum together, or null if there is neither.
std::optional<json::array> allowed_values(const json::object& schema) {
  const json::value* constant = find(schema, "const");
  const json::value* list = find(schema, "enum");
  if (constant != nullptr) return json::array{*constant};
  if (list != nullptr && list->is_array()) return list->as_array();
  return std::nullopt;
}

bool equal_values(const json::value& a, const json::value& b) {
  if (a.is_number() && b.is_number()) return a.to_number<double>() == b.to_number<double>();
  return a == b;
}

json::value both(const json::value& a, const json::value& b) {
  return json::object{{"allOf", json::array{a, b}}};
}

bool requires_property(const json::object& schema, std::string_view name) {
  const json::value* required = find(schema, "required");
  if (required == nullptr || !required->is_array()) return false;
  const auto& names = required->as_array();
  return std::any_of(names.begin(), names.end(), [&](const json::value& v) {
    return v.is_string() && std::string_view(v.as_string()) == name;
  });
}

// The schema of a property, declared or not; null where anything goes.
const json::value* schema_of_property(const json::object& schema, std::string_view name) {
  if (const json::value* properties = find(schema, "properties"); properties && properties->is_object()) {
    if (const json::value* found = properties->as_object().if_contains(name)) return found;
  }
  return find(schema, "additionalProperties");
}

}  // namespace

std::string schema_path(const std::string& parent, std::string_view key) {
  std::string path = parent + "/";
  for (const char c : key) {
    if (c == '~') {
      path += "~0";
    } else if (c == '/') {
      path += "~1";
    } else {
      path += c;
    }
  }
  return path;
}

void schema_error(const std::string& path, const std::string& message) {
  throw GrammarError("schema at {}: {}", path, message);
}

unsigned type_of_value(const json::value& value) {
  if (value.is_null()) return kNull;
  if (value.is_bool()) return kBoolean;
  if (value.is_string()) return kString;
  if (value.is_array()) return kArray;
  if (value.is_object()) return kObject;
  if (value.is_double() && value.get_double() != std::floor(value.get_double())) return kNumber;
  return kInteger;
}

unsigned declared_types(const json::object& schema, const std::string& path) {
  const json::value* type = find(schema, "type");
  if (type == nullptr) return kAnyType;
  const auto bits_of = [&](const json::value& name) {
    for (const auto& [known, bits] : kTypeNames) {
      if (name.is_string() && std::string_view(name.as_string()) == known) return bits;
    }
    schema_error(
        schema_path(path, "type"),
        fmt::format("{} is no type; expected null, boolean, integer, number, string, array or object",
                    json::serialize(name)));
  };
  if (!type->is_array()) return bits_of(*type);
  unsigned types = 0;
  for (const json::value& name : type->as_array()) types |= bits_of(name);
  return types;
}

unsigned meant_types(const json::object& schema, const std::string& path) {
  if (schema.contains("type")) return declared_types(schema, path);
  unsigned types = 0;
  for (const auto& [keyword, bits] : kAssertions) {
    if (schema.contains(keyword)) types |= bits;
  }
  return types == 0 ? unsigned{kAnyType} : types;
}

bool is_assertion(std::string_view keyword) {
  return keyword == "format" || std::any_of(kAssertions.begin(), kAssertions.end(),
                                            [&](const auto& known) { return known.first == keyword; });
}

bool has_assertions(const json::object& schema) {
  return std::any_of(schema.begin(), schema.end(), [](const auto& item) { return is_assertion(item.key()); });
}

SchemaDocument::SchemaDocument(const json::value& root) : root_(root) {
  check_nesting(root, 0);
  const std::size_t size = json::serialize(root).size();
  if (size > kMaxSchemaBytes)
    schema_error("#", fmt::format("{} bytes are too large: at most {}", size, kMaxSchemaBytes));
}

void SchemaDocument::spend(const json::value& value) {
  spent_ += count_values(value);
  if (spent_ > kMaxMergedValues) schema_error("#", "too large: allOf, anyOf and $ref multiply to too much");
}

const json::value& SchemaDocument::resolve(const json::object& schema, const std::string& path) const {
  const std::string at = schema_path(path, "$ref");
  const json::value& ref = schema.at("$ref");
  if (!ref.is_string()) schema_error(at, "expected a string");
  const std::string_view pointer = ref.as_string();
  if (!pointer.starts_with('#')) {
    schema_error(at,
                 fmt::format("\"{}\" leads out of the schema; only references within it (\"#/$defs/...\") "
                             "are supported",
                             pointer));
  }
  const json::value* value = &root_;
  std::string_view rest = pointer.substr(1);
  if (!rest.empty() && rest[0] != '/') schema_error(at, "references by $anchor are not supported");
  while (!rest.empty()) {
    rest.remove_prefix(1);
    const std::size_t end = std::min(rest.find('/'), rest.size());
    std::string key;
    for (std::size_t i = 0; i < end; ++i) {
      const std::string_view escape = rest.substr(i, 2);
      unsigned code = 0;
      if (escape == "~0" || escape == "~1") {
        key += escape == "~0" ? '~' : '/';
        i += 1;
      } else if (rest[i] == '%' && i + 2 < end &&
                 std::from_chars(&rest[i + 1], &rest[i + 1] + 2, code, 16).ptr == &rest[i + 1] + 2) {
        key += static_cast<char>(code);
        i += 2;
      } else {
        key += rest[i];
      }
    }
    rest.remove_prefix(end);
    const json::value* next = nullptr;
    if (const auto* object = value->if_object()) {
      next = object->if_contains(key);
    } else if (const auto* array = value->if_array()) {
      std::size_t index = 0;
      const auto parsed = std::from_chars(key.data(), key.data() + key.size(), index);
      if (parsed.ptr == key.data() + key.size() && index < array->size()) next = &(*array)[index];
    }
    if (next == nullptr) schema_error(at, fmt::format("\"{}\" leads nowhere", pointer));
    value = next;
  }
  return *value;
}

json::value SchemaDocument::flatten(const json::value& schema, const std::string& path) {
  return flatten(schema, path, 0);
}

json::value SchemaDocument::flatten(const json::value& schema, const std::string& path, int depth) {
  if (depth > kMaxReferences) schema_error(path, "$ref and allOf lead in a circle, or too far");
  spend(schema);
  if (schema.is_bool()) return schema;
  if (!schema.is_object()) schema_error(path, "expected an object or a boolean");
  const json::object& given = schema.as_object();
  json::object flat;
  for (const auto& [key, value] : given) {
    if (key != "$ref" && key != "allOf" && key != "$defs" && key != "definitions") flat[key] = value;
  }
  bool never = false;
  const auto take = [&](const json::value& part, const std::string& part_path) {
    const json::value other = flatten(part, part_path, depth + 1);
    if (const bool* all = other.if_bool()) {
      never |= !*all;
    } else {
      flat = merge(flat, other.as_object(), path);
    }
  };
  if (given.contains("$ref")) take(resolve(given, path), path);
  if (const json::value* parts = find(given, "allOf")) {
    const std::string at = schema_path(path, "allOf");
    if (!parts->is_array() || parts->as_array().empty()) schema_error(at, "expected a list of schemas");
    std::size_t i = 0;
    for (const json::value& part : parts->as_array()) take(part, schema_path(at, std::to_string(i++)));
  }
  if (never) return false;
  return flat;
}

json::object SchemaDocument::merge(const json::object& a, const json::object& b, const std::string& path) {
  json::object merged = a;
  spend(a);
  spend(b);
  for (const auto& [key, value] : b) {
    json::value* here = merged.if_contains(key);
    if (here == nullptr) {
      merged[key] = value;
    } else if (*here == value || (key != "uniqueItems" && !is_assertion(key))) {
      continue;
    } else if (key == "uniqueItems") {
      *here = true;  // one of them is, and it is refused
    } else if (key == "type") {
      const unsigned types = declared_types(a, path) & declared_types(b, path);
      json::array names;
      for (const auto& [name, bits] : kTypeNames) {
        const bool covered = name == "integer" && (types & kNumber) != 0;
        if ((types & bits) == bits && !covered) names.emplace_back(name);
      }
      *here = std::move(names);
    } else if (key == "const") {
      if (!equal_values(*here, value)) merged["enum"] = json::array{};
    } else if (key == "enum") {
      if (!here->is_array() || !value.is_array()) continue;  // a mistake, reported when it is compiled
      json::array common;
      for (const json::value& x : here->as_array()) {
        const auto& others = value.as_array();
        if (std::any_of(others.begin(), others.end(), [&](const auto& y) { return equal_values(x, y); }))
          common.push_back(x);
      }
      *here = std::move(common);
    } else if (key.starts_with("min") || key == "exclusiveMinimum" || key.starts_with("max") ||
               key == "exclusiveMaximum") {
      if (!here->is_number() || !value.is_number()) schema_error(schema_path(path, key), "expected a number");
      const bool least = key.starts_with("max") || key == "exclusiveMaximum";
      const bool smaller = value.to_number<double>() < here->to_number<double>();
      if (smaller == least) *here = value;
    } else if (key == "anyOf" || key == "oneOf") {
      if (!here->is_array() || !value.is_array()) continue;
      json::array pairs;
      for (const json::value& x : here->as_array()) {
        for (const json::value& y : value.as_array()) {
          pairs.push_back(both(x, y));
          spend(pairs.back());
        }
      }
      *here = std::move(pairs);
    } else if (key == "pattern" || key == "format" || key == "multipleOf") {
      schema_error(path, fmt::format("two different values of \"{}\" meet in allOf, which is not supported",
                                     std::string_view(key)));
    }
  }
  merge_objects(a, b, merged);
  merge_arrays(a, b, merged, path);
  spend(merged);
  return merged;
}

// A property must satisfy what either side says of it, and be it that a side says so of all it does not
// declare.
void SchemaDocument::merge_objects(const json::object& a, const json::object& b, json::object& merged) {
  json::object properties;
  const auto add_from = [&](const json::object& from, const json::object& other) {
    const json::value* declared = find(from, "properties");
    if (declared == nullptr || !declared->is_object()) return;
    for (const auto& [name, schema] : declared->as_object()) {
      if (properties.contains(name)) continue;
      const json::value* also = schema_of_property(other, name);
      properties[name] = also == nullptr || *also == schema ? schema : both(schema, *also);
    }
  };
  add_from(a, b);
  add_from(b, a);
  if (a.contains("properties") || b.contains("properties")) merged["properties"] = std::move(properties);

  const json::value* rest_a = find(a, "additionalProperties");
  const json::value* rest_b = find(b, "additionalProperties");
  if (rest_a != nullptr && rest_b != nullptr && !(*rest_a == *rest_b))
    merged["additionalProperties"] = both(*rest_a, *rest_b);

  const json::value* required_a = find(a, "required");
  const json::value* required_b = find(b, "required");
  if (required_a == nullptr || required_b == nullptr) return;
  if (!required_a->is_array() || !required_b->is_array()) return;
  json::array names = required_a->as_array();
  for (const json::value& name : required_b->as_array()) {
    if (std::find(names.begin(), names.end(), name) == names.end()) names.push_back(name);
  }
  merged["required"] = std::move(names);
}

void SchemaDocument::merge_arrays(const json::object& a, const json::object& b, json::object& merged,
                                  const std::string& path) {
  const json::value* items_a = find(a, "items");
  const json::value* items_b = find(b, "items");
  const json::value* prefix_a = find(a, "prefixItems");
  const json::value* prefix_b = find(b, "prefixItems");
  if (items_a != nullptr && items_b != nullptr && !(*items_a == *items_b))
    merged["items"] = both(*items_a, *items_b);
  if (prefix_a == nullptr && prefix_b == nullptr) return;
  const auto list = [&](const json::value* prefix) {
    if (prefix == nullptr) return json::array{};
    if (!prefix->is_array()) schema_error(schema_path(path, "prefixItems"), "expected a list of schemas");
    return prefix->as_array();
  };
  const json::array list_a = list(prefix_a);
  const json::array list_b = list(prefix_b);
  const auto at = [](const json::array& prefix, const json::value* items, std::size_t i) {
    if (i < prefix.size()) return prefix[i];
    return items == nullptr ? json::value(true) : *items;
  };
  json::array prefix;
  for (std::size_t i = 0; i < std::max(list_a.size(), list_b.size()); ++i) {
    const json::value x = at(list_a, items_a, i);
    const json::value y = at(list_b, items_b, i);
    prefix.push_back(x == y ? x : both(x, y));
  }
  merged["prefixItems"] = std::move(prefix);
}

bool SchemaDocument::are_disjoint(const json::value& a, const json::value& b, const std::string& path) {
  return excludes(a, b, path, 0) && excludes(b, a, path, 0);
}

// Whether nothing that is generated for one schema is allowed by the other.
bool SchemaDocument::excludes(const json::value& generated, const json::value& allowed,
                              const std::string& path, int depth) {
  if (depth > 8) return false;
  spend(generated);
  spend(allowed);
  if (const bool* all = generated.if_bool()) return !*all;
  if (const bool* all = allowed.if_bool()) return !*all;
  const json::object& from = generated.as_object();
  const json::object& to = allowed.as_object();

  for (const char* keyword : {"anyOf", "oneOf"}) {
    const auto each_branch_excluded = [&](const json::object& schema, bool is_generated) {
      const json::value* branches = find(schema, keyword);
      if (branches == nullptr || !branches->is_array()) return false;
      const auto& list = branches->as_array();
      return std::all_of(list.begin(), list.end(), [&](const json::value& branch) {
        const json::value flat = flatten(branch, path);
        return is_generated ? excludes(flat, allowed, path, depth + 1)
                            : excludes(generated, flat, path, depth + 1);
      });
    };
    if (each_branch_excluded(from, true) || each_branch_excluded(to, false)) return true;
  }

  unsigned from_types = meant_types(from, path);
  const unsigned to_types = declared_types(to, path);
  const std::optional<json::array> from_values = allowed_values(from);
  const std::optional<json::array> to_values = allowed_values(to);
  if (from_values) {
    from_types = 0;
    for (const json::value& value : *from_values) from_types |= type_of_value(value);
    if (to_values) {
      const auto is_allowed = [&](const json::value& value) {
        return std::any_of(to_values->begin(), to_values->end(),
                           [&](const json::value& other) { return equal_values(value, other); });
      };
      if (std::none_of(from_values->begin(), from_values->end(), is_allowed)) return true;
    }
  } else if (to_values) {
    unsigned types = 0;
    for (const json::value& value : *to_values) types |= type_of_value(value);
    if ((types & from_types) == 0) return true;
  }
  const unsigned common = from_types & to_types;
  if (common == 0) return true;
  if (common != kObject || from_values || to_values) return false;

  // Objects: a property that must be there, on which they do not agree. Where it is not even generated, what
  // requires it is not satisfied either.
  const auto differ_at = [&](const json::value& name) {
    if (!name.is_string()) return false;
    const std::string_view key = name.as_string();
    const json::value* here = schema_of_property(from, key);
    const json::value* there = schema_of_property(to, key);
    if (there == nullptr) there = &kAnything;
    if (here == nullptr) {
      const bool never = from.contains("properties") && !requires_property(from, key);
      here = never ? &kNothing : &kAnything;
    }
    return excludes(flatten(*here, path), flatten(*there, path), path, depth + 1);
  };
  for (const json::object* schema : {&from, &to}) {
    const json::value* required = find(*schema, "required");
    if (required == nullptr || !required->is_array()) continue;
    const auto& names = required->as_array();
    if (std::any_of(names.begin(), names.end(), differ_at)) return true;
  }
  return false;
}

}  // namespace gossamer
