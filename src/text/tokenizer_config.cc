#include "text/tokenizer_config.h"

#include "base/error.h"
#include "text/split_patterns.h"
#include "text/vocabulary.h"

namespace gossamer {
namespace {

// nullptr where the key is absent or null: the two mean the same everywhere in this format.
const json::value* find(const json::object& object, std::string_view key) {
  const json::value* value = object.if_contains(key);
  return value == nullptr || value->is_null() ? nullptr : value;
}

const json::object& as_object(const json::value& value, std::string_view what, const std::string& where) {
  if (!value.is_object())
    throw Error("{}: {}: expected an object, found {}", where, what, json::serialize(value));
  return value.get_object();
}

const json::array& as_array(const json::value& value, std::string_view what, const std::string& where) {
  if (!value.is_array())
    throw Error("{}: {}: expected a list, found {}", where, what, json::serialize(value));
  return value.get_array();
}

std::string string_at(const json::object& object, std::string_view key, std::string_view what,
                      const std::string& where) {
  const json::value* value = find(object, key);
  if (value == nullptr || !value->is_string()) {
    throw Error("{}: {}.{}: expected a string, found {}", where, what, key,
                value == nullptr ? "nothing" : json::serialize(*value));
  }
  return std::string(value->get_string());
}

[[noreturn]] void unsupported(std::string_view what, const std::string& found, std::string_view supported,
                              const std::string& where) {
  throw Error("{}: {} {} is not supported, only {}", where, what, found, supported);
}

PreTokenizerStep parse_split(const json::object& split, const std::string& where) {
  PreTokenizerStep step;
  const std::string what = "pre_tokenizer Split";
  const json::value* pattern = find(split, "pattern");
  if (pattern == nullptr) throw Error("{}: {}: no pattern", where, what);
  const json::object& choice = as_object(*pattern, what + ".pattern", where);
  std::string regex;
  if (choice.if_contains("Regex") != nullptr) {
    regex = string_at(choice, "Regex", what + ".pattern", where);
  } else {  // a literal string: \Q...\E quotes it, and \E inside it ends, is spelled and resumes the
            // quotation
    for (const char c : string_at(choice, "String", what + ".pattern", where)) {
      const auto byte = static_cast<unsigned char>(c);
      const bool plain =
          byte >= 0x80 || (c >= '0' && c <= '9') || ((byte | 0x20) >= 'a' && (byte | 0x20) <= 'z');
      if (!plain) regex.push_back('\\');
      regex.push_back(c);
    }
  }
  const std::string behavior = string_at(split, "behavior", what, where);
  if (behavior != "Isolated" && behavior != "Removed") {
    unsupported(what + ".behavior", behavior, "Isolated and Removed", where);
  }
  if (flag_or(split, "invert", false, where)) unsupported(what + ".invert", "true", "false", where);
  step.remove_matches = behavior == "Removed";
  if (regex == kGpt2Pattern && !step.remove_matches) {
    step.pattern = SplitPattern::kGpt2;
  } else if (regex == kO200kPattern && !step.remove_matches) {
    step.pattern = SplitPattern::kO200k;
  } else {
    step.pattern = SplitPattern::kRegex;
    step.regex.emplace(regex, where);
  }
  return step;
}

void append_steps(const json::value& value, const std::string& where, bool& byte_level,
                  std::vector<PreTokenizerStep>& steps) {
  const json::object& object = as_object(value, "pre_tokenizer", where);
  const std::string type = string_at(object, "type", "pre_tokenizer", where);
  if (byte_level) unsupported("pre_tokenizer", type + " after ByteLevel", "one ByteLevel at the end", where);
  if (type == "Sequence") {
    const json::value* list = find(object, "pretokenizers");
    if (list == nullptr) throw Error("{}: pre_tokenizer Sequence: no pretokenizers", where);
    for (const json::value& element : as_array(*list, "pre_tokenizer.pretokenizers", where)) {
      append_steps(element, where, byte_level, steps);
    }
  } else if (type == "Split") {
    steps.push_back(parse_split(object, where));
  } else if (type == "ByteLevel") {
    byte_level = true;
    PreTokenizerStep step;
    if (flag_or(object, "use_regex", true, where)) step.pattern = SplitPattern::kGpt2;
    step.add_prefix_space = flag_or(object, "add_prefix_space", true, where);
    // A step that does nothing would only cost a call for every piece.
    if (step.pattern != SplitPattern::kNone || step.add_prefix_space) steps.push_back(std::move(step));
  } else {
    unsupported("pre_tokenizer", type, "ByteLevel, Split and Sequence", where);
  }
}

}  // namespace

bool flag_or(const json::object& object, std::string_view key, bool fallback, const std::string& where) {
  const json::value* value = find(object, key);
  if (value == nullptr) return fallback;
  if (!value->is_bool())
    throw Error("{}: {}: expected true or false, found {}", where, key, json::serialize(*value));
  return value->get_bool();
}

void check_bpe_options(const json::object& model, const std::string& where) {
  if (find(model, "type") != nullptr) {
    const std::string type = string_at(model, "type", "model", where);
    if (type != "BPE") unsupported("model type", type, "BPE", where);
  }
  const json::value* dropout = find(model, "dropout");
  if (dropout != nullptr && !(dropout->is_number() && dropout->to_number<double>() == 0.0)) {
    unsupported("model.dropout", json::serialize(*dropout), "null", where);
  }
  for (const std::string_view key : {"continuing_subword_prefix", "end_of_word_suffix"}) {
    const json::value* affix = find(model, key);
    if (affix != nullptr && !(affix->is_string() && affix->get_string().empty())) {
      unsupported(std::string("model.").append(key), json::serialize(*affix), "none", where);
    }
  }
  if (flag_or(model, "byte_fallback", false, where))
    unsupported("model.byte_fallback", "true", "false", where);
}

bool parse_normalizer(const json::object& config, const std::string& where) {
  const json::value* normalizer = find(config, "normalizer");
  if (normalizer == nullptr) return false;
  const json::object& object = as_object(*normalizer, "normalizer", where);
  const std::string type = string_at(object, "type", "normalizer", where);
  if (type == "NFC") return true;
  if (type != "Sequence") unsupported("normalizer", type, "NFC", where);
  const json::value* list = find(object, "normalizers");
  if (list == nullptr) throw Error("{}: normalizer Sequence: no normalizers", where);
  bool nfc = false;
  for (const json::value& element : as_array(*list, "normalizer.normalizers", where)) {
    const std::string inner = string_at(as_object(element, "normalizer", where), "type", "normalizer", where);
    if (inner != "NFC") unsupported("normalizer", inner, "NFC", where);
    nfc = true;
  }
  return nfc;
}

std::vector<PreTokenizerStep> parse_pre_tokenizer(const json::object& config, const std::string& where) {
  std::vector<PreTokenizerStep> steps;
  const json::value* value = find(config, "pre_tokenizer");
  bool byte_level = false;
  if (value != nullptr) append_steps(*value, where, byte_level, steps);
  if (!byte_level) {
    unsupported("pre_tokenizer", value == nullptr ? "null" : "without ByteLevel", "a byte-level one", where);
  }
  return steps;
}

std::vector<AddedToken> parse_added_tokens(const json::object& config, const std::string& where) {
  std::vector<AddedToken> tokens;
  const json::value* list = find(config, "added_tokens");
  if (list == nullptr) return tokens;
  for (const json::value& element : as_array(*list, "added_tokens", where)) {
    const json::object& object = as_object(element, "added_tokens", where);
    AddedToken token;
    token.content = string_at(object, "content", "added_tokens", where);
    const json::value* id = find(object, "id");
    if (id == nullptr || !id->is_int64() || id->get_int64() < 0 || id->get_int64() > Vocabulary::kMaxId) {
      throw Error("{}: added_tokens: the id of \"{}\": expected a whole number from 0 to {}, found {}", where,
                  token.content, Vocabulary::kMaxId, id == nullptr ? "nothing" : json::serialize(*id));
    }
    token.id = static_cast<int32_t>(id->get_int64());
    token.special = flag_or(object, "special", false, where);
    token.normalized = flag_or(object, "normalized", !token.special, where);
    token.single_word = flag_or(object, "single_word", false, where);
    token.lstrip = flag_or(object, "lstrip", false, where);
    token.rstrip = flag_or(object, "rstrip", false, where);
    tokens.push_back(std::move(token));
  }
  return tokens;
}

void check_decoder(const json::object& config, const std::string& where) {
  const json::value* decoder = find(config, "decoder");
  if (decoder == nullptr) unsupported("decoder", "null", "ByteLevel", where);
  const std::string type = string_at(as_object(*decoder, "decoder", where), "type", "decoder", where);
  if (type != "ByteLevel") unsupported("decoder", type, "ByteLevel", where);
}

void check_post_processor(const json::object& config, const std::string& where) {
  const json::value* processor = find(config, "post_processor");
  if (processor == nullptr) return;
  const json::object& object = as_object(*processor, "post_processor", where);
  const std::string type = string_at(object, "type", "post_processor", where);
  if (type == "ByteLevel") return;  // it moves offsets only
  if (type == "Sequence") {
    const json::value* list = find(object, "processors");
    if (list == nullptr) throw Error("{}: post_processor Sequence: no processors", where);
    for (const json::value& element : as_array(*list, "post_processor.processors", where)) {
      check_post_processor({{"post_processor", element}}, where);
    }
    return;
  }
  if (type != "TemplateProcessing")
    unsupported("post_processor", type, "ByteLevel and an empty template", where);
  const json::value* single = find(object, "single");
  if (single == nullptr) return;
  for (const json::value& piece : as_array(*single, "post_processor.single", where)) {
    const json::object& piece_object = as_object(piece, "post_processor.single", where);
    if (piece_object.if_contains("Sequence") == nullptr) {
      unsupported("post_processor", "TemplateProcessing with " + json::serialize(piece),
                  "one that adds nothing", where);
    }
  }
}

}  // namespace gossamer
