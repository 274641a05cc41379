// Marks: bytes that stand for special tokens in a grammar. UTF-8 never has these bytes, so a grammar over
// bytes can say "<|channel|>, then the text `final`", and no ordinary token can be mistaken for a mark
// (token_vocabulary.h leaves out the few that contain such bytes).
#pragma once

#include <array>
#include <cstdint>
#include <string_view>
#include <utility>

namespace gossamer {

enum class Mark : uint8_t {
  kEnd = 0xF8,        // <|end|>
  kReturn = 0xF9,     // <|return|>
  kCall = 0xFA,       // <|call|>
  kStart = 0xFB,      // <|start|>
  kChannel = 0xFC,    // <|channel|>
  kConstrain = 0xFD,  // <|constrain|>
  kMessage = 0xFE,    // <|message|>
  kEndOfText = 0xFF,  // <|endoftext|>, the end of a document for models without Harmony
};
inline constexpr uint8_t kFirstMark = 0xF8;

inline constexpr std::array<std::pair<Mark, std::string_view>, 8> kMarkTokens = {{
    {Mark::kEnd, "<|end|>"},
    {Mark::kReturn, "<|return|>"},
    {Mark::kCall, "<|call|>"},
    {Mark::kStart, "<|start|>"},
    {Mark::kChannel, "<|channel|>"},
    {Mark::kConstrain, "<|constrain|>"},
    {Mark::kMessage, "<|message|>"},
    {Mark::kEndOfText, "<|endoftext|>"},
}};

}  // namespace gossamer
