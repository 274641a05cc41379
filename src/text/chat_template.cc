#include "text/chat_template.h"

#include <algorithm>
#include <array>
#include <utility>

#include "base/json.h"
#include "base/mapped_file.h"

namespace gossamer {
namespace {

constexpr std::size_t kMaxTemplateBytes = std::size_t{32} << 10;

constexpr std::string_view kWhiteSpace = " \t\n\r\f\v";

// A token is written as its text or as an object that says more.
std::optional<std::string> token_text(const json::object& config, std::string_view key) {
  const json::value* value = config.if_contains(key);
  if (value != nullptr && value->is_object()) value = value->get_object().if_contains("content");
  if (value == nullptr || !value->is_string()) return std::nullopt;
  return std::string(value->get_string());
}

std::optional<std::string> template_text(const json::object& config, const std::string& where) {
  const json::value* value = config.if_contains("chat_template");
  if (value == nullptr || value->is_null()) return std::nullopt;
  if (value->is_string()) return std::string(value->get_string());
  if (!value->is_array())
    throw Error("{}: chat_template: expected a string or a list of named templates, found {}", where,
                json::serialize(*value).substr(0, 60));
  for (const json::value& item : value->get_array()) {
    const json::object* entry = item.if_object();
    if (entry == nullptr || token_text(*entry, "name") != "default") continue;
    return token_text(*entry, "template");
  }
  return std::nullopt;
}

// What a conversation with all roles looks like; with fewer, where the template does not take all.
std::vector<std::vector<ChatTurn>> probes() {
  const ChatTurn system{ChatTurnRole::kSystem, "\x01"};
  const ChatTurn user{ChatTurnRole::kUser, "\x02"};
  const ChatTurn assistant{ChatTurnRole::kAssistant, "\x03"};
  return {{system, user, assistant, user}, {user, assistant, user}};
}

std::string name_of(const std::string& text) {
  struct Form {
    std::string_view name;
    std::array<std::string_view, 2> marks;
  };
  constexpr std::array<Form, 6> kForms = {{{"ChatML", {"<|im_start|>user", "<|im_end|>"}},
                                           {"Zephyr", {"<|user|>", "<|assistant|>"}},
                                           {"StableLM", {"<|USER|>", "<|ASSISTANT|>"}},
                                           {"OpenAssistant", {"<|prompter|>", "<|assistant|>"}},
                                           {"Alpaca", {"### Instruction:", "### Response:"}},
                                           {"[INST]", {"[INST]", "[/INST]"}}}};
  for (const Form& form : kForms) {
    const bool fits = std::all_of(form.marks.begin(), form.marks.end(), [&](std::string_view mark) {
      return text.find(mark) != std::string::npos;
    });
    if (fits) return std::string(form.name);
  }
  return "its own chat_template";
}

}  // namespace

std::optional<ChatTemplateSource> read_chat_template(
    const std::function<std::optional<std::filesystem::path>(const std::string&)>& find_file) {
  ChatTemplateSource source;
  std::optional<std::string> text;
  for (const char* name : {"tokenizer_config.json", "special_tokens_map.json"}) {
    const auto path = find_file(name);
    if (!path) continue;
    const json::value file = read_json_file(*path);
    if (!file.is_object()) throw Error("{}: expected an object", path->string());
    const json::object& config = file.get_object();
    if (!source.bos_token) source.bos_token = token_text(config, "bos_token");
    if (!source.eos_token) source.eos_token = token_text(config, "eos_token");
    if (text) continue;
    text = template_text(config, path->string());
    source.where = path->string();
  }
  if (const auto path = find_file("chat_template.jinja")) {
    text = std::string(MappedFile(*path).text());
    source.where = path->string();
  }
  if (!text) return std::nullopt;
  source.text = *std::move(text);
  return source;
}

// Pieces to ids: text is gathered up to the next of the template's tokens and encoded as one.
class ChatTemplate::Encoder {
 public:
  explicit Encoder(const ChatTemplate& form) : form_(form) {}

  // The template's own.
  void add_own(std::string_view text) {
    while (!text.empty()) {
      if (const Marker* marker = form_.marker_at(text)) {
        if (marker->strips_before) run_.resize(run_.find_last_not_of(kWhiteSpace) + 1);
        flush();
        ids_.push_back(marker->id);
        strip_ = marker->strips_behind;
        text.remove_prefix(marker->text.size());
      } else {
        add_text(text.substr(0, 1));
        text.remove_prefix(1);
      }
    }
  }

  void add_message(std::string_view text) {
    while (!text.empty()) {
      // The tokenizer finds added tokens that are not special in any text: one that the template builds on
      // is taken apart here.
      std::size_t cut = 0;
      const auto is_guarded = [&] {
        const Marker* marker = form_.marker_at(text.substr(cut));
        return marker != nullptr && !marker->special;
      };
      while (cut < text.size() && !is_guarded()) ++cut;
      const std::size_t end = std::min(cut + 1, text.size());
      add_text(text.substr(0, end));
      if (cut < text.size()) flush();
      text.remove_prefix(end);
    }
  }

  std::vector<int32_t> take() {
    flush();
    return std::move(ids_);
  }

 private:
  void add_text(std::string_view text) {
    if (strip_) text.remove_prefix(std::min(text.find_first_not_of(kWhiteSpace), text.size()));
    if (!text.empty()) strip_ = false;
    run_ += text;
  }
  void flush() {
    form_.tokenizer_->encode(run_, {.parse_special = false}, ids_);
    run_.clear();
  }

