#include "text/harmony_stream.h"

#include <algorithm>
#include <array>
#include <utility>

#include "base/utf8.h"

namespace gossamer {
namespace {

constexpr std::string_view kReplacement = "\xEF\xBF\xBD";  // U+FFFD

HarmonyPart part_of(const HarmonyHeader& header) {
  constexpr std::array<std::string_view, 4> kNobodyElse = {"", "all", "assistant", "user"};
  const bool is_from_assistant = header.role == HarmonyRole::kAssistant;
  const bool is_call = is_from_assistant && std::find(kNobodyElse.begin(), kNobodyElse.end(),
                                                      header.recipient) == kNobodyElse.end();
  if (is_call) return HarmonyPart::kToolCall;
  if (header.channel == "final") return HarmonyPart::kAnswer;
  return is_from_assistant && header.channel != "analysis" ? HarmonyPart::kAnswer : HarmonyPart::kReasoning;
}

bool is_blank(std::string_view text) { return text.find_first_not_of(" \t\r\n") == std::string_view::npos; }

std::optional<std::string> unless_empty(const std::string& text) {
  return text.empty() ? std::nullopt : std::optional(text);
}

}  // namespace

HarmonyStream::HarmonyStream(const Tokenizer& tokenizer, const Options& options)
    : tokenizer_(tokenizer), tokens_(tokenizer), options_(options) {
  begin_header(first_place());
}

HarmonyPlace HarmonyStream::first_place() const {
  return options_.role ? HarmonyPlace::kPrompt : HarmonyPlace::kBetween;
}

std::string_view HarmonyStream::text_of(int32_t id) const {
  return tokenizer_.has_token(id) ? tokenizer_.token_bytes(id) : kReplacement;
}

std::vector<HarmonyDelta> HarmonyStream::push(std::span<const int32_t> ids) {
  Deltas out;
  for (const int32_t id : ids) {
    if (state_ == State::kHeader) {
      push_in_header(id, out);
    } else {
      push_in_content(id, out);
    }
    ++num_pushed_;
  }
  return out;
}

std::vector<HarmonyDelta> HarmonyStream::flush() {
  Deltas out;
  if (state_ == State::kHeader) {
    if (reader_.is_beginning()) {
      recoveries_.add(HarmonyRecovery::kTruncatedHeader);
    } else {
      reader_.finish();
      if (!header_rest_is_blank()) end_header_by_text(out);
    }
  }
  end_message(out);
  num_pushed_ = 0;
  message_number_ = -1;
  begin_header(first_place());
  return out;
}

void HarmonyStream::begin_header(HarmonyPlace place) {
  state_ = State::kHeader;
  header_ids_.clear();
  std::size_t num_before = 0;
  if (place == HarmonyPlace::kStartInContent) {  // perhaps that <|start|> is text
    hold_in_header(tokens_.start);
    num_before = text_of(tokens_.start).size();
  }
  reader_.begin(place, role_at(place), num_before);
}

HarmonyRole HarmonyStream::role_at(HarmonyPlace place) const {
  return place == HarmonyPlace::kPrompt ? *options_.role : HarmonyRole::kAssistant;
}

void HarmonyStream::hold_in_header(int32_t id) {
  if (header_ids_.empty()) first_header_token_ = num_pushed_;
  header_ids_.push_back(id);
}

void HarmonyStream::push_in_header(int32_t id, Deltas& out) {
  if (id == tokens_.message) return end_header_by_message(out);
  if (id == tokens_.start || is_end(id)) return end_header_by_boundary(id, out);

  const std::string_view bytes = text_of(id);
  bool is_header = false;
  if (id == tokens_.channel) {
    is_header = reader_.add(HarmonyHeaderReader::Mark::kChannel, bytes.size());
  } else if (id == tokens_.constrain) {
    is_header = reader_.add(HarmonyHeaderReader::Mark::kConstrain, bytes.size());
  } else if (tokenizer_.is_special(id) || !tokenizer_.has_token(id)) {
    reader_.finish();
  } else {  // of such a token a part may be header and the rest not
    hold_in_header(id);
    if (!reader_.add(bytes)) end_header_by_text(out);
    return;
  }
  if (is_header) return hold_in_header(id);
  end_header_by_text(out);
  push_in_content(id, out);
}

void HarmonyStream::push_in_content(int32_t id, Deltas& out) {
  if (is_end(id)) {
    end_message(out);
    return begin_header(HarmonyPlace::kBetween);
  }
  // A header inside a message: the message's end is missing, unless it turns out to be no header.
  if (id == tokens_.start) return begin_header(HarmonyPlace::kStartInContent);
  if (id == tokens_.channel) {
    begin_header(HarmonyPlace::kContent);
    return push_in_header(id, out);
  }
  if (!tokenizer_.has_token(id)) {
    recoveries_.add(HarmonyRecovery::kUnknownToken);
  } else if (tokenizer_.is_special(id)) {
    recoveries_.add(HarmonyRecovery::kStrayToken);
  }
  add_content(text_of(id), num_pushed_, out);
}

void HarmonyStream::end_header_by_message(Deltas& out) {
  const bool is_whole = reader_.finish();
  if (!is_whole || header_is_text()) {
    end_header_by_text(out);
    return push_in_content(tokens_.message, out);
  }
  reader_.accept_all();
  count_header();
  begin_message(reader_.header(), out);
}

// A message ends, or the next begins, where <|message|> was due.
void HarmonyStream::end_header_by_boundary(int32_t id, Deltas& out) {
  reader_.finish();
  if (header_is_text() || !header_rest_is_blank()) {
    end_header_by_text(out);
    return push_in_content(id, out);
  }
  end_message(out);
  const bool is_empty = !reader_.is_confirmed();
  if (is_empty && is_end(id)) {
    recoveries_.add(HarmonyRecovery::kRedundantEnd);
  } else if (!is_empty || reader_.place() != HarmonyPlace::kBetween) {
    count_header();
    recoveries_.add(HarmonyRecovery::kMissingMessage);
  }
  begin_header(id == tokens_.start ? HarmonyPlace::kStart : HarmonyPlace::kBetween);
}

// Instead of <|message|> came what cannot be header: what is not understood of it is content.
void HarmonyStream::end_header_by_text(Deltas& out) {
  const std::vector<HeaderPiece> rest = header_rest();
  if (header_is_text()) {
    recoveries_.add(HarmonyRecovery::kStrayToken);
    state_ = State::kContent;
  } else if (reader_.is_confirmed()) {
    count_header();
    recoveries_.add(HarmonyRecovery::kMissingMessage);
    begin_message(reader_.header(), out);
  } else {
    recoveries_.add(HarmonyRecovery::kBareText);
    begin_message({.role = role_at(reader_.place())}, out);
  }
  for (const HeaderPiece& piece : rest) add_content(piece.bytes, piece.token, out);
}

// What of the header's tokens is not certainly header.
std::vector<HarmonyStream::HeaderPiece> HarmonyStream::header_rest() const {
  std::vector<HeaderPiece> pieces;
  std::size_t num_used = reader_.used();
  int64_t token = first_header_token_;
  for (const int32_t id : header_ids_) {
    std::string_view bytes = text_of(id);
    const std::size_t num_skipped = std::min(num_used, bytes.size());
    num_used -= num_skipped;
    bytes.remove_prefix(num_skipped);
    if (!bytes.empty()) pieces.push_back({bytes, token});
    ++token;
  }
  return pieces;
}

bool HarmonyStream::header_rest_is_blank() const {
  const std::vector<HeaderPiece> rest = header_rest();
  return std::all_of(rest.begin(), rest.end(),
                     [](const HeaderPiece& piece) { return is_blank(piece.bytes); });
}

// Counts what the reader put right, and what is missing before the header.
void HarmonyStream::count_header() {
  recoveries_.add(reader_.recoveries());
  const bool has_start =
      reader_.place() != HarmonyPlace::kBetween && reader_.place() != HarmonyPlace::kContent;
  if (!has_start) recoveries_.add(HarmonyRecovery::kMissingStart);
  if (reader_.is_in_content()) recoveries_.add(HarmonyRecovery::kMissingEnd);
}

void HarmonyStream::begin_message(const HarmonyHeader& header, Deltas& out) {
  end_message(out);
  state_ = State::kContent;
  is_open_ = true;
  ++message_number_;
  header_ = header;
  part_ = part_of(header);
  current_delta(out).begins = true;
}

void HarmonyStream::end_message(Deltas& out) {
  if (!std::exchange(is_open_, false)) return;
  std::string text;
  utf8_append_lossy(std::exchange(held_, {}), text);
  emit(text, out);
  current_delta(out).ends = true;
}

void HarmonyStream::add_content(std::string_view bytes, int64_t token, Deltas& out) {
  if (num_held_tokens_++ == 0) first_held_token_ = token;
  if (held_.empty() && utf8_is_valid(bytes)) return emit(bytes, out);  // nearly always
  held_ += bytes;
  std::string text;
  utf8_move_whole(held_, text);
  if (!text.empty()) emit(text, out);
}

void HarmonyStream::emit(std::string_view text, Deltas& out) {
  if (text.empty() && num_held_tokens_ == 0) return;
  HarmonyDelta& delta = current_delta(out);
  delta.text += text;
  if (delta.num_tokens == 0) delta.first_token = first_held_token_;
  delta.num_tokens += std::exchange(num_held_tokens_, 0);
}

// The last delta, if the current message may go on in it, or a new one.
HarmonyDelta& HarmonyStream::current_delta(Deltas& out) {
  if (out.empty() || out.back().message != message_number_)
    out.push_back({.part = part_, .message = message_number_, .header = header_});
  return out.back();
}

HarmonyParse parse_harmony(const Tokenizer& tokenizer, std::span<const int32_t> ids,
                           const HarmonyStream::Options& options) {
  HarmonyParse parse;
  HarmonyStream stream(tokenizer, options);
  for (const HarmonyDelta& delta : stream.push(ids)) append_delta(delta, parse.messages);
  for (const HarmonyDelta& delta : stream.flush()) append_delta(delta, parse.messages);
  parse.recoveries = stream.recoveries();
  return parse;
}

void append_delta(const HarmonyDelta& delta, std::vector<HarmonyMessage>& messages) {
  if (delta.begins) {
    messages.push_back({.role = delta.header.role,
                        .name = unless_empty(delta.header.name),
                        .recipient = unless_empty(delta.header.recipient),
                        .channel = unless_empty(delta.header.channel),
                        .content_type = unless_empty(delta.header.content_type),
                        .content = {std::string()}});
  }
  std::get<std::string>(messages.back().content.front()) += delta.text;
}

}  // namespace gossamer
