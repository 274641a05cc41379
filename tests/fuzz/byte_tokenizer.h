// A tokenizer of single bytes and Harmony's special tokens, so that a fuzz target needs no file.
#pragma once

#include <cstdint>

#include "text/tokenizer_file.h"

namespace gossamer {

// Ids below 256 are bytes, those from 256 to 263 special tokens.
inline TokenizerParts harmony_byte_tokenizer() {
  TokenizerParts parts;
  for (int32_t byte = 0; byte < 256; ++byte) {
    const char c = static_cast<char>(byte);
    parts.vocabulary.add(byte, {&c, 1});
  }
  int32_t id = 256;
  for (const char* name : {"<|start|>", "<|message|>", "<|end|>", "<|return|>", "<|call|>", "<|channel|>",
                           "<|constrain|>", "<|endoftext|>"}) {
    parts.vocabulary.add_unsearchable(id, name);
    parts.added_tokens.push_back({.id = id++, .content = name, .special = true, .normalized = false});
  }
  parts.pre_tokenizer.push_back({.pattern = SplitPattern::kO200k});
  return parts;
}

}  // namespace gossamer
