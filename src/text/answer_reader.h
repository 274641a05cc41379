// AnswerReader: sampled token ids to the text of an answer, as they come. Called by generate and chat, by the
// server and by batch runs; the engine knows ids only.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "text/harmony_stream.h"
#include "text/stop_strings.h"
#include "text/stream_detokenizer.h"
#include "text/tokenizer.h"

namespace gossamer {

// Which text a token went into.
struct TokenPlace {
  int64_t token = 0;  // number within the answer, from 0
  HarmonyPart part = HarmonyPart::kAnswer;
  std::size_t begin = 0;  // bytes of the part's text before it, as if there were no stop strings
};

// Splits by channels where the model speaks Harmony; else the text is as it is, one message. Stop strings end
// the answer proper; they are not looked for in reasoning and calls.
class AnswerReader {
 public:
  struct Options {
    bool harmony = false;
    bool skip_special = false;  // plain text leaves special tokens out
    std::vector<std::string> stops = {};
  };

  // Without a tokenizer there is never any text. It must outlive this.
  AnswerReader(const Tokenizer* tokenizer, const Options& options);

  // `is_end`: generation stopped at this token, which then is no part of the text.
  std::vector<HarmonyDelta> push(int32_t id, bool is_end = false);
  std::vector<HarmonyDelta> flush();

  // A stop string was met: nothing more will come.
  bool stopped() const { return stops_.found(); }
  bool is_harmony() const { return harmony_.has_value(); }

  // What has become known since the last call, ascending. Tokens of headers have no place.
  std::vector<TokenPlace> take_places();

 private:
  void place(std::vector<int64_t> tokens, const std::vector<HarmonyDelta>& deltas, std::size_t home);
  std::vector<HarmonyDelta> through_stops(std::vector<HarmonyDelta> deltas);

  const Tokenizer* tokenizer_;
  std::optional<HarmonyStream> harmony_;
  std::optional<StreamDetokenizer> plain_;
  StopStrings stops_;
  HarmonyDelta last_answer_;  // where text that the stop strings held back belongs

  int64_t num_tokens_ = 0;
  std::vector<int64_t> unplaced_;               // headers, or parts of a character
  std::array<std::size_t, 3> part_bytes_ = {};  // by HarmonyPart, stop strings not minded
  std::vector<TokenPlace> places_;
};

}  // namespace gossamer
