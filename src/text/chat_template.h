// ChatTemplate: how conversations become prompts for models without Harmony, as the model's own chat_template
// says. Read are the forms that are loops over the messages (template_program.h): ChatML, Zephyr, StableLM,
// OpenAssistant, Alpaca and what is written like them; others are refused, never guessed. Made by apps/, used
// by apps/ and server/.
//
// A run of text between two special tokens, the template's words and the users' alike, is encoded as one, as
// transformers encodes the whole conversation: so the ids are the same. Only the template's own text may name
// special tokens.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "text/template_program.h"
#include "text/tokenizer.h"

namespace gossamer {

inline constexpr std::string_view kKnownChatForms =
    "ChatML, Zephyr, StableLM, OpenAssistant, Alpaca and [INST]";

struct ChatTemplateSource {
  std::string where;  // the file
  std::string text;
  std::optional<std::string> bos_token = std::nullopt;
  std::optional<std::string> eos_token = std::nullopt;
};

// chat_template.jinja, else the chat_template of tokenizer_config.json, of several the one named "default";
// nothing where there is none. `find_file` gives the path of a side file. Throws Error for files that are
// malformed.
std::optional<ChatTemplateSource> read_chat_template(
    const std::function<std::optional<std::filesystem::path>(const std::string&)>& find_file);

class ChatTemplate {
 public:
  // `tokenizer` outlives this. The error says what of the template is not known here.
  static Result<ChatTemplate> create(const ChatTemplateSource& source, const Tokenizer& tokenizer);

  // "ChatML", ...; "its own chat_template" for one without a name.
  const std::string& form() const { return form_; }
  // What ends an answer, where the template has a special token for it.
  const std::vector<int32_t>& end_ids() const { return end_ids_; }

  // At least one turn. The error is a conversation that the template refuses.
  Result<std::vector<int32_t>> render(std::span<const ChatTurn> turns,
                                      bool add_generation_prompt = true) const;

 private:
  // A token that the template names.
  struct Marker {
    int32_t id = 0;
    std::string text;
    bool special = false;
    bool strips_before = false;  // swallows the white space there
    bool strips_behind = false;
  };
  class Encoder;

  ChatTemplate(TemplateProgram program, const Tokenizer& tokenizer)
      : program_(std::move(program)), tokenizer_(&tokenizer) {}

  Result<std::vector<TemplatePiece>> run(std::span<const ChatTurn> turns, bool add_generation_prompt) const;
  void find_markers(const std::string& own_text);
  const Marker* marker_at(std::string_view text) const;

  TemplateProgram program_;
  const Tokenizer* tokenizer_;
  std::string bos_token_;
  std::string eos_token_;
  std::string form_;
  std::vector<Marker> markers_;  // longest first
  std::vector<int32_t> end_ids_;
};

}  // namespace gossamer
