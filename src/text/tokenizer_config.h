// The small sections of a tokenizer.json, already parsed as JSON: each function takes what it needs from
// `config`, the top-level object without its model, and throws Error naming `where` (the file) and what it
// cannot do.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "text/added_tokens.h"
#include "text/pre_tokenizer.h"

namespace gossamer {

// The boolean `object[key]`, or `fallback` where it is absent or null.
bool flag_or(const json::object& object, std::string_view key, bool fallback, const std::string& where);

// Checks everything in the model but vocab and merges: byte-level BPE without dropout, affixes or byte
// fallback.
void check_bpe_options(const json::object& model, const std::string& where);

// Whether text is normalised to NFC, the only normalizer there is.
bool parse_normalizer(const json::object& config, const std::string& where);

std::vector<PreTokenizerStep> parse_pre_tokenizer(const json::object& config, const std::string& where);

std::vector<AddedToken> parse_added_tokens(const json::object& config, const std::string& where);

// The decoder must be ByteLevel.
void check_decoder(const json::object& config, const std::string& where);

// The post-processor may only do what leaves the ids alone. ("truncation" and "padding" are ignored: they are
// settings of whoever wrote the file, and an engine decides on its own how long a prompt may be.)
void check_post_processor(const json::object& config, const std::string& where);

}  // namespace gossamer
