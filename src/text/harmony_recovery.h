// What readers of Harmony had to put right, counted by kind: the server shows the counts as metrics.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace gossamer {

enum class HarmonyRecovery : uint8_t {
  // Tokens of the format that are missing or too many.
  kMissingStart,     // a message began without <|start|>
  kMissingEnd,       // a message began inside another
  kMissingMessage,   // a header was followed by its text, or by nothing, where <|message|> was due
  kMissingChannel,   // "assistant final" without <|channel|>
  kRedundantEnd,     // an end where nothing had begun
  kTruncatedHeader,  // the tokens ended inside a header
  kBareText,         // text without any header
  kStrayToken,       // a special token inside a message, kept as text
  kUnknownToken,     // an id that stands for nothing, shown as U+FFFD

  // Headers that say too much or too little.
  kMissingRole,       // <|start|><|channel|>
  kRepeatedRole,      // "assistantassistant"
  kUnknownRole,       // <|start|>robot<|message|>: taken for the assistant
  kStrayChannel,      // a second channel: the last one counts
  kStrayRecipient,    // a second recipient: the last one counts
  kBareRecipient,     // "functions.f" without "to="
  kExtraHeaderWords,  // more words than a content type has; kept in it

  // Calls that are not as they should be.
  kCallWithoutPrefix,  // "to=get_weather" instead of "to=functions.get_weather"
  kCallOnAnalysis,     // a call on the channel of reasoning
  kCallOfUnknownTool,  // a call of what the request did not offer: its text is shown instead
};

inline constexpr std::size_t kNumHarmonyRecoveries =
    static_cast<std::size_t>(HarmonyRecovery::kCallOfUnknownTool) + 1;

// "missing_start", as a label of a metric.
std::string_view to_string(HarmonyRecovery recovery);

class HarmonyRecoveryCounts {
 public:
  void add(HarmonyRecovery recovery) { ++counts_[static_cast<std::size_t>(recovery)]; }
  void add(const HarmonyRecoveryCounts& other);

  uint64_t of(HarmonyRecovery recovery) const { return counts_[static_cast<std::size_t>(recovery)]; }
  uint64_t total() const;

  bool operator==(const HarmonyRecoveryCounts&) const = default;

 private:
  std::array<uint64_t, kNumHarmonyRecoveries> counts_ = {};
};

}  // namespace gossamer
