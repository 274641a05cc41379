// SchemaCompiler: one JSON schema into nodes of a grammar. Called by json_schema.cc. Each subschema becomes a
// node that begins its values and is made once, by the subschema's text, so that recursion ends and what
// repeats is shared. A list of what is still to be made takes the place of recursive calls: no schema
// exhausts the stack.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/json.h"
#include "grammar/grammar.h"
#include "grammar/json_schema.h"
#include "grammar/schema_document.h"

namespace gossamer {

class SchemaCompiler {
 public:
  SchemaCompiler(GrammarBuilder& builder, const json::value& schema, const JsonOptions& options,
                 WorkBudget& budget)
      : builder_(builder), document_(schema), options_(options), budget_(budget) {}

  // The node that begins a value by the whole schema.
  NodeId compile();

 private:
  struct Pending {
    NodeId entry;
    const json::value* schema;
    std::string path;
  };

  // The node that begins values by `schema`, which lives as long as the document.
  NodeId entry_of(const json::value& schema, const std::string& path);
  void compile_one(const Pending& job);
  void compile_flat(NodeId entry, const json::object& schema, const std::string& path);
  void compile_branches(NodeId entry, const json::object& schema, const char* keyword,
                        const std::string& path);
  void compile_values(NodeId entry, const json::object& schema, const std::string& path);
  void compile_types(NodeId entry, const json::object& schema, const std::string& path);

  void add_number(NodeId entry, const json::object& schema, bool integer, const std::string& path);
  void add_string(NodeId entry, const json::object& schema, const std::string& path);
  void add_array(NodeId entry, const json::object& schema, const std::string& path);
  void add_object(NodeId entry, const json::object& schema, const std::string& path);  // schema_objects.cc

  // White space behind `from`, if the options allow any: behind : and , or else where a line may end.
  NodeId add_space(NodeId from, bool behind_separator);
  NodeId any_value();

  GrammarBuilder& builder_;
  SchemaDocument document_;
  JsonOptions options_;
  std::unordered_map<std::string, NodeId> entries_;  // by the schema's text
  std::deque<Pending> pending_;
  std::optional<NodeId> line_space_;
  WorkBudget& budget_;
};

// Keywords whose value is a natural number; `missing` if the keyword is not there.
uint32_t natural_number(const json::object& schema, const char* keyword, uint32_t missing,
                        const std::string& path);

inline constexpr uint32_t kNoLimit = TextLimits::kUnlimited;

}  // namespace gossamer
