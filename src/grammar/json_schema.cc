#include "grammar/json_schema.h"

#include <utility>

#include "grammar/schema_compiler.h"

namespace gossamer {

NodeId add_json_schema(GrammarBuilder& builder, const json::value& schema, const JsonOptions& options,
                       WorkBudget& budget) {
  return SchemaCompiler(builder, schema, options, budget).compile();
}

Result<Grammar> json_schema_grammar(const json::value& schema, const JsonOptions& options) {
  WorkBudget budget;
  return json_schema_grammar(schema, options, budget);
}

Result<Grammar> json_schema_grammar(const json::value& schema, const JsonOptions& options,
                                    WorkBudget& budget) {
  try {
    GrammarBuilder builder;
    const NodeId root = builder.add_node();
    const NodeId after = builder.add_node();
    builder.add_call(root, add_json_schema(builder, schema, options, budget), after);
    builder.set_accepting(builder.add_mark(after, Mark::kEndOfText));
    return std::move(builder).finish(root, call_depth(options));
  } catch (const GrammarError& error) {
    const std::string message = error.what();
    return RequestError{RequestErrorKind::kInvalid,
                        message.starts_with("schema at ") ? message : "schema at #: " + message};
  }
}

Result<Grammar> json_object_grammar(const JsonOptions& options) {
  return json_schema_grammar(json::object{{"type", "object"}}, options);
}

}  // namespace gossamer
