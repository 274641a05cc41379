// gossamer score: the logits and last hidden states of every position of given token ids. What evaluations
// and the comparison with a reference read.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "apps/commands.h"
#include "apps/session.h"
#include "apps/terminal.h"
#include "base/error.h"
#include "base/json.h"
#include "checkpoint/safetensors_writer.h"

namespace gossamer::apps {
namespace {

struct Options {
  ModelOptions model;
  std::string ids_file;
  std::string output;
  int64_t max_num_seqs = 1;
};

using TokenLists = std::vector<std::vector<int32_t>>;

// [[1, 2, 3], [4, 5]], every id a row of the logits, every list short enough.
TokenLists read_token_lists(const std::string& path, int64_t vocab_size, int64_t longest) {
  const json::value value = read_json_file(path);
  if (!value.is_array() || value.get_array().empty())
    throw Error("{}: expected a list of lists of token ids, [[1, 2], [3]]", path);
  TokenLists lists;
  for (const json::value& item : value.get_array()) {
    const std::size_t number = lists.size();
    if (!item.is_array() || item.get_array().empty())
      throw Error("{}: list {}: expected a list of at least one token id", path, number);
    const json::array& ids = item.get_array();
    if (static_cast<int64_t>(ids.size()) > longest) {
      throw Error("{}: list {}: it has {}, but at most {} fit", path, number,
                  count_tokens(static_cast<int64_t>(ids.size())), longest);
    }
    std::vector<int32_t>& list = lists.emplace_back();
    for (const json::value& id : ids) {
      const int64_t found = id.is_int64() ? id.get_int64() : -1;
      if (found < 0 || found >= vocab_size) {
        throw Error("{}: list {}, position {}: expected a token id from 0 to {}, found {}", path, number,
                    list.size(), vocab_size - 1, json::serialize(id));
      }
      list.push_back(static_cast<int32_t>(found));
    }
  }
  return lists;
}

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
  int64_t num_tokens = 0;
  int64_t longest = 0;
  for (const auto& list : lists) {
    num_tokens += static_cast<int64_t>(list.size());
    longest = std::max(longest, static_cast<int64_t>(list.size()));
  }
  const int64_t max_model_len = options.model.max_model_len > 0 ? options.model.max_model_len : longest;
  constexpr int64_t kLogitRows = 64;  // of one step: 200,000 floats each
  EngineLimits limits = session.limits(max_model_len, options.max_num_seqs, std::min(kLogitRows, num_tokens));
  const MemoryPlan plan = session.plan(limits);
  ScoreFile file(options.output, lists, session.info());  // before loading: the disk may be full
  session.load(plan);

  const Clock::time_point start = Clock::now();
  std::string broken;  // the first position whose logits are not finite
  std::size_t done = 0;
  ProgressLine line("scoring");
  for (std::size_t i = 0; i < lists.size(); ++i) {
    Request request;
    request.prompt = lists[i];
    request.on_prompt_logits = [&, i](int64_t position, std::span<const float> logits,
                                      std::span<const float> hidden) {
      file.write(i, position, logits, hidden);
      if (broken.empty() &&
          !std::all_of(logits.begin(), logits.end(), [](float x) { return std::isfinite(x); }))
        broken = fmt::format("list {}, position {}", i, position);
      line.show(++done, static_cast<std::size_t>(num_tokens));
    };
    const Result<RequestId> id = session.engine().submit(std::move(request));
    if (!id.ok()) throw Error("list {}: {}", i, id.error().message);
  }
  while (!session.engine().idle()) session.engine().step();
  file.finish();
  const double seconds = seconds_since(start);
  session.note("{} in {:.2f} s ({:.1f} tokens/s)", count_tokens(num_tokens), seconds,
               static_cast<double>(num_tokens) / std::max(seconds, 1e-9));
  if (!broken.empty()) {
    throw Error(
        "{}: non-finite logits, first at {}; the weights or the activation type overflow (try --dtype f32)",
        options.output, broken);
  }
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
