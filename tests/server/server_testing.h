// What the tests of src/server share: a tokenizer, a model, and outputs as an engine would give them.
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "engine/request.h"
#include "server/served_model.h"
#include "text/tokenizer.h"

namespace gossamer::test {

inline std::unique_ptr<Tokenizer> load_tokenizer(const std::string& name) {
  return Tokenizer::load(std::filesystem::path(GOSSAMER_SOURCE_DIR) / "tests/text/data" / name);
}

inline json::value parse(std::string_view text) { return parse_json(text, "test"); }

// Names special tokens where the text does.
inline std::vector<int32_t> ids_of_text(const Tokenizer& tokenizer, std::string_view text) {
  return tokenizer.encode(text, {.parse_special = true});
}

inline ServedModel make_model(const Tokenizer& tokenizer, bool has_chat_form) {
  ServedModel model;
  model.names = {"tiny", "folder/tiny"};
  model.tokenizer = &tokenizer;
  model.has_chat_form = has_chat_form;
  model.vocab_size = tokenizer.vocab_size();
  model.max_model_len = 1000;
  model.sampling.temperature = 0.0F;
  model.eos_ids = {*tokenizer.special_id("<|endoftext|>")};
  return model;
}

// Sequence `index` gives the tokens of `text`, one an output, with log-probabilities -0.25, -0.5, ... ; the
// last one with `finish`.
inline std::vector<Output> outputs_of(const Tokenizer& tokenizer, std::string_view text, FinishReason finish,
                                      int index = 0) {
  std::vector<Output> outputs;
  for (const int32_t id : ids_of_text(tokenizer, text)) {
    const float logprob = -0.25F * static_cast<float>(outputs.size() + 1);
    Output output{.id = 1, .index = index, .token = id};
    output.logprobs = TokenLogprobs{.token = {id, logprob}, .rank = 1, .top = {{33, logprob + 0.125F}}};
    outputs.push_back(std::move(output));
  }
  outputs.back().finish_reason = finish;
  return outputs;
}

}  // namespace gossamer::test
