// HarmonyStream: a GPT-OSS answer, token by token, into what it says and on which channel. Called by the apps
// (and the server) with what the engine samples behind a prompt that ends in "<|start|>assistant".
//
// Any sequence of tokens is accepted: models, above all small ones, break the format. Nothing that could be
// meant as content is lost; where a header is missing or damaged, its text is taken as the answer's.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "text/tokenizer.h"

namespace gossamer {

enum class HarmonyPart : uint8_t {
  kReasoning,  // channel analysis
  kAnswer,     // channel final, a preamble on channel commentary, and everything that is not clearly another
  kToolCall,   // any message to somebody else: `recipient` says to whom
};

// New text of one message.
struct HarmonyDelta {
  HarmonyPart part = HarmonyPart::kAnswer;
  int message = 0;        // number of the message within the answer, ascending; a new number is a new message
  std::string channel;    // as written; empty where there was none
  std::string recipient;  // "functions.get_weather"; empty unless part is kToolCall
  std::string text;       // whole characters, not empty
};

class HarmonyStream {
 public:
  // `tokenizer` must outlive this. Throws Error if its vocabulary lacks a token of the format.
  explicit HarmonyStream(const Tokenizer& tokenizer);

  // Adds one token; returns the text that has become certain, at most two deltas.
  std::vector<HarmonyDelta> push(int32_t id);

  // Ends the answer: returns what was still held back. The next push() begins a new answer.
  std::vector<HarmonyDelta> flush();

 private:
  enum class State : uint8_t { kHeader, kContent };

  // A header as far as it is understood: [role] [to=NAME] [<|channel|>CHANNEL [to=NAME] [content type]].
  struct Header {
    std::string channel;
    std::string recipient;
    std::size_t used = 0;  // bytes of header_ that are certainly header
    bool may_grow = true;  // what stands behind them could still become a part of the header
  };
  Header read_header() const;

  void begin_header(bool expects_role);
  void begin_content(const Header& header);
  void end_message(std::vector<HarmonyDelta>& out);
  void recover_header(std::vector<HarmonyDelta>& out);
  void push_in_header(int32_t id, std::vector<HarmonyDelta>& out);
  void push_in_content(int32_t id, std::vector<HarmonyDelta>& out);
  void add_bytes(std::string_view bytes, std::vector<HarmonyDelta>& out);
  void emit(std::string text, std::vector<HarmonyDelta>& out);
  bool ends_message(int32_t id) const;

  const Tokenizer& tokenizer_;
  int32_t start_;
  int32_t end_;
  int32_t message_;
  int32_t channel_;
  int32_t constrain_;
  int32_t return_;
  int32_t call_;
  std::optional<int32_t> end_of_text_;

  State state_ = State::kHeader;
  bool expects_role_ = false;  // the answer's first header has its role in the prompt
  std::string header_;         // bytes so far; bytes that UTF-8 does not have stand for special tokens
  HarmonyPart part_ = HarmonyPart::kAnswer;
  std::string channel_name_;
  std::string recipient_;
  int message_number_ = -1;
  std::string held_;  // the beginning of a character
};

}  // namespace gossamer
