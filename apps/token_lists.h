// The token ids that score, calibrate and quality run a model over, and the run.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "apps/session.h"

namespace CLI {
class App;
}  // namespace CLI

namespace gossamer::apps {

using TokenLists = std::vector<std::vector<int32_t>>;

// A JSON file [[1, 2, 3], [4, 5]]: every id a row of the logits, every list at most `longest`. Throws Error.
TokenLists read_token_lists(const std::string& path, int64_t vocab_size, int64_t longest);

// What calibrate and quality run over: a text, or lists as above.
struct CorpusOptions {
  std::string text;
  std::string ids_file;
  int64_t max_tokens = 2048;
};
void add_corpus_options(CLI::App& command, CorpusOptions& options);
// A text is cut into lists of --max-model-len tokens (kPieceTokens when it is not given), as many as
// max_tokens allows. Throws Error.
inline constexpr int64_t kPieceTokens = 512;
TokenLists read_corpus(const CorpusOptions& options, const Session& session);

int64_t total_tokens(const TokenLists& lists);

// For a session that will run these lists, `max_num_seqs` side by side.
MemoryPlan plan_lists(const Session& session, const TokenLists& lists, int64_t max_num_seqs = 1);

// Logits [vocab_size] and last hidden state [hidden_dim] of one position of one list; valid during the call.
using ListSink = std::function<void(std::size_t list, int64_t position, std::span<const float> logits,
                                    std::span<const float> hidden)>;
// Runs every list and returns the seconds that took. `what` stands in the progress line. Throws Error at the
// end when some logits were not finite, naming the first.
double run_lists(Session& session, const TokenLists& lists, const std::string& what, const ListSink& sink);

}  // namespace gossamer::apps
