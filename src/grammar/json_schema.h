// JSON schemas as grammars: every text that the grammar allows is JSON that satisfies the schema. Called by
// the server for response_format, and by harmony_grammar.cc for the arguments of tools. docs/grammar.md says
// which keywords are enforced and how.
//
// A grammar describes less than its schema allows where more would help nobody: properties come in the
// schema's order, undeclared ones only where additionalProperties says so, numbers are of bounded length,
// white space is not free. What cannot be enforced is refused by name and place, never ignored; what the JSON
// Schema standard calls an annotation (title, default, unknown keywords) is ignored.
#pragma once

#include <cstdint>
#include <string>

#include "base/error.h"
#include "base/json.h"
#include "grammar/grammar.h"

namespace gossamer {

enum class JsonSpace : uint8_t {
  kNone,      // {"a":[1,2]}
  kOneSpace,  // and one space, if the model likes, behind : and ,
  kLines,     // and behind { [ , and before ] } a line break with at most 32 spaces or 8 tabs
};

struct JsonOptions {
  JsonSpace space = JsonSpace::kOneSpace;
  uint32_t max_depth = 64;  // of values in each other, the document counted
};

// A document by `schema`, then <|endoftext|>. The error says which part of the schema is not supported and
// why.
Result<Grammar> json_schema_grammar(const json::value& schema, const JsonOptions& options = {});
// One of several schemas that together may take no longer than one.
Result<Grammar> json_schema_grammar(const json::value& schema, const JsonOptions& options,
                                    WorkBudget& budget);
// Any object, then <|endoftext|>: response_format json_object.
Result<Grammar> json_object_grammar(const JsonOptions& options = {});

// For grammars with more around it: the node that begins a value by `schema` (any object if it is {"type":
// "object"}). Throws GrammarError.
NodeId add_json_schema(GrammarBuilder& builder, const json::value& schema, const JsonOptions& options,
                       WorkBudget& budget);

// The depth that finish() must allow for a document: the text of an innermost string is a call too.
inline uint32_t call_depth(const JsonOptions& options) { return options.max_depth + 1; }

}  // namespace gossamer
