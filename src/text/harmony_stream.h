// HarmonyStream: what GPT-OSS samples, token by token, into messages. Called by the apps, and by HarmonyChat
// for the server, with the tokens behind a prompt that ends in "<|start|>assistant".
//
// Any sequence of tokens is accepted: models, above all small ones, break the format. Nothing that could be
// meant as content is lost; where a header is missing or damaged, its text is taken for content. What had
// to be put right is counted. (The reference's verdict, which is often an error, is HarmonyReference's.)
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "text/harmony_header.h"
#include "text/harmony_recovery.h"
#include "text/harmony_tokens.h"
#include "text/tokenizer.h"

namespace gossamer {

enum class HarmonyPart : uint8_t {
  kReasoning,  // channel analysis, and what the model wrote in the name of somebody else
  kAnswer,     // channel final, a preamble on channel commentary, and everything that is not clearly another
  kToolCall,   // any message to somebody else: `header.recipient` says to whom
};

// What has become certain of one message: its beginning, more of its text, its end.
struct HarmonyDelta {
  HarmonyPart part = HarmonyPart::kAnswer;
  int message = 0;      // number of the message within the answer, ascending
  bool begins = false;  // the first delta of its message, and of a message without text perhaps the only one
  bool ends = false;    // the last one
  HarmonyHeader header = {};
  std::string text = {};  // whole characters; may be empty
  // The tokens that `text` is of, as indices into all those pushed: every token with a part in a message's
  // text is in exactly one delta. For counting them and for their log-probabilities.
  int64_t first_token = 0;
  int64_t num_tokens = 0;
};

class HarmonyStream {
 public:
  struct Options {
    // Whose message the prompt began. Nothing: the tokens begin with <|start|>.
    std::optional<HarmonyRole> role = HarmonyRole::kAssistant;
  };

  // `tokenizer` must outlive this. Throws Error if its vocabulary lacks a token of the format.
  explicit HarmonyStream(const Tokenizer& tokenizer) : HarmonyStream(tokenizer, Options()) {}
  HarmonyStream(const Tokenizer& tokenizer, const Options& options);

  // Adds tokens; returns what they have made certain. Cutting the sequence elsewhere gives the same text in
  // other pieces.
  std::vector<HarmonyDelta> push(int32_t id) { return push(std::span(&id, 1)); }
  std::vector<HarmonyDelta> push(std::span<const int32_t> ids);

  // Ends the answer: returns what was still held back. The next push() begins a new answer.
  std::vector<HarmonyDelta> flush();

  // Of all answers so far.
  const HarmonyRecoveryCounts& recoveries() const { return recoveries_; }

 private:
  enum class State : uint8_t { kHeader, kContent };
  using Deltas = std::vector<HarmonyDelta>;

  HarmonyPlace first_place() const;
  HarmonyRole role_at(HarmonyPlace place) const;
  void begin_header(HarmonyPlace place);
  void hold_in_header(int32_t id);
  void push_in_header(int32_t id, Deltas& out);
  void push_in_content(int32_t id, Deltas& out);
  void end_header_by_message(Deltas& out);
  void end_header_by_boundary(int32_t id, Deltas& out);
  void end_header_by_text(Deltas& out);
  // Whether the header, as far as it is read, is text of the message that it stands in.
  bool header_is_text() const { return reader_.is_in_content() && !reader_.is_confirmed(); }
  struct HeaderPiece {
    std::string_view bytes;
    int64_t token = 0;
  };
  std::vector<HeaderPiece> header_rest() const;
  bool header_rest_is_blank() const;
  void count_header();

  void begin_message(const HarmonyHeader& header, Deltas& out);
  void end_message(Deltas& out);
  void add_content(std::string_view bytes, int64_t token, Deltas& out);
  void emit(std::string_view text, Deltas& out);
  HarmonyDelta& current_delta(Deltas& out);

  bool is_end(int32_t id) const { return tokens_.ends_message(id) || id == tokens_.end_of_text; }
  std::string_view text_of(int32_t id) const;

  const Tokenizer& tokenizer_;
  HarmonyTokens tokens_;
  Options options_;
  HarmonyRecoveryCounts recoveries_;

  State state_ = State::kHeader;
  int64_t num_pushed_ = 0;  // tokens of this answer, the current one not yet among them

  HarmonyHeaderReader reader_;
  std::vector<int32_t> header_ids_;  // what the reader was given: perhaps it turns out to be content
  int64_t first_header_token_ = 0;

  HarmonyHeader header_;  // of the current message
  HarmonyPart part_ = HarmonyPart::kAnswer;
  int message_number_ = -1;
  bool is_open_ = false;  // a message has begun and not ended
  std::string held_;      // the beginning of a character
  int64_t first_held_token_ = 0;
  int64_t num_held_tokens_ = 0;  // content tokens that no delta has shown yet
};

struct HarmonyParse {
  std::vector<HarmonyMessage> messages;
  HarmonyRecoveryCounts recoveries;
};

// All messages of a whole sequence, as HarmonyStream reads them.
HarmonyParse parse_harmony(const Tokenizer& tokenizer, std::span<const int32_t> ids,
                           const HarmonyStream::Options& options = {});

// Adds a delta to the messages that the deltas before it made.
void append_delta(const HarmonyDelta& delta, std::vector<HarmonyMessage>& messages);

}  // namespace gossamer
