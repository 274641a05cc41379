#include "text/answer_reader.h"

#include <utility>

namespace gossamer {

AnswerReader::AnswerReader(const Tokenizer* tokenizer, const Options& options)
    : tokenizer_(tokenizer), stops_(options.stops) {
  if (tokenizer == nullptr) return;
  if (options.harmony) {
    harmony_.emplace(*tokenizer);
  } else {
    plain_.emplace(*tokenizer, DecodeOptions{.skip_special = options.skip_special});
  }
}

std::vector<HarmonyDelta> AnswerReader::push(int32_t id, bool is_end) {
  const int64_t token = num_tokens_++;
  if (tokenizer_ == nullptr) return {};
  // Harmony's own end tokens close a message.
  const bool is_structure = is_harmony() && tokenizer_->is_special(id);
  if (is_end && !is_structure) return {};

  std::vector<HarmonyDelta> deltas;
  if (harmony_) {
    deltas = harmony_->push(id);
  } else if (std::string text = plain_->push(id); !text.empty()) {
    deltas.push_back({.text = std::move(text)});
  }
  // A token belongs to the text that comes with it; where it is a part of a character, to that which comes
  // with the last part. What stands before Harmony's structure and gave no text was a header.
  if (!is_structure) {
    unplaced_.push_back(token);
    if (!deltas.empty()) place(std::exchange(unplaced_, {}), deltas, deltas.size() - 1);
  } else {
    std::vector<int64_t> before = std::exchange(unplaced_, {});
    const bool ends_text = !before.empty();
    if (!ends_text) before.push_back(token);  // structure where none can be is text
    if (!deltas.empty()) place(std::move(before), deltas, ends_text ? 0 : deltas.size() - 1);
  }
  return through_stops(std::move(deltas));
}

std::vector<HarmonyDelta> AnswerReader::flush() {
  std::vector<HarmonyDelta> deltas;
  if (harmony_) {
    deltas = harmony_->flush();
  } else if (plain_) {
    if (std::string text = plain_->flush(); !text.empty()) deltas.push_back({.text = std::move(text)});
  }
  if (!deltas.empty()) place(std::exchange(unplaced_, {}), deltas, deltas.size() - 1);
  deltas = through_stops(std::move(deltas));
  if (std::string held = stops_.flush(); !held.empty()) {
    deltas.push_back(last_answer_);
    deltas.back().text = std::move(held);
  }
  return deltas;
}

std::vector<TokenPlace> AnswerReader::take_places() { return std::exchange(places_, {}); }

// Puts `tokens` at the beginning of deltas[home], and counts the text of all.
void AnswerReader::place(std::vector<int64_t> tokens, const std::vector<HarmonyDelta>& deltas,
                         std::size_t home) {
  for (std::size_t i = 0; i < deltas.size(); ++i) {
    std::size_t& bytes = part_bytes_.at(static_cast<std::size_t>(deltas[i].part));
    if (i == home) {
      for (const int64_t token : tokens)
        places_.push_back({.token = token, .part = deltas[i].part, .begin = bytes});
    }
    bytes += deltas[i].text.size();
  }
}

std::vector<HarmonyDelta> AnswerReader::through_stops(std::vector<HarmonyDelta> deltas) {
  std::vector<HarmonyDelta> certain;
  for (HarmonyDelta& delta : deltas) {
    if (stopped()) break;
    const bool is_answer = delta.part == HarmonyPart::kAnswer;
    if (!is_answer || delta.message != last_answer_.message) {
      // No stop string reaches from one message into the next.
      if (std::string held = stops_.flush(); !held.empty()) {
        certain.push_back(last_answer_);
        certain.back().text = std::move(held);
      }
    }
    if (is_answer) {
      last_answer_ = delta;
      delta.text = stops_.push(delta.text);
    }
    if (!delta.text.empty()) certain.push_back(std::move(delta));
  }
  return certain;
}

}  // namespace gossamer