  const ChatTemplate& form_;
  std::string run_;
  bool strip_ = false;
  std::vector<int32_t> ids_;
};

const ChatTemplate::Marker* ChatTemplate::marker_at(std::string_view text) const {
  for (const Marker& marker : markers_) {
    if (text.starts_with(marker.text)) return &marker;
  }
  return nullptr;
}

// The tokens in what the template itself writes. Special ones are known to the tokenizer; added ones that are
// not special (as in models tuned on ChatML by hand) are those of <...> and [...] that are one token.
void ChatTemplate::find_markers(const std::string& own_text) {
  const auto add = [this](int32_t id, const std::string& text, bool special) {
    const bool known = std::any_of(markers_.begin(), markers_.end(),
                                   [&](const Marker& marker) { return marker.text == text; });
    if (known) return;
    const std::vector<int32_t> alone = {id};
    markers_.push_back({.id = id,
                        .text = text,
                        .special = special,
                        .strips_before = tokenizer_->encode(" " + text, {.parse_special = true}) == alone,
                        .strips_behind = tokenizer_->encode(text + " ", {.parse_special = true}) == alone});
  };
  for (int32_t id = 0; id < tokenizer_->vocab_size(); ++id) {
    if (!tokenizer_->is_special(id)) continue;
    const std::string text(tokenizer_->token_bytes(id));
    if (!text.empty() && own_text.find(text) != std::string::npos) add(id, text, true);
  }
  for (std::size_t i = 0; i < own_text.size(); ++i) {
    if (own_text[i] != '<' && own_text[i] != '[') continue;
    const std::size_t end = own_text.find(own_text[i] == '<' ? '>' : ']', i);
    if (end == std::string::npos || end < i + 2) continue;
    const std::string text = own_text.substr(i, end + 1 - i);
    const std::vector<int32_t> ids = tokenizer_->encode(text);
    if (ids.size() == 1 && !tokenizer_->is_special(ids.front())) add(ids.front(), text, false);
  }
  std::stable_sort(markers_.begin(), markers_.end(),
                   [](const Marker& a, const Marker& b) { return a.text.size() > b.text.size(); });
}

Result<ChatTemplate> ChatTemplate::create(const ChatTemplateSource& source, const Tokenizer& tokenizer) {
  const auto unknown = [&](std::string_view why) {
    return RequestError{.message = fmt::format("{}: the chat_template is not one of the known ones ({}): {}",
                                               source.where, kKnownChatForms, why)};
  };
  // The reader walks expressions by recursion: their length bounds its depth.
  if (source.text.size() > kMaxTemplateBytes)
    return unknown(fmt::format("it has {} bytes, more than {}", source.text.size(), kMaxTemplateBytes));
  Result<TemplateProgram> program = TemplateProgram::parse(source.text);
  if (!program.ok()) return unknown(program.error().message + " is not read");
  if (program.value().uses_bos_token() && !source.bos_token)
    return unknown("it writes bos_token, which tokenizer_config.json does not say");
  if (program.value().uses_eos_token() && !source.eos_token)
    return unknown("it writes eos_token, which tokenizer_config.json does not say");
  ChatTemplate form(std::move(program).value(), tokenizer);
  form.bos_token_ = source.bos_token.value_or("");
  form.eos_token_ = source.eos_token.value_or("");

  std::string refusal;
  for (const std::vector<ChatTurn>& turns : probes()) {
    const Result<std::vector<TemplatePiece>> pieces = form.run(turns, true);
    if (!pieces.ok()) {
      refusal = pieces.error().message;
      continue;
    }
    std::string own;
    std::string_view behind_answer;
    std::size_t num_users = 0;
    for (std::size_t i = 0; i < pieces.value().size(); ++i) {
      const TemplatePiece& piece = pieces.value()[i];
      // A message's text is a border: nothing of the template's goes on behind it.
      own += piece.is_message ? "\x01" : piece.text;
      if (piece.is_message && piece.text == "\x02") ++num_users;
      if (piece.is_message && piece.text == "\x03" && i + 1 < pieces.value().size())
        behind_answer = pieces.value()[i + 1].text;
    }
    if (num_users != 2) return unknown("it does not write every message of the user");
    form.form_ = name_of(own);
    form.find_markers(own);
    behind_answer.remove_prefix(std::min(behind_answer.find_first_not_of(kWhiteSpace), behind_answer.size()));
    if (const Marker* end = form.marker_at(behind_answer)) form.end_ids_ = {end->id};
    return form;
  }
  return unknown(fmt::format("it refuses a conversation of user and assistant: {}", refusal));
}

Result<std::vector<TemplatePiece>> ChatTemplate::run(std::span<const ChatTurn> turns,
                                                     bool add_generation_prompt) const {
  return program_.run({.turns = turns,
                       .add_generation_prompt = add_generation_prompt,
                       .bos_token = bos_token_,
                       .eos_token = eos_token_});
}

Result<std::vector<int32_t>> ChatTemplate::render(std::span<const ChatTurn> turns,
                                                  bool add_generation_prompt) const {
  const Result<std::vector<TemplatePiece>> pieces = run(turns, add_generation_prompt);
  if (!pieces.ok()) return pieces.error();
  Encoder encoder(*this);
  for (const TemplatePiece& piece : pieces.value()) {
    if (piece.is_message) {
      encoder.add_message(piece.text);
    } else {
      encoder.add_own(piece.text);
    }
  }
  return encoder.take();
}

}  // namespace gossamer
