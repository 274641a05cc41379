// gossamer score: the logits and last hidden states of every position of given token ids. What evaluations
// and the comparison with a reference read.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "apps/commands.h"
#include "apps/session.h"
#include "apps/token_lists.h"
#include "checkpoint/safetensors_writer.h"

namespace gossamer::apps {
namespace {

struct Options {
  ModelOptions model;
  std::string ids_file;
  std::string output;
  int64_t max_num_seqs = 1;
};

// The output file: logits.I and hidden.I beside each other, in the order of the lists.
class ScoreFile {
 public:
  ScoreFile(const std::string& path, const TokenLists& lists, const ModelInfo& info)
      : logits_bytes_(static_cast<uint64_t>(info.vocab_size) * sizeof(float)),
        hidden_bytes_(static_cast<uint64_t>(info.hidden_dim) * sizeof(float)),
        writer_(path, specs(lists, info)) {
    uint64_t begin = 0;
    for (const auto& list : lists) {
      const uint64_t logits = begin;
      const uint64_t hidden = logits + list.size() * logits_bytes_;
      places_.push_back({logits, hidden});
      begin = hidden + list.size() * hidden_bytes_;
    }
  }

  void write(std::size_t list, int64_t position, std::span<const float> logits,
             std::span<const float> hidden) {
    const auto row = static_cast<uint64_t>(position);
    writer_.write_at(places_[list].logits + row * logits_bytes_, std::as_bytes(logits));
    writer_.write_at(places_[list].hidden + row * hidden_bytes_, std::as_bytes(hidden));
  }
  void finish() { writer_.finish(); }

 private:
  struct Place {
    uint64_t logits;
    uint64_t hidden;
  };

  static std::vector<TensorSpec> specs(const TokenLists& lists, const ModelInfo& info) {
    std::vector<TensorSpec> specs;
    for (std::size_t i = 0; i < lists.size(); ++i) {
      const auto tokens = static_cast<int64_t>(lists[i].size());
      specs.push_back({.name = fmt::format("logits.{}", i), .shape = Shape{tokens, info.vocab_size}});
      specs.push_back({.name = fmt::format("hidden.{}", i), .shape = Shape{tokens, info.hidden_dim}});
    }
    return specs;
  }

  uint64_t logits_bytes_;
  uint64_t hidden_bytes_;
  SafetensorsWriter writer_;
  std::vector<Place> places_;
};

void run(const Options& options) {
  Session session(options.model);
  const TokenLists lists = read_token_lists(options.ids_file, session.info().vocab_size, session.longest());
  const MemoryPlan plan = plan_lists(session, lists, options.max_num_seqs);
  ScoreFile file(options.output, lists, session.info());  // before loading: the disk may be full
  session.load(plan);
  const int64_t num_tokens = total_tokens(lists);
  int64_t num_written = 0;
  const double seconds = run_lists(
      session, lists, "scoring",
      [&](std::size_t list, int64_t position, std::span<const float> logits, std::span<const float> hidden) {
        file.write(list, position, logits, hidden);
        if (++num_written == num_tokens) file.finish();
      });
  session.note("{} in {:.2f} s ({:.1f} tokens/s)", count_tokens(num_tokens), seconds,
               static_cast<double>(num_tokens) / std::max(seconds, 1e-9));
}

}  // namespace

void add_score(CLI::App& program) {
  CLI::App* command =
      program.add_subcommand("score",
                             "Write the float32 logits (logits.I, [tokens, vocabulary]) and last hidden "
                             "states (hidden.I, [tokens, hidden]) of "
                             "every position of the I-th list of token ids to a safetensors file");
  auto options = std::make_shared<Options>();
  add_model_options(*command, options->model, "a longer list is an error. Default: the longest list's");
  command
      ->add_option("--token-ids-file", options->ids_file, "A JSON list of lists of token ids: [[1, 2], [3]]")
      ->required();
  command->add_option("--output,-o", options->output, "The safetensors file to write")->required();
  command
      ->add_option("--max-num-seqs", options->max_num_seqs,
                   "How many lists are computed side by side. Results do not depend on it")
      ->check(CLI::Range(1, 4096))
      ->capture_default_str();
  command->callback([options] { run(*options); });
}

}  // namespace gossamer::apps
