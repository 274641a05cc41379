#include "text/harmony_reference.h"

#include <algorithm>
#include <utility>

#include "base/utf8.h"
#include "text/harmony_tools.h"

namespace gossamer {
namespace {

constexpr std::string_view kChannel = "<|channel|>";
constexpr std::string_view kReplacement = "\xEF\xBF\xBD";  // U+FFFD

RequestError invalid(std::string message) { return {RequestErrorKind::kInvalid, std::move(message)}; }

// Unicode's White_Space, as Rust's char::is_whitespace.
bool is_white_space(char32_t c) {
  return (c >= 0x09 && c <= 0x0D) || c == 0x20 || c == 0x85 || c == 0xA0 || c == 0x1680 ||
         (c >= 0x2000 && c <= 0x200A) || c == 0x2028 || c == 0x2029 || c == 0x202F || c == 0x205F ||
         c == 0x3000;
}

// Where the first white space of `text` (valid UTF-8) is, or its end.
std::size_t find_white_space(std::string_view text) {
  const char* const end = text.data() + text.size();
  for (const char* p = text.data(); p != end;) {
    const char* const begin = p;
    if (is_white_space(utf8_decode_valid(p))) return static_cast<std::size_t>(begin - text.data());
  }
  return text.size();
}

std::vector<std::string> split_at_white_space(std::string_view text) {
  std::vector<std::string> words;
  while (!text.empty()) {
    const std::size_t length = find_white_space(text);
    if (length > 0) words.emplace_back(text.substr(0, length));
    text.remove_prefix(length);
    if (text.empty()) break;
    const char* p = text.data();
    utf8_decode_valid(p);
    text.remove_prefix(static_cast<std::size_t>(p - text.data()));
  }
  return words;
}

std::string without_to(const std::string& word) { return word.starts_with("to=") ? word.substr(3) : word; }

}  // namespace

HarmonyReference::HarmonyReference(const Tokenizer& tokenizer, const Options& options)
    : tokenizer_(tokenizer),
      tokens_(tokenizer),
      strict_(options.strict),
      next_role_(options.role),
      state_(options.role ? State::kHeader : State::kExpectStart) {}

std::optional<RequestError> HarmonyReference::push(int32_t id) {
  last_delta_.reset();
  switch (state_) {
    case State::kExpectStart:
      if (id != tokens_.start) {
        return invalid(fmt::format("Unexpected token {} while expecting start token {}",
                                   static_cast<uint32_t>(id), tokens_.start));
      }
      state_ = State::kHeader;
      break;
    case State::kHeader:
      if (id == tokens_.message) return begin_message();
      if (!strict_ && tokens_.ends_message(id) && role_is_known()) return recover_message();
      header_ids_.push_back(id);
      break;
    case State::kContent:
      if (tokens_.ends_message(id)) {
        end_message();
      } else {
        add_content(text_of(id));
      }
      break;
  }
  return std::nullopt;
}

std::optional<RequestError> HarmonyReference::finish() {
  last_delta_.reset();
  if (state_ == State::kHeader) return invalid("Unexpected EOS while waiting for message header to complete");
  if (state_ == State::kContent) end_message();
  return std::nullopt;
}

std::optional<std::string> HarmonyReference::current_channel() const {
  return state_ == State::kContent ? message_.channel : std::nullopt;
}

std::optional<std::string> HarmonyReference::current_recipient() const {
  return state_ == State::kContent ? message_.recipient : std::nullopt;
}

// The reference's vocabulary has names for all ids up to 201088, more than tokenizer.json.
std::string HarmonyReference::text_of(int32_t id) const {
  constexpr int32_t kCall = 200012;
  constexpr int32_t kLastReserved = 201088;
  if (tokens_.call == kCall && id > kCall && id <= kLastReserved) return fmt::format("<|reserved_{}|>", id);
  return std::string(tokenizer_.has_token(id) ? tokenizer_.token_bytes(id) : kReplacement);
}

Result<std::string> HarmonyReference::header_text() const {
  std::string text;
  for (const int32_t id : header_ids_) text += text_of(id);
  const std::size_t valid = utf8_valid_prefix(text);
  if (valid == text.size()) return text;
  return invalid(
      fmt::format("could not decode header: its {} bytes are not UTF-8 from byte {} on", text.size(), valid));
}

bool HarmonyReference::role_is_known() const {
  if (next_role_) return true;
  const Result<std::string> text = header_text();
  if (!text.ok()) return false;
  // A role is known by its name, and the name ends where <|channel|> begins.
  const std::vector<std::string> words =
      split_at_white_space(std::string_view(text.value()).substr(0, text.value().find(kChannel)));
  return !words.empty() && harmony_role(words.front()).has_value();
}

std::optional<RequestError> HarmonyReference::begin_message() {
  Result<std::string> text = header_text();
  if (!text.ok()) return text.error();
  Result<std::vector<std::string>> words = read_header(std::move(text).value());
  if (!words.ok()) return words.error();
  if (std::optional<RequestError> error = read_recipient_and_type(std::move(words).value())) return error;
  state_ = State::kContent;
  return std::nullopt;
}

std::optional<RequestError> HarmonyReference::recover_message() {
  Result<std::string> text = header_text();
  if (!text.ok()) return text.error();
  const Result<std::vector<std::string>> words = read_header(std::move(text).value());
  if (!words.ok()) return words.error();
  content_ = fmt::format("{}", fmt::join(words.value(), " "));
  end_message();
  return std::nullopt;
}

Result<std::vector<std::string>> HarmonyReference::read_header(std::string header) {
  message_ = {};
  header_ids_.clear();
  const std::optional<HarmonyRole> given_role = std::exchange(next_role_, std::nullopt);

  if (const std::size_t marker = header.find(kChannel); marker != std::string::npos) {
    const std::string_view behind = std::string_view(header).substr(marker + kChannel.size());
    const std::size_t length = std::min(find_white_space(behind), behind.find('<'));
    const std::string channel(behind.substr(0, length));
    if (channel.empty()) {
      return invalid(
          fmt::format("channel marker present but no channel value found in header, at byte {} of {}", marker,
                      compact_json(json::string(header))));
    }
    header.erase(marker, kChannel.size() + channel.size());
    message_.channel = channel;
  }
  for (std::size_t at = 0; (at = header.find(kHarmonyConstrain, at)) != std::string::npos;) {
    header.insert(at, " ");
    at += 1 + kHarmonyConstrain.size();
  }

  std::vector<std::string> words = split_at_white_space(header);
  if (!given_role && words.empty()) return invalid("message header did not contain a role");
  const std::optional<HarmonyRole> role = given_role ? given_role : harmony_role(words.front());
  message_.role = role.value_or(HarmonyRole::kTool);
  if (!given_role && message_.role == HarmonyRole::kTool) message_.name = words.front();
  if (!role) {
    if (words.size() == 1 && !words.front().starts_with("to="))
      return invalid("Unknown role: " + words.front());
    words.erase(words.begin());
  }
  if (!words.empty() && words.front() == to_string(message_.role)) words.erase(words.begin());
  return words;
}

std::optional<RequestError> HarmonyReference::read_recipient_and_type(std::vector<std::string> words) {
  if (words.empty()) return std::nullopt;
  const bool is_alone = words.size() == 1;
  std::string last = std::move(words.back());
  words.pop_back();
  if (is_alone || last.starts_with("to=")) {
    message_.recipient = without_to(last);
  } else {
    message_.content_type = std::move(last);
    message_.recipient = without_to(words.back());
    words.pop_back();
  }
  if (words.empty()) return std::nullopt;
  json::array rest;
  for (const std::string& word : words) rest.emplace_back(word);
  return invalid(fmt::format("unexpected tokens remaining in message header: {}", compact_json(rest)));
}

void HarmonyReference::add_content(std::string_view bytes) {
  held_ += bytes;
  std::string text;
  utf8_move_whole(held_, text);
  content_ += text;
  if (!text.empty()) last_delta_ = std::move(text);
}

void HarmonyReference::end_message() {
  utf8_append_lossy(std::exchange(held_, {}), content_);
  message_.content = {std::exchange(content_, {})};
  messages_.push_back(std::exchange(message_, {}));
  state_ = State::kExpectStart;
}

Result<std::vector<HarmonyMessage>> parse_harmony_as_reference(const Tokenizer& tokenizer,
                                                               std::span<const int32_t> ids,
                                                               const HarmonyReference::Options& options) {
  HarmonyReference reference(tokenizer, options);
  for (const int32_t id : ids) {
    if (std::optional<RequestError> error = reference.push(id)) return *std::move(error);
  }
  if (std::optional<RequestError> error = reference.finish()) return *std::move(error);
  return reference.messages();
}

}  // namespace gossamer
