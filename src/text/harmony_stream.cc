#include "text/harmony_stream.h"

#include <algorithm>
#include <array>
#include <utility>

#include "base/error.h"
#include "base/utf8.h"

namespace gossamer {
namespace {

// Stand for <|channel|> and <|constrain|> in a header's bytes; no UTF-8 text has them.
constexpr char kChannelMark = '\xFE';
constexpr char kConstrainMark = '\xFF';
constexpr std::string_view kMarks = "\xFE\xFF";
// A name longer than this is none, and what was taken for a header is text.
constexpr std::size_t kMaxName = 128;

bool is_space(char c) { return c == ' ' || c == '\n' || c == '\r' || c == '\t'; }

// Whether `word` is, or may yet become, one of the roles; "assistantassistant" happens and is one too.
bool is_role(std::string_view word) {
  while (word.size() > 9 && word.starts_with("assistant")) word.remove_prefix(9);
  constexpr std::array<std::string_view, 5> kRoles = {"assistant", "user", "system", "developer", "tool"};
  return std::find(kRoles.begin(), kRoles.end(), word) != kRoles.end();
}
bool begins(std::string_view whole, std::string_view word) { return whole.starts_with(word); }

int32_t require_special(const Tokenizer& tokenizer, std::string_view content) {
  const std::optional<int32_t> id = tokenizer.special_id(content);
  if (!id) throw Error("the tokenizer has no token {}, which the Harmony format needs", content);
  return *id;
}

}  // namespace

HarmonyStream::HarmonyStream(const Tokenizer& tokenizer)
    : tokenizer_(tokenizer),
      start_(require_special(tokenizer, "<|start|>")),
      end_(require_special(tokenizer, "<|end|>")),
      message_(require_special(tokenizer, "<|message|>")),
      channel_(require_special(tokenizer, "<|channel|>")),
      constrain_(require_special(tokenizer, "<|constrain|>")),
      return_(require_special(tokenizer, "<|return|>")),
      call_(require_special(tokenizer, "<|call|>")),
      end_of_text_(tokenizer.special_id("<|endoftext|>")) {}

bool HarmonyStream::ends_message(int32_t id) const {
  return id == end_ || id == return_ || id == call_ || (end_of_text_ && id == *end_of_text_);
}

std::vector<HarmonyDelta> HarmonyStream::push(int32_t id) {
  std::vector<HarmonyDelta> out;
  if (state_ == State::kHeader) {
    push_in_header(id, out);
  } else {
    push_in_content(id, out);
  }
  return out;
}

std::vector<HarmonyDelta> HarmonyStream::flush() {
  std::vector<HarmonyDelta> out;
  if (state_ == State::kHeader) recover_header(out);
  end_message(out);
  begin_header(/*expects_role=*/false);
  message_number_ = -1;
  return out;
}

void HarmonyStream::push_in_header(int32_t id, std::vector<HarmonyDelta>& out) {
  if (id == message_) return begin_content(read_header());
  if (id == start_ || ends_message(id)) {
    recover_header(out);
    return end_message(out);
  }
  if (id == channel_ || id == constrain_) {
    header_ += id == channel_ ? kChannelMark : kConstrainMark;
  } else {
    const std::string_view bytes = tokenizer_.token_bytes(id);
    if (tokenizer_.is_special(id) || bytes.find_first_of(kMarks) != std::string_view::npos) {
      recover_header(out);
      if (state_ == State::kHeader) begin_content(read_header());
      return add_bytes(bytes, out);
    }
    header_ += bytes;
  }
  if (!read_header().may_grow) recover_header(out);
}

void HarmonyStream::push_in_content(int32_t id, std::vector<HarmonyDelta>& out) {
  if (id == start_ || ends_message(id)) return end_message(out);
  if (id == channel_) {  // the end of this message and the start of the next are missing
    end_message(out);
    header_ += kChannelMark;
    return;
  }
  add_bytes(tokenizer_.token_bytes(id), out);
}

HarmonyStream::Header HarmonyStream::read_header() const {
  Header header;
  const std::string_view text = header_;
  std::size_t at = 0;
  const auto skip_space = [&] {
    while (at < text.size() && is_space(text[at])) ++at;
  };
  const auto next_word = [&] {
    const std::size_t begin = at;
    while (at < text.size() && !is_space(text[at]) && kMarks.find(text[at]) == std::string_view::npos) ++at;
    return text.substr(begin, at - begin);
  };
  int num_content_types = 0;
  for (bool first = true;; first = false) {
    skip_space();
    if (at == text.size()) return header;
    if (text[at] == kChannelMark || text[at] == kConstrainMark) {
      const bool is_channel = text[at++] == kChannelMark;
      if (is_channel) skip_space();
      const std::string_view word = next_word();
      if (word.size() > kMaxName) {
        header.may_grow = false;
        return header;
      }
      if (is_channel && !word.empty()) header.channel = word;  // of several the last
      header.used = at;
      continue;
    }
    const std::string_view word = next_word();
    const bool at_end = at == text.size();
    if (word.starts_with("to=") && word.size() <= kMaxName) {
      header.recipient = word.substr(3);
      header.used = at;
    } else if (first && is_role(word)) {
      header.used = at;
    } else if (first && expects_role_ && word.size() <= kMaxName &&
               (at_end || kMarks.find(text[at]) != std::string_view::npos ||
                text.substr(at).starts_with(" to="))) {
      if (!at_end) header.used = at;  // a role unheard of: the name of a tool
    } else if (at_end && (begins("to=", word) || (first && begins("assistant", word)))) {
      return header;  // the beginning of something
    } else if (header.channel.empty() || ++num_content_types > 1 || word.size() > kMaxName) {
      header.may_grow = false;
      return header;
    }  // else it may be a content type ("json"), which <|message|> would show
  }
}

void HarmonyStream::begin_header(bool expects_role) {
  state_ = State::kHeader;
  expects_role_ = expects_role;
  header_.clear();
}

void HarmonyStream::begin_content(const Header& header) {
  state_ = State::kContent;
  ++message_number_;
  channel_name_ = header.channel;
  recipient_.clear();
  if (!header.recipient.empty() && header.recipient != "all" && header.recipient != "assistant") {
    part_ = HarmonyPart::kToolCall;
    recipient_ = header.recipient;
  } else {
    part_ = header.channel == "analysis" ? HarmonyPart::kReasoning : HarmonyPart::kAnswer;
  }
  header_.clear();
}

void HarmonyStream::end_message(std::vector<HarmonyDelta>& out) {
  std::string text;
  utf8_append_lossy(std::exchange(held_, {}), text);
  emit(std::move(text), out);
  begin_header(/*expects_role=*/true);
}

// The header ended without <|message|>: what is not understood as header becomes content.
void HarmonyStream::recover_header(std::vector<HarmonyDelta>& out) {
  const Header header = read_header();
  const std::string rest = header_.substr(header.used);
  if (std::all_of(rest.begin(), rest.end(), is_space)) return;
  begin_content(header);
  for (const char byte : rest) {
    if (byte == kChannelMark) {
      add_bytes(tokenizer_.token_bytes(channel_), out);
    } else if (byte == kConstrainMark) {
      add_bytes(tokenizer_.token_bytes(constrain_), out);
    } else {
      add_bytes(std::string_view(&byte, 1), out);
    }
  }
}

void HarmonyStream::add_bytes(std::string_view bytes, std::vector<HarmonyDelta>& out) {
  held_ += bytes;
  std::string text;
  std::string_view rest = held_;
  while (!rest.empty()) {
    const Utf8Step step = utf8_step(rest);
    if (step.status == Utf8Status::kIncomplete) break;
    utf8_append_lossy(rest.substr(0, step.length), text);
    rest.remove_prefix(step.length);
  }
  held_.erase(0, held_.size() - rest.size());
  emit(std::move(text), out);
}

void HarmonyStream::emit(std::string text, std::vector<HarmonyDelta>& out) {
  if (text.empty()) return;
  if (!out.empty() && out.back().message == message_number_) {
    out.back().text += text;
    return;
  }
  out.push_back({.part = part_,
                 .message = message_number_,
                 .channel = channel_name_,
                 .recipient = recipient_,
                 .text = std::move(text)});
}

}  // namespace gossamer
