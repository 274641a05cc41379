// HarmonyHeaderReader: what stands between <|start|> and <|message|>, read as it comes and however it is
// damaged. Called by HarmonyStream, which knows the tokens; this knows the words.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "text/harmony.h"
#include "text/harmony_recovery.h"

namespace gossamer {

// What a header says. What it does not say is empty.
struct HarmonyHeader {
  HarmonyRole role = HarmonyRole::kAssistant;
  std::string name;          // of an author that is more than a role: "browser.search"
  std::string channel;       // of several the last
  std::string recipient;     // without "to=", of several the last
  std::string content_type;  // "<|constrain|>json", "code"
};

// Where a header may begin. Text means different things there.
enum class HarmonyPlace : uint8_t {
  kPrompt,          // behind "<|start|>ROLE" of the prompt: text that is no header is the answer itself
  kBetween,         // behind the end of a message, where <|start|> is due
  kStart,           // behind <|start|>
  kContent,         // inside a message, at a <|channel|>
  kStartInContent,  // inside a message, behind a <|start|>
};

// [ROLE] [to=NAME] [<|channel|>CHANNEL] [to=NAME] [[<|constrain|>]TYPE], the parts in any order.
//
// A header is confirmed once it has a part that text would not have by chance. Until then all of it may
// still turn out to be text. Every byte is looked at once.
class HarmonyHeaderReader {
 public:
  enum class Mark : uint8_t { kChannel, kConstrain };

  // `role` is whose message it is if the header does not say; `num_before` bytes of a <|start|> belong to it.
  void begin(HarmonyPlace place, HarmonyRole role, std::size_t num_before = 0);

  // Adds a special token whose text has `length` bytes, or ordinary bytes. False: the header is over, and
  // what lies behind used() is not part of it; a mark that is refused is not read. Nothing may be added then.
  bool add(Mark mark, std::size_t length);
  bool add(std::string_view bytes);

  // The header ends here, so the last word is whole. False: as above.
  bool finish();

  // <|message|> follows, so words that could have been text are parts of the header. Call finish() before.
  void accept_all();

  bool is_confirmed() const { return confirmed_; }
  // How many bytes of those added are certainly header.
  std::size_t used() const { return confirmed_ ? accepted_ : 0; }
  // Whether what was added could be the beginning of a header and nothing else. Ask before finish().
  bool is_beginning() const;

  // Valid once confirmed or accepted.
  const HarmonyHeader& header() const { return header_; }
  const HarmonyRecoveryCounts& recoveries() const { return recoveries_; }
  HarmonyPlace place() const { return place_; }
  bool is_in_content() const {
    return place_ == HarmonyPlace::kContent || place_ == HarmonyPlace::kStartInContent;
  }

 private:
  // What the current word is.
  enum class Slot : uint8_t { kFirst, kAny, kChannel, kContentType, kRecipient };

  bool expects_role() const { return place_ != HarmonyPlace::kPrompt && place_ != HarmonyPlace::kContent; }
  bool has_start() const { return place_ == HarmonyPlace::kStart || place_ == HarmonyPlace::kStartInContent; }
  bool word_is_plausible() const;
  bool finish_word();
  bool finish_free_word(std::string word, bool is_first);
  bool take_role(std::string_view word);
  void take_channel(std::string_view word);
  void take_recipient(std::string_view word);
  void append_content_type(std::string_view word);
  void confirm();
  bool fail();

  HarmonyPlace place_ = HarmonyPlace::kPrompt;
  HarmonyHeader header_;
  HarmonyRecoveryCounts recoveries_;
  Slot slot_ = Slot::kFirst;
  std::string word_;                // the bytes of the current word
  std::string author_;              // a first word that is no role: perhaps a tool's name, perhaps text
  std::vector<std::string> extra_;  // words that are a content type, a recipient or text
  bool has_role_ = false;
  bool confirmed_ = false;
  bool over_ = false;
  std::size_t read_ = 0;      // bytes looked at
  std::size_t accepted_ = 0;  // of these, up to the end of the last part that is understood
};

}  // namespace gossamer
