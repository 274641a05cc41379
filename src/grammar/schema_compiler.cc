#include "grammar/schema_compiler.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <utility>

#include "grammar/formats.h"
#include "grammar/json_text.h"
#include "grammar/numbers.h"
#include "grammar/regex.h"
#include "text/harmony_tools.h"

namespace gossamer {
namespace {

// Keywords that restrict values in ways that are not enforced. Ignoring them would break the promise.
constexpr std::array<std::string_view, 18> kUnsupported = {
    "not",
    "if",
    "then",
    "else",
    "dependentRequired",
    "dependentSchemas",
    "dependencies",
    "patternProperties",
    "propertyNames",
    "contains",
    "minContains",
    "maxContains",
    "unevaluatedProperties",
    "unevaluatedItems",
    "additionalItems",
    "$dynamicRef",
    "$recursiveRef",
    "disallow",
};

constexpr uint32_t kMaxItems = 4096;
constexpr std::size_t kMaxBranches = 512;
constexpr int64_t kMaxMultiple = 1000;

const json::value* find(const json::object& object, const char* key) { return object.if_contains(key); }

// Adds the path to what goes wrong in files that know no schema.
template <typename Make>
auto at_path(const std::string& path, const Make& make) {
  try {
    return make();
  } catch (const GrammarError& error) {
    schema_error(path, error.what());
  }
}

void check_keywords(const json::object& schema, const std::string& path) {
  for (const auto& [key, value] : schema) {
    const std::string_view keyword = key;
    const bool harmless = keyword == "uniqueItems" && value.is_bool() && !value.get_bool();
    if (std::find(kUnsupported.begin(), kUnsupported.end(), keyword) != kUnsupported.end() ||
        (keyword == "uniqueItems" && !harmless)) {
      schema_error(schema_path(path, keyword), "this keyword is not supported");
    }
  }
}

}  // namespace

uint32_t natural_number(const json::object& schema, const char* keyword, uint32_t missing,
                        const std::string& path) {
  const json::value* value = find(schema, keyword);
  if (value == nullptr) return missing;
  const double number = value->is_number() ? value->to_number<double>() : -1;
  if (number < 0 || number != std::floor(number))
    schema_error(schema_path(path, keyword), "expected a whole number, 0 or more");
  return static_cast<uint32_t>(std::min<double>(number, kNoLimit - 1));
}

NodeId SchemaCompiler::compile() {
  const NodeId entry = entry_of(document_.root(), "#");
  while (!pending_.empty()) {
    const Pending job = std::move(pending_.front());
    pending_.pop_front();
    compile_one(job);
  }
  return entry;
}

NodeId SchemaCompiler::entry_of(const json::value& schema, const std::string& path) {
  const auto [it, added] = entries_.try_emplace(json::serialize(schema), 0);
  if (added) {
    it->second = builder_.add_node();
    pending_.push_back({it->second, &schema, path});
  }
  return it->second;
}

NodeId SchemaCompiler::any_value() {
  static const json::value kAnything = true;
  return entry_of(kAnything, "#");
}

void SchemaCompiler::compile_one(const Pending& job) {
  if (const bool* all = job.schema->if_bool()) {
    if (!*all) return;  // a node that leads nowhere
    static const json::object kAnyType = {
        {"type", {"null", "boolean", "number", "string", "array", "object"}}};
    return compile_types(job.entry, kAnyType, job.path);
  }
  if (!job.schema->is_object()) schema_error(job.path, "expected an object or a boolean");
  const json::object& schema = job.schema->as_object();
  check_keywords(schema, job.path);
  // A reference and nothing else is another name. Anything else that refers is folded into one schema first.
  const auto is_alone = [&](const char* keyword) {
    return std::none_of(schema.begin(), schema.end(),
                        [&](const auto& item) { return item.key() != keyword && is_assertion(item.key()); });
  };
  if (schema.contains("$ref") && is_alone("$ref")) {
    return builder_.add_epsilon(job.entry, entry_of(document_.resolve(schema, job.path), job.path));
  }
  if (const json::value* parts = find(schema, "allOf");
      parts != nullptr && is_alone("allOf") && parts->is_array() && parts->as_array().size() == 1) {
    return builder_.add_epsilon(job.entry,
                                entry_of(parts->as_array()[0], schema_path(job.path, "allOf") + "/0"));
  }
  if (!schema.contains("$ref") && !schema.contains("allOf")) return compile_flat(job.entry, schema, job.path);
  const json::value& flat = document_.keep(document_.flatten(*job.schema, job.path));
  if (flat.is_object()) compile_flat(job.entry, flat.as_object(), job.path);
}

void SchemaCompiler::compile_flat(NodeId entry, const json::object& schema, const std::string& path) {
  check_keywords(schema, path);
  if (schema.contains("anyOf")) return compile_branches(entry, schema, "anyOf", path);
  if (schema.contains("oneOf")) return compile_branches(entry, schema, "oneOf", path);
  if (schema.contains("enum") || schema.contains("const")) return compile_values(entry, schema, path);
  compile_types(entry, schema, path);
}

void SchemaCompiler::compile_branches(NodeId entry, const json::object& schema, const char* keyword,
                                      const std::string& path) {
  const std::string at = schema_path(path, keyword);
  const json::value& branches = schema.at(keyword);
  if (!branches.is_array() || branches.as_array().empty()) schema_error(at, "expected a list of schemas");
  const json::array& list = branches.as_array();
  if (list.size() > kMaxBranches) schema_error(at, fmt::format("more than {} alternatives", kMaxBranches));

  // What stands beside the alternatives holds for each of them.
  json::object rest;
  for (const auto& [key, value] : schema) {
    if (key != keyword && is_assertion(key)) rest[key] = value;
  }
  std::vector<const json::value*> whole;
  whole.reserve(list.size());
  for (const json::value& branch : list) {
    whole.push_back(rest.empty() ? &branch
                                 : &document_.keep(json::object{{"allOf", json::array{rest, branch}}}));
  }
  if (std::string_view(keyword) == "oneOf") {
    std::vector<json::value> flat;
    flat.reserve(whole.size());
    for (const json::value* branch : whole) flat.push_back(document_.flatten(*branch, at));
    for (std::size_t i = 0; i < flat.size(); ++i) {
      for (std::size_t k = 0; k < i; ++k) {
        if (document_.are_disjoint(flat[k], flat[i], at)) continue;
        schema_error(at, fmt::format("alternatives {} and {} may both hold, and oneOf allows only one: give "
                                     "them different types or a required property with different constants, "
                                     "or use anyOf",
                                     k, i));
      }
    }
  }
  for (std::size_t i = 0; i < whole.size(); ++i)
    builder_.add_epsilon(entry, entry_of(*whole[i], schema_path(at, std::to_string(i))));
}

// enum and const: the texts of the values themselves.
void SchemaCompiler::compile_values(NodeId entry, const json::object& schema, const std::string& path) {
  for (const auto& [key, value] : schema) {
    if (is_assertion(key) && key != "type" && key != "enum" && key != "const" &&
        !(key == "format" && value.is_string() && !is_standard_format(value.as_string()))) {
      schema_error(schema_path(path, key), "not supported beside enum or const: leave out what it excludes");
    }
  }
  const json::value* constant = find(schema, "const");
  const json::value* list = find(schema, "enum");
  if (list != nullptr && !list->is_array())
    schema_error(schema_path(path, "enum"), "expected a list of values");
  const unsigned types = declared_types(schema, path);
  std::vector<std::string> texts;
  const auto add = [&](const json::value& value) {
    if ((type_of_value(value) & types) != 0) texts.push_back(compact_json(value));
  };
  if (constant == nullptr) {
    for (const json::value& value : list->as_array()) add(value);
  } else if (list == nullptr || std::find(list->as_array().begin(), list->as_array().end(), *constant) !=
                                    list->as_array().end()) {
    add(*constant);
  }
  if (!texts.empty()) builder_.add_epsilon(entry, builder_.add_dfa(one_of(texts)));
}

void SchemaCompiler::compile_types(NodeId entry, const json::object& schema, const std::string& path) {
  const unsigned types = meant_types(schema, path);
  if ((types & kNull) != 0) builder_.set_accepting(builder_.add_literal(entry, "null"));
  if ((types & kBoolean) != 0) {
    builder_.set_accepting(builder_.add_literal(entry, "true"));
    builder_.set_accepting(builder_.add_literal(entry, "false"));
  }
  if ((types & (kNumber | kInteger)) != 0) add_number(entry, schema, (types & kNumber) == 0, path);
  if ((types & kString) != 0) add_string(entry, schema, path);
  if ((types & kArray) != 0) add_array(entry, schema, path);
  if ((types & kObject) != 0) add_object(entry, schema, path);
}

void SchemaCompiler::add_number(NodeId entry, const json::object& schema, bool integer,
                                const std::string& path) {
  const auto number_at = [&](const char* keyword) -> std::optional<double> {
    const json::value* value = find(schema, keyword);
    if (value == nullptr) return std::nullopt;
    if (!value->is_number()) schema_error(schema_path(path, keyword), "expected a number");
    return value->to_number<double>();
  };
  IntegerRange range;
  if (const std::optional<double> multiple = number_at("multipleOf")) {
    if (*multiple != std::floor(*multiple) || *multiple < 1 || *multiple > kMaxMultiple) {
      schema_error(schema_path(path, "multipleOf"),
                   fmt::format("only whole numbers from 1 to {} are supported", kMaxMultiple));
    }
    range.multiple_of = static_cast<int64_t>(*multiple);
    integer = true;  // every multiple is one
  }
  if (integer) {
    // Bounds may be fractions, and integers that a double does not hold.
    const auto tighten = [&](const char* keyword, bool is_minimum, bool exclusive) {
      const std::optional<double> bound = number_at(keyword);
      if (!bound) return;
      const json::value& value = schema.at(keyword);
      const double inward = is_minimum ? std::ceil(*bound) : std::floor(*bound);
      int64_t whole = 0;
      if (value.is_int64()) {
        whole = value.get_int64();
      } else {
        constexpr double kFar = 2e18;  // beyond the range, and well within int64_t
        whole = static_cast<int64_t>(std::clamp(inward, -kFar, kFar));
      }
      whole = std::clamp<int64_t>(whole, -2'000'000'000'000'000'000, 2'000'000'000'000'000'000);
      if (exclusive && inward == *bound) whole += is_minimum ? 1 : -1;
      if (is_minimum) {
        range.min = std::max(range.min, whole);
      } else {
        range.max = std::min(range.max, whole);
      }
    };
    tighten("minimum", true, false);
    tighten("exclusiveMinimum", true, true);
    tighten("maximum", false, false);
    tighten("exclusiveMaximum", false, true);
    if (range.min > range.max) return;
    return builder_.add_epsilon(entry,
                                builder_.add_dfa(at_path(path, [&] { return integers(range, budget_); })));
  }
  const auto bound_of = [&](const char* inclusive, const char* exclusive,
                            bool is_minimum) -> std::optional<Bound> {
    const std::optional<double> a = number_at(inclusive);
    const std::optional<double> b = number_at(exclusive);
    if (!a && !b) return std::nullopt;
    const bool use_b = b && (!a || (is_minimum ? *b >= *a : *b <= *a));
    const double bound = use_b ? *b : *a;
    const Bound made{.value = Decimal::of(bound), .exclusive = use_b};
    const std::string digits = made.value.whole + made.value.fraction;
    const std::size_t significant = digits.size() - std::min(digits.find_first_not_of('0'), digits.size());
    if (std::abs(bound) < 1e15 && (significant > 15 || digits.size() > 60)) {
      schema_error(schema_path(path, use_b ? exclusive : inclusive),
                   "more than 15 significant digits are not supported");
    }
    return made;
  };
  const std::optional<Bound> low = bound_of("minimum", "exclusiveMinimum", true);
  const std::optional<Bound> high = bound_of("maximum", "exclusiveMaximum", false);
  const Dfa dfa =
      at_path(path, [&] { return low || high ? numbers_between(low, high, budget_) : any_number(budget_); });
  builder_.add_epsilon(entry, builder_.add_dfa(dfa));
}

void SchemaCompiler::add_string(NodeId entry, const json::object& schema, const std::string& path) {
  uint32_t min = natural_number(schema, "minLength", 0, path);
  uint32_t max = natural_number(schema, "maxLength", kNoLimit, path);
  std::optional<std::string> pattern;
  std::string pattern_path = schema_path(path, "pattern");
  if (const json::value* value = find(schema, "pattern")) {
    if (!value->is_string()) schema_error(pattern_path, "expected a string");
    pattern = std::string(value->as_string());
  }
  if (const json::value* format = find(schema, "format");
      format != nullptr && format->is_string() && is_standard_format(format->as_string())) {
    const std::string at = schema_path(path, "format");
    if (pattern) schema_error(at, "not supported beside \"pattern\"");
    pattern = format_pattern(format->as_string());
    pattern_path = at;
    if (!pattern) {
      schema_error(at,
                   fmt::format("\"{}\" is not supported; date, date-time, time, uuid, email, hostname, ipv4, "
                               "ipv6 and uri are",
                               std::string_view(format->as_string())));
    }
  }
  const NodeId quote = builder_.add_literal(entry, "\"");
  const NodeId end = builder_.add_accepting_node();
  if (!pattern) {
    if (min <= max) builder_.add_call(quote, standard_rules().json_text, end, {min, max});
    return;
  }
  at_path(pattern_path, [&] {
    const Regex regex(*pattern);
    const std::optional<Regex::RepeatedClass> repeated = regex.repeated_class();
    if (repeated && !repeated->set.empty()) {
      min = std::max(min, repeated->min);
      max = std::min(max, repeated->max);
      if (min <= max)
        builder_.add_call(quote, builder_.add_dfa(json_text_of(repeated->set, budget_)), end, {min, max});
      return;
    }
    Dfa text = regex.json_text(budget_);
    if (min > 0 || max != kNoLimit) text = limit_length(text, min, max, budget_);
    builder_.add_epsilon(quote, builder_.add_dfa(text));
  });
}

// [ items ]: a node before and behind each item up to where all are alike, then a loop. Numbers of items are
// unrolled: counting them while matching would have to go into every frame of the stack.
void SchemaCompiler::add_array(NodeId entry, const json::object& schema, const std::string& path) {
  const uint32_t min = natural_number(schema, "minItems", 0, path);
  const uint32_t asked = natural_number(schema, "maxItems", kNoLimit, path);
  const uint32_t max = asked == kNoLimit ? asked : std::min(asked, std::max(min, kMaxItems));
  if (min > kMaxItems)
    schema_error(schema_path(path, "minItems"), fmt::format("more than {} is not supported", kMaxItems));
  std::vector<NodeId> prefix;
  if (const json::value* list = find(schema, "prefixItems")) {
    const std::string at = schema_path(path, "prefixItems");
    if (!list->is_array()) schema_error(at, "expected a list of schemas");
    for (const json::value& item : list->as_array())
      prefix.push_back(entry_of(item, schema_path(at, std::to_string(prefix.size()))));
  }
  // Without "items" any may follow; behind declared ones, as with properties, none do.
  std::optional<NodeId> rest;
  if (const json::value* items = find(schema, "items")) {
    if (items->is_array())
      schema_error(schema_path(path, "items"), "a list of schemas is called prefixItems since draft 2020-12");
    rest = entry_of(*items, schema_path(path, "items"));
  } else if (prefix.empty() || min > prefix.size()) {
    rest = any_value();
  }

  const NodeId open = add_space(builder_.add_literal(entry, "["), false);
  const NodeId close = builder_.add_node();
  builder_.add_literal(close, "]", builder_.add_accepting_node());
  if (min == 0) builder_.add_epsilon(open, close);
  const uint32_t num_alike = std::max({static_cast<uint32_t>(prefix.size()), min, max == kNoLimit ? 1 : max});
  NodeId before = open;
  for (uint32_t i = 0; i < num_alike && i < max; ++i) {
    if (i >= prefix.size() && !rest) break;
    const NodeId behind = builder_.add_node();
    builder_.add_call(before, i < prefix.size() ? prefix[i] : *rest, behind);
    if (i + 1 >= min) builder_.add_epsilon(add_space(behind, false), close);
    before = add_space(builder_.add_literal(behind, ","), true);
    const bool is_last = i + 1 == num_alike;
    if (is_last && max == kNoLimit && rest) builder_.add_call(before, *rest, behind);
  }
}

NodeId SchemaCompiler::add_space(NodeId from, bool behind_separator) {
  if (options_.space == JsonSpace::kNone) return from;
  if (options_.space == JsonSpace::kOneSpace && !behind_separator) return from;
  const NodeId to = builder_.add_node();
  builder_.add_epsilon(from, to);
  if (behind_separator) builder_.add_literal(from, " ", to);
  if (options_.space == JsonSpace::kLines) {
    if (!line_space_) line_space_ = builder_.add_dfa(Regex(R"(^\n(?: {0,32}|\t{0,8})$)").plain_text(budget_));
    builder_.add_call(from, *line_space_, to);
  }
  return to;
}

}  // namespace gossamer
