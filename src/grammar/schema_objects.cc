// Objects: the part of SchemaCompiler that is a graph of its own.
//
// Properties come in the schema's order, and any optional one may be left out. For each property i there are
//   first(i)  nothing is written yet, and i is the first that still may be             { ·
//   next(i)   a comma is written, and i is the first that still may be                 {"a":1, ·
//   done(i)   the properties before i are written or left out                          {"a":1 ·
//   end(i)    the same, and nothing more will be written                               {"a":1 ·}
// with epsilons from i to i + 1 where i is optional, so that the size is linear in the number of properties.
// Behind the last one come undeclared properties, as many as may be (more, rest).
//
// minProperties and maxProperties, where they exclude anything, copy all this for each number of properties
// written.
#include <algorithm>
#include <map>
#include <tuple>
#include <utility>

#include "grammar/json_text.h"
#include "grammar/schema_compiler.h"

namespace gossamer {
namespace {

constexpr std::size_t kMaxProperties = 2'000;
constexpr uint32_t kMaxCounted = 1'000;

struct Property {
  std::string name;
  NodeId value = 0;
  bool required = false;
};

struct ObjectShape {
  std::vector<Property> properties;
  std::optional<NodeId> rest;  // begins the value of an undeclared property, if there may be any
  uint32_t min = 0;
  uint32_t max = kNoLimit;
};

class ObjectGraph {
 public:
  ObjectGraph(GrammarBuilder& builder, ObjectShape shape, WorkBudget& budget)
      : builder_(builder),
        shape_(std::move(shape)),
        num_declared_(static_cast<uint32_t>(shape_.properties.size())) {
    if (!shape_.rest) return;
    std::vector<std::string> names;
    for (const Property& property : shape_.properties) names.push_back(property.name);
    rest_key_ = names.empty() ? standard_rules().json_key : builder_.add_dfa(json_text_except(names, budget));
  }

  // Between `open` and `close`, which are the braces. `space(from, behind_separator)` adds white space.
  template <typename Space>
  void build(NodeId open, NodeId close, const Space& space) {
    builder_.add_epsilon(open, node({kFirst, 0, 0}));
    while (!work_.empty()) {
      const Place place = work_.back();
      work_.pop_back();
      add_edges(place, close, space);
    }
  }

 private:
  enum Kind : int { kFirst, kNext, kDone, kEnd, kMore, kRest };
  struct Place {
    Kind kind;
    uint32_t property;
    uint32_t count;  // of properties written, as far as it matters
    auto operator<=>(const Place&) const = default;
  };

  NodeId node(const Place& place) {
    const auto [it, added] = nodes_.try_emplace(place, 0);
    if (added) {
      it->second = builder_.add_node();
      work_.push_back(place);
    }
    return it->second;
  }

  // Where there is no maximum, more than the minimum makes no difference.
  uint32_t one_more(uint32_t count) const {
    return std::min(count + 1, shape_.max == kNoLimit ? shape_.min : shape_.max);
  }
  bool may_leave_out(uint32_t i) const { return i < num_declared_ && !shape_.properties[i].required; }

  template <typename Space>
  void add_edges(const Place& place, NodeId close, const Space& space) {
    const auto [kind, i, count] = place;
    const NodeId here = node(place);
    if (kind == kDone || kind == kRest) {
      const NodeId comma = builder_.add_literal(here, ",");
      builder_.add_epsilon(space(comma, true), node({kind == kDone ? kNext : kMore, i, count}));
      return builder_.add_epsilon(space(here, false), node({kEnd, i, count}));
    }
    if (may_leave_out(i)) builder_.add_epsilon(here, node({kind, i + 1, count}));
    if ((kind == kFirst || kind == kEnd) && i == num_declared_ && count >= shape_.min)
      builder_.add_epsilon(here, close);
    if (kind == kEnd || (shape_.max != kNoLimit && count == shape_.max)) return;
    if (i < num_declared_) {
      const Property& property = shape_.properties[i];
      const NodeId colon = builder_.add_literal(here, json_quoted(property.name) + ":");
      builder_.add_call(space(colon, true), property.value, node({kDone, i + 1, one_more(count)}));
    } else if (shape_.rest) {
      const NodeId key_end = builder_.add_node();
      builder_.add_call(builder_.add_literal(here, "\""), rest_key_, key_end);
      const NodeId colon = builder_.add_literal(key_end, ":");
      // Undeclared properties may have the same name, and then are one: a second adds nothing to a minimum.
      const bool counts = kind != kMore || shape_.max != kNoLimit;
      builder_.add_call(space(colon, true), *shape_.rest, node({kRest, i, counts ? one_more(count) : count}));
    }
  }

