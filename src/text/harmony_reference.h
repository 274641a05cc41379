// HarmonyReference: the verdict of the openai/harmony crate (0.0.8) on a sequence of tokens, messages or its
// error. Called by `gossamer harmony parse --strict`, to tell what a model wrote from what was put right;
// answers are read by HarmonyStream, which has no errors.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "text/harmony.h"
#include "text/harmony_tokens.h"
#include "text/tokenizer.h"

namespace gossamer {

class HarmonyReference {
 public:
  struct Options {
    std::optional<HarmonyRole> role = std::nullopt;  // whose message the prompt began, if it did
    bool strict = true;  // false: a message that ends inside its header has the header's words as content
  };
  enum class State : uint8_t { kExpectStart, kHeader, kContent };

  // `tokenizer` must outlive this. Throws Error if its vocabulary lacks a token of the format.
  HarmonyReference(const Tokenizer& tokenizer, const Options& options);

  // Adds one token, or the end of them. An error ends the parse: nothing may be added after it.
  std::optional<RequestError> push(int32_t id);
  std::optional<RequestError> finish();

  State state() const { return state_; }
  const std::vector<HarmonyMessage>& messages() const { return messages_; }  // those that have ended

  // Of the message being read: nothing outside of its content.
  std::optional<std::string> current_channel() const;
  std::optional<std::string> current_recipient() const;
  const std::string& current_content() const { return content_; }
  // What the last token added to it; nothing where it completed no character.
  const std::optional<std::string>& last_delta() const { return last_delta_; }

 private:
  Result<std::string> header_text() const;
  std::optional<RequestError> begin_message();
  // Cuts the role and the channel out of `header` and into message_; the words left are returned.
  Result<std::vector<std::string>> read_header(std::string header);
  std::optional<RequestError> read_recipient_and_type(std::vector<std::string> words);
  std::optional<RequestError> recover_message();
  bool role_is_known() const;
  void add_content(std::string_view bytes);
  void end_message();
  std::string text_of(int32_t id) const;

  const Tokenizer& tokenizer_;
  HarmonyTokens tokens_;
  bool strict_;
  std::optional<HarmonyRole> next_role_;
  State state_;
  std::vector<int32_t> header_ids_;
  HarmonyMessage message_;  // as its header says
  std::string content_;
  std::string held_;  // the beginning of a character
  std::optional<std::string> last_delta_;
  std::vector<HarmonyMessage> messages_;
};

// The whole of `ids`: messages, or why the reference refuses them.
Result<std::vector<HarmonyMessage>> parse_harmony_as_reference(const Tokenizer& tokenizer,
                                                               std::span<const int32_t> ids,
                                                               const HarmonyReference::Options& options);

}  // namespace gossamer
