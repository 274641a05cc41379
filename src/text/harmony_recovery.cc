#include "text/harmony_recovery.h"

#include <numeric>

namespace gossamer {

std::string_view to_string(HarmonyRecovery recovery) {
  switch (recovery) {
    case HarmonyRecovery::kMissingStart:
      return "missing_start";
    case HarmonyRecovery::kMissingEnd:
      return "missing_end";
    case HarmonyRecovery::kMissingMessage:
      return "missing_message";
    case HarmonyRecovery::kMissingChannel:
      return "missing_channel";
    case HarmonyRecovery::kRedundantEnd:
      return "redundant_end";
    case HarmonyRecovery::kTruncatedHeader:
      return "truncated_header";
    case HarmonyRecovery::kBareText:
      return "bare_text";
    case HarmonyRecovery::kStrayToken:
      return "stray_token";
    case HarmonyRecovery::kUnknownToken:
      return "unknown_token";
    case HarmonyRecovery::kMissingRole:
      return "missing_role";
    case HarmonyRecovery::kRepeatedRole:
      return "repeated_role";
    case HarmonyRecovery::kUnknownRole:
      return "unknown_role";
    case HarmonyRecovery::kStrayChannel:
      return "stray_channel";
    case HarmonyRecovery::kStrayRecipient:
      return "stray_recipient";
    case HarmonyRecovery::kBareRecipient:
      return "bare_recipient";
    case HarmonyRecovery::kExtraHeaderWords:
      return "extra_header_words";
    case HarmonyRecovery::kCallWithoutPrefix:
      return "call_without_prefix";
    case HarmonyRecovery::kCallOnAnalysis:
      return "call_on_analysis";
    case HarmonyRecovery::kCallOfUnknownTool:
      return "call_of_unknown_tool";
  }
  return "";
}

void HarmonyRecoveryCounts::add(const HarmonyRecoveryCounts& other) {
  for (std::size_t i = 0; i < counts_.size(); ++i) counts_[i] += other.counts_[i];
}

uint64_t HarmonyRecoveryCounts::total() const {
  return std::accumulate(counts_.begin(), counts_.end(), uint64_t{0});
}

}  // namespace gossamer