  GrammarBuilder& builder_;
  ObjectShape shape_;
  uint32_t num_declared_;
  NodeId rest_key_ = 0;
  std::map<Place, NodeId> nodes_;
  std::vector<Place> work_;
};

// Drops the limits that exclude nothing; refuses those that would need names to be compared.
void check_counts(ObjectShape& shape, const std::string& path) {
  const auto num_declared = static_cast<uint32_t>(shape.properties.size());
  const auto num_required = static_cast<uint32_t>(std::count_if(
      shape.properties.begin(), shape.properties.end(), [](const Property& p) { return p.required; }));
  if (shape.min <= num_required) shape.min = 0;
  if (!shape.rest && shape.max >= num_declared) shape.max = kNoLimit;
  if (shape.rest && shape.min > 0 && (shape.max != kNoLimit || shape.min > num_declared + 1)) {
    schema_error(
        schema_path(path, "minProperties"),
        "with additional properties only a minimum up to the declared ones and one more is supported, "
        "without a maximum");
  }
  if ((shape.max != kNoLimit && shape.max > kMaxCounted) || shape.min > kMaxCounted) {
    schema_error(schema_path(path, shape.min > kMaxCounted ? "minProperties" : "maxProperties"),
                 fmt::format("more than {} is not supported", kMaxCounted));
  }
}

}  // namespace

void SchemaCompiler::add_object(NodeId entry, const json::object& schema, const std::string& path) {
  ObjectShape shape;
  shape.min = natural_number(schema, "minProperties", 0, path);
  shape.max = natural_number(schema, "maxProperties", kNoLimit, path);

  // Without "additionalProperties" undeclared ones are allowed, but a model should not invent any beside
  // declared ones; an object about which nothing is declared may have all.
  const json::value* properties = schema.if_contains("properties");
  const json::value* additional = schema.if_contains("additionalProperties");
  std::optional<NodeId> any_other;  // what an undeclared property has, should one be required
  if (additional == nullptr) {
    any_other = any_value();
    if (properties == nullptr) shape.rest = any_other;
  } else {
    any_other = entry_of(*additional, schema_path(path, "additionalProperties"));
    const bool* allowed = additional->if_bool();
    if (allowed == nullptr || *allowed) shape.rest = any_other;
  }

  std::vector<std::string> required;
  if (const json::value* list = schema.if_contains("required")) {
    const std::string at = schema_path(path, "required");
    if (!list->is_array()) schema_error(at, "expected a list of names");
    for (const json::value& name : list->as_array()) {
      if (!name.is_string()) schema_error(at, "expected a list of names");
      required.emplace_back(name.as_string());
    }
    std::sort(required.begin(), required.end());
  }
  const auto is_required = [&](std::string_view name) {
    return std::binary_search(required.begin(), required.end(), name);
  };
  if (properties != nullptr) {
    const std::string at = schema_path(path, "properties");
    if (!properties->is_object()) schema_error(at, "expected an object of schemas");
    for (const auto& [name, value] : properties->as_object()) {
      shape.properties.push_back(
          {.name = name, .value = entry_of(value, schema_path(at, name)), .required = is_required(name)});
    }
  }
  for (std::size_t i = 0; i < required.size(); ++i) {
    if (i > 0 && required[i] == required[i - 1]) continue;
    if (properties != nullptr && properties->as_object().contains(required[i])) continue;
    shape.properties.push_back({.name = required[i], .value = *any_other, .required = true});
  }
  if (shape.properties.size() > kMaxProperties)
    schema_error(path, fmt::format("more than {} properties are not supported", kMaxProperties));
  check_counts(shape, path);

  const NodeId open = add_space(builder_.add_literal(entry, "{"), false);
  const NodeId close = builder_.add_node();
  builder_.add_literal(close, "}", builder_.add_accepting_node());
  ObjectGraph(builder_, std::move(shape), budget_)
      .build(open, close,
             [&](NodeId from, bool behind_separator) { return add_space(from, behind_separator); });
}

}  // namespace gossamer
