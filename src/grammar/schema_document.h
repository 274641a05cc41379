// SchemaDocument: a JSON schema as it came with a request: where $ref leads, and allOf and $ref folded into
// one plain schema. Used by json_schema.cc.
#pragma once

#include <cstddef>
#include <deque>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "grammar/grammar_error.h"

namespace gossamer {

// Where in a schema something stands, as a JSON pointer in a fragment: "#/properties/city".
std::string schema_path(const std::string& parent, std::string_view key);

[[noreturn]] void schema_error(const std::string& path, const std::string& message);

// The types of JSON Schema as bits.
enum SchemaType : unsigned {
  kNull = 1,
  kBoolean = 2,
  kInteger = 4,
  kNumber = 8,  // with kInteger set as well: every integer is a number
  kString = 16,
  kArray = 32,
  kObject = 64,
  kAnyType = 127,
};
unsigned type_of_value(const json::value& value);
// The types that "type" allows; all if it is absent.
unsigned declared_types(const json::object& schema, const std::string& path);
// Without "type": those that the other keywords speak of, since a schema with "properties" and no type means
// objects; all if they speak of none. What is generated so is always among what is allowed.
unsigned meant_types(const json::object& schema, const std::string& path);

// Keywords that restrict values, unlike title, default and their kin.
bool is_assertion(std::string_view keyword);
bool has_assertions(const json::object& schema);

class SchemaDocument {
 public:
  // Throws GrammarError if the schema is too large. `root` must outlive this.
  explicit SchemaDocument(const json::value& root);

  const json::value& root() const { return root_; }

  // What "$ref" at `path` leads to: "#", "#/$defs/x" or any other pointer into the document.
  const json::value& resolve(const json::object& schema, const std::string& path) const;

  // `schema` without $ref and allOf at its top: what they say is merged into it.
  json::value flatten(const json::value& schema, const std::string& path);

  // Whether no value that is generated for one of the flat schemas satisfies the other. False if in doubt.
  bool are_disjoint(const json::value& a, const json::value& b, const std::string& path);

  // Keeps a schema that was made from others as long as the document.
  const json::value& keep(json::value schema) {
    spend(schema);
    kept_.push_back(std::move(schema));
    return kept_.back();
  }

 private:
  json::value flatten(const json::value& schema, const std::string& path, int depth);
  json::object merge(const json::object& a, const json::object& b, const std::string& path);
  void merge_objects(const json::object& a, const json::object& b, json::object& merged);
  void merge_arrays(const json::object& a, const json::object& b, json::object& merged,
                    const std::string& path);
  bool excludes(const json::value& generated, const json::value& allowed, const std::string& path, int depth);
  void spend(const json::value& value);

  const json::value& root_;
  std::deque<json::value> kept_;
  std::size_t spent_ = 0;  // values copied by merging, which could grow without bound
};

}  // namespace gossamer
