#include "text/harmony_header.h"

#include <algorithm>
#include <array>
#include <utility>

#include "text/harmony_tokens.h"

namespace gossamer {
namespace {

// What goes on for longer is not a header. Names of functions have at most 64 characters.
constexpr std::size_t kMaxHeaderBytes = 512;
// More words than these in a row are text.
constexpr std::size_t kMaxExtraWords = 2;

constexpr std::string_view kTo = "to=";
constexpr std::string_view kFunctions = "functions.";
constexpr std::string_view kAssistant = "assistant";
constexpr std::array<std::string_view, 5> kRoles = {kAssistant, "user", "system", "developer", "tool"};
constexpr std::array<std::string_view, 3> kChannels = {"analysis", "commentary", "final"};
constexpr std::array<std::string_view, 6> kContentTypes = {"json", "code", "text", "python", "xml", "yaml"};

bool is_space(char c) { return c == ' ' || c == '\n' || c == '\r' || c == '\t'; }

// Whether `c` may stand in a name. What may not ends the header: in `<|constrain|>json{"a": 1}` the brace is
// where <|message|> was forgotten.
bool is_name_char(char c) {
  const auto byte = static_cast<unsigned char>(c);
  return byte >= 0x80 || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
         std::string_view("_-.:/+@").find(c) != std::string_view::npos;
}

template <std::size_t N>
bool is_one_of(const std::array<std::string_view, N>& words, std::string_view word) {
  return std::find(words.begin(), words.end(), word) != words.end();
}

template <std::size_t N>
bool begins_one_of(const std::array<std::string_view, N>& words, std::string_view begin) {
  return std::any_of(words.begin(), words.end(),
                     [&](std::string_view word) { return word.starts_with(begin); });
}

// Whether `word` begins with `prefix` or may yet.
bool may_begin_with(std::string_view word, std::string_view prefix) {
  return word.starts_with(prefix) || prefix.starts_with(word);
}

std::string_view without_assistants(std::string_view word) {
  while (word.starts_with(kAssistant)) word.remove_prefix(kAssistant.size());
  return word;
}

}  // namespace

void HarmonyHeaderReader::begin(HarmonyPlace place, HarmonyRole role, std::size_t num_before) {
  *this = {};
  place_ = place;
  read_ = accepted_ = num_before;
  header_.role = role;
}

bool HarmonyHeaderReader::fail() {
  over_ = true;
  return false;
}

bool HarmonyHeaderReader::add(Mark mark, std::size_t length) {
  if (!finish_word()) return false;
  if (mark == Mark::kConstrain && extra_.size() == 1 && header_.recipient.empty()) {
    // "commentary get_weather <|constrain|>json": as the reference, the word before the type is a recipient.
    recoveries_.add(HarmonyRecovery::kBareRecipient);
    take_recipient(std::exchange(extra_, {}).front());
  }
  if (!extra_.empty() || read_ + length > kMaxHeaderBytes) return fail();
  slot_ = mark == Mark::kChannel ? Slot::kChannel : Slot::kContentType;
  if (mark == Mark::kConstrain) header_.content_type = kHarmonyConstrain;
  if (!is_in_content()) confirm();
  read_ += length;
  accepted_ = read_;
  return true;
}

bool HarmonyHeaderReader::add(std::string_view bytes) {
  for (const char c : bytes) {
    if (is_space(c)) {
      if (!finish_word()) return false;
    } else if (is_name_char(c) || (c == '=' && word_ == "to")) {
      // "analysisWe need": the space is not the only thing that ends the name of a channel.
      if (slot_ == Slot::kChannel && is_one_of(kChannels, word_) && !finish_word()) return false;
      word_.push_back(c);
    } else {
      finish_word();
      return fail();
    }
    ++read_;
  }
  if (read_ > kMaxHeaderBytes) return fail();
  return word_.empty() || word_is_plausible() || fail();
}

bool HarmonyHeaderReader::finish() { return !over_ && finish_word(); }

// Whether the current word, not finished yet, may be a part of a header.
bool HarmonyHeaderReader::word_is_plausible() const {
  switch (slot_) {
    case Slot::kChannel:
      return !is_in_content() || confirmed_ || begins_one_of(kChannels, word_);
    case Slot::kContentType:
    case Slot::kRecipient:
      return true;
    case Slot::kFirst:
      if (expects_role()) return true;
      if (const std::string_view rest = without_assistants(word_);
          begins_one_of(kRoles, rest) || begins_one_of(kChannels, rest))
        return true;
      break;
    case Slot::kAny:
      if (confirmed_ && extra_.size() < kMaxExtraWords) return true;
      if (header_.channel.empty() && begins_one_of(kChannels, word_)) return true;
      break;
  }
  return may_begin_with(word_, kTo) || may_begin_with(word_, kFunctions);
}

bool HarmonyHeaderReader::is_beginning() const {
  if (!confirmed_ && !has_start() && place_ != HarmonyPlace::kContent) return false;
  if (over_ || !extra_.empty() || !author_.empty()) return false;
  switch (slot_) {
    case Slot::kChannel:
    case Slot::kContentType:
    case Slot::kRecipient:
      return true;
    case Slot::kFirst:
      if (begins_one_of(kRoles, without_assistants(word_))) return true;
      break;
    case Slot::kAny:
      break;
  }
  return may_begin_with(word_, kTo) || may_begin_with(word_, kFunctions);
}

bool HarmonyHeaderReader::finish_word() {
  if (word_.empty()) {
    if (slot_ == Slot::kContentType) slot_ = Slot::kAny;
    return true;  // a space between <|channel|> and its name does no harm
  }
  std::string word = std::exchange(word_, {});
  switch (std::exchange(slot_, Slot::kAny)) {
    case Slot::kChannel:
      if (word.starts_with(kTo)) break;  // its name was forgotten
      take_channel(word);
      return true;
    case Slot::kContentType:
      header_.content_type += word;
      accepted_ = read_;
      return true;
    case Slot::kRecipient:
      take_recipient(word);
      return true;
    case Slot::kFirst:
      return finish_free_word(std::move(word), /*is_first=*/true);
    case Slot::kAny:
      break;
  }
  return finish_free_word(std::move(word), /*is_first=*/false);
}

// A word that no mark explains.
bool HarmonyHeaderReader::finish_free_word(std::string word, bool is_first) {
  if (word.starts_with(kTo)) {
    if (word == kTo) {
      slot_ = Slot::kRecipient;
    } else {
      take_recipient(word.substr(kTo.size()));
    }
    return true;
  }
  if (is_first && take_role(word)) return true;
  if (header_.channel.empty() && extra_.empty() && is_one_of(kChannels, word)) {
    recoveries_.add(HarmonyRecovery::kMissingChannel);
    header_.channel = std::move(word);
    accepted_ = read_;
    return true;
  }
  if (is_first && expects_role()) {
    author_ = std::move(word);
    return true;
  }
  if (header_.recipient.empty() && extra_.empty() && word.starts_with(kFunctions)) {
    recoveries_.add(HarmonyRecovery::kBareRecipient);
    header_.recipient = std::move(word);
    accepted_ = read_;
    return true;
  }
  if (!confirmed_ || extra_.size() == kMaxExtraWords) return fail();
  extra_.push_back(std::move(word));
  return true;
}

bool HarmonyHeaderReader::take_role(std::string_view word) {
  if (is_one_of(kRoles, word)) {
    if (place_ == HarmonyPlace::kPrompt) {
      recoveries_.add(HarmonyRecovery::kRepeatedRole);  // the prompt ends with it already
    } else {
      header_.role = *harmony_role(word);
    }
  } else {
    const std::string_view rest = without_assistants(word);
    const bool is_glued = rest.size() < word.size() && (rest.empty() || is_one_of(kChannels, rest));
    if (!is_glued) return false;
    recoveries_.add(rest.empty() ? HarmonyRecovery::kRepeatedRole : HarmonyRecovery::kMissingChannel);
    header_.channel = rest;
  }
  has_role_ = true;
  if (has_start()) confirm();
  accepted_ = read_;
  return true;
}

void HarmonyHeaderReader::take_channel(std::string_view word) {
  if (!header_.channel.empty()) recoveries_.add(HarmonyRecovery::kStrayChannel);
  header_.channel = word;
  if (!is_in_content() || is_one_of(kChannels, word)) confirm();
  accepted_ = read_;
}

void HarmonyHeaderReader::take_recipient(std::string_view word) {
  if (!header_.recipient.empty()) recoveries_.add(HarmonyRecovery::kStrayRecipient);
  header_.recipient = word;
  for (const std::string& extra : std::exchange(extra_, {})) append_content_type(extra);
  confirm();
  accepted_ = read_;
}

void HarmonyHeaderReader::append_content_type(std::string_view word) {
  if (!header_.content_type.empty()) {
    recoveries_.add(HarmonyRecovery::kExtraHeaderWords);
    header_.content_type += ' ';
  }
  header_.content_type += word;
}

// From here on the header is one, whatever follows.
void HarmonyHeaderReader::confirm() {
  if (std::exchange(confirmed_, true)) return;
  if (!author_.empty()) {  // "browser.search to=assistant": with more behind it, a tool
    header_.role = HarmonyRole::kTool;
    header_.name = std::exchange(author_, {});
  } else if (has_start() && !has_role_) {
    recoveries_.add(HarmonyRecovery::kMissingRole);
  }
}

void HarmonyHeaderReader::accept_all() {
  if (!confirmed_ && !author_.empty()) {
    recoveries_.add(HarmonyRecovery::kUnknownRole);
    header_.name = std::exchange(author_, {});
    has_role_ = true;
  }
  confirm();
  // The reference takes a single word for a recipient, even "json". It is one where it can be.
  const bool has_recipient =
      header_.recipient.empty() && (extra_.size() == 2 || (extra_.size() == 1 && header_.channel != "final" &&
                                                           !is_one_of(kContentTypes, extra_.front())));
  if (has_recipient) {
    recoveries_.add(HarmonyRecovery::kBareRecipient);
    header_.recipient = extra_.front();
    extra_.erase(extra_.begin());
  }
  for (const std::string& extra : std::exchange(extra_, {})) append_content_type(extra);
  accepted_ = read_;
}

}  // namespace gossamer
