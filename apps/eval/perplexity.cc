// gossamer eval perplexity: of a text file, in one of three definitions that are named with every number.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "apps/eval/eval_commands.h"
#include "apps/eval/eval_run.h"
#include "base/error.h"
#include "eval/dataset.h"
#include "eval/perplexity_windows.h"

namespace gossamer::apps {
namespace {

struct Options {
  EvalOptions common;
  std::string mode = "llama";
  std::size_t window = 0;
  std::size_t stride = 0;
  bool wikitext = false;
};

constexpr std::size_t kLlamaWindow = 512;
constexpr std::size_t kOtherWindow = 1024;

std::filesystem::path find_file(const std::filesystem::path& data) {
  if (std::filesystem::is_regular_file(data)) return data;
  for (const char* name : {"wiki.test.raw", "wikitext-2-raw/wiki.test.raw", "wiki.test.tokens"}) {
    if (std::filesystem::exists(data / name)) return data / name;
  }
  throw Error("{}: expected a text file, or a folder with wiki.test.raw", data.string());
}

struct Document {
  std::string text;       // as the model sees it
  std::size_t words = 0;  // of the original
  std::size_t bytes = 0;
};

std::vector<Document> read_documents(const Options& options, const std::filesystem::path& file) {
  const std::string text = read_data_file(file);
  std::vector<Document> documents;
  for (const std::string& page : options.wikitext ? split_wikitext(text) : std::vector<std::string>{text})
    documents.push_back({.text = options.wikitext ? detokenize_wikitext(page) : page,
                         .words = count_words(page),
                         .bytes = page.size()});
  return documents;
}

std::vector<PerplexityWindow> windows_of(const Options& options, std::size_t num_tokens) {
  if (options.mode == "llama") return llama_windows(num_tokens, options.window, options.stride);
  if (options.mode == "sliding") return sliding_windows(num_tokens, options.window, options.stride);
  return rolling_windows(num_tokens, options.window);
}

Result<json::object> ask(Subject& model, const std::vector<int32_t>& ids, const PerplexityWindow& window) {
  const auto begin = ids.begin() + static_cast<std::ptrdiff_t>(window.begin);
  std::vector<int32_t> seen(begin, ids.begin() + static_cast<std::ptrdiff_t>(window.end));
  if (window.after_prefix) seen.insert(seen.begin(), model.prefix_token());
  const Result<std::vector<TokenLogprobs>> scored = model.score_tokens(seen, 0);
  if (!scored.ok()) return scored.error();
  double sum = 0.0;
  double sum_of_squares = 0.0;
  for (const TokenLogprobs& token : std::span(scored.value()).last(window.num_scored)) {
    const auto logprob = static_cast<double>(token.token.logprob);
    sum -= logprob;
    sum_of_squares += logprob * logprob;
  }
  return json::object{{"tokens_seen", seen.size()},
                      {"tokens_scored", window.num_scored},
                      {"negative_log_likelihood", sum},
                      {"sum_of_squares", sum_of_squares}};
}

void check(const Options& options, const std::vector<std::vector<int32_t>>& ids, int64_t longest) {
  std::size_t needed = options.window;
  if (options.mode == "llama") needed += options.stride / 2;
  if (options.mode == "rolling") needed += 1;
  if (static_cast<int64_t>(needed) > longest) {
    throw Error("--window {} needs {} tokens at once, the model takes {}: expected a shorter window",
                options.window, needed, longest);
  }
  if (options.mode != "rolling" && options.stride > options.window)
    throw Error("--stride {}: expected at most the window, {}", options.stride, options.window);
  if (options.mode == "llama" && ids.front().size() < 2 * needed) {
    throw Error("{}: expected at least {} tokens (two windows), found {}: a shorter --window may do",
                options.common.data, 2 * needed, ids.front().size());
  }
}

void run(Options options) {
  const std::filesystem::path file = find_file(options.common.data);
  if (options.wikitext && options.mode != "rolling")
    throw Error("--wikitext belongs to --mode rolling: the other modes take the file as it is");
  if (options.window == 0) options.window = options.mode == "llama" ? kLlamaWindow : kOtherWindow;
  if (options.mode == "sliding" && options.stride == 0) options.stride = options.window / 2;
  if (options.mode == "rolling" && options.stride != 0)
    throw Error("--stride belongs to the modes llama and sliding");
  std::vector<Document> documents = read_documents(options, file);
  if (options.common.limit > 0 && options.wikitext)
    documents.resize(std::min(documents.size(), options.common.limit));
  const std::string name = "perplexity_" + options.mode;
  EvalRun run(options.common, name,
              {{"file", file.filename().string()},
               {"window", options.window},
               {"stride", options.stride},
               {"wikitext", options.wikitext}},
              /*needs_chat=*/false);
  std::vector<std::vector<int32_t>> ids;
  for (const Document& document : documents) ids.push_back(run.subject().encode(document.text));
  if (ids.empty()) throw Error("{}: expected text, found none", file.string());
  check(options, ids, run.subject().max_model_len());

  std::vector<EvalItem> items;
  for (std::size_t i = 0; i < ids.size(); ++i) {
    std::size_t number = 0;
    for (const PerplexityWindow& window : windows_of(options, ids[i].size())) {
      if (window.num_scored == 0) continue;
      const std::string id = fmt::format("{}/{}", i, number++);
      const std::span<const int32_t> seen =
          std::span(ids[i]).subspan(window.begin, window.end - window.begin);
      items.push_back(
          {.id = id,
           .where = fmt::format("{}: text {}, tokens {} to {}", file.string(), i, window.begin, window.end),
           .text = std::string(reinterpret_cast<const char*>(seen.data()), seen.size_bytes()),
           .ask = [&of_text = ids[i], window](Subject& model) { return ask(model, of_text, window); }});
    }
  }
  run.answer(items);

  double sum = 0.0;
  double sum_of_squares = 0.0;
  std::size_t count = 0;
  std::size_t failed = 0;
  for (const EvalItem& item : items) {
    const json::object* prediction = run.prediction(item.id);
    if (prediction == nullptr) {
      ++failed;
      continue;
    }
    sum += prediction->at("negative_log_likelihood").to_number<double>();
    sum_of_squares += prediction->at("sum_of_squares").to_number<double>();
    count += prediction->at("tokens_scored").to_number<std::size_t>();
  }
  if (failed > 0)
    throw Error("{} of {} windows could not be computed: there is no score", failed, items.size());
  const auto n = static_cast<double>(count);
  const double average = sum / n;
  const double perplexity = std::exp(average);
  const double variance = std::max(0.0, sum_of_squares / n - average * average);
  const double standard_error = count > 1 ? perplexity * std::sqrt(variance / (n - 1.0)) : 0.0;
  json::object result = {{"mode", options.mode},     {"window", options.window},
                         {"stride", options.stride}, {"texts", documents.size()},
                         {"tokens_scored", count},   {"negative_log_likelihood", sum},
                         {"perplexity", perplexity}, {"standard_error", standard_error}};
  constexpr double kZ = 1.96;
  ScoreTable table(fmt::format("Perplexity, mode {}, window {}, stride {}, {} tokens scored", options.mode,
                               options.window, options.stride, count));
  table.add_line(fmt::format(
      "perplexity        {:.4f} +- {:.4f} (95 % interval [{:.4f}, {:.4f}], by the standard error)",
      perplexity, standard_error, perplexity - kZ * standard_error, perplexity + kZ * standard_error));
  if (options.mode == "rolling") {
    std::size_t words = 0;
    std::size_t bytes = 0;
    for (const Document& document : documents) {
      words += document.words;
      bytes += document.bytes;
    }
    const double by_word = std::exp(sum / static_cast<double>(words));
    const double by_byte = std::exp(sum / static_cast<double>(bytes));
    const double bits = sum / static_cast<double>(bytes) / std::log(2.0);
    result["word_perplexity"] = by_word;
    result["byte_perplexity"] = by_byte;
    result["bits_per_byte"] = bits;
    table.add_line(fmt::format("word_perplexity   {:.4f} ({} words)", by_word, words));
    table.add_line(fmt::format("byte_perplexity   {:.4f} ({} bytes)", by_byte, bytes));
    table.add_line(fmt::format("bits_per_byte     {:.4f}", bits));
  }
  run.report(std::move(result), table);
}

}  // namespace

void add_eval_perplexity(CLI::App& eval) {
  CLI::App* command =
      eval.add_subcommand("perplexity",
                          "Perplexity of a text: as llama-perplexity, the transformers documentation or "
                          "lm-evaluation-harness computes it");
  auto options = std::make_shared<Options>();
  add_eval_options(*command, options->common, "A UTF-8 text, or a folder with wiki.test.raw");
  command
      ->add_option("--mode", options->mode,
                   "llama (llama-perplexity: disjoint windows, second halves scored), sliding (windows that "
                   "overlap), rolling (lm-evaluation-harness: every token, by words and bytes too). Their "
                   "numbers are not comparable")
      ->check(CLI::IsMember({"llama", "sliding", "rolling"}))
      ->capture_default_str();
  command->add_option("--window", options->window, "Tokens seen at once. Default: 512 for llama, else 1024")
      ->check(CLI::Range(2, 1 << 24));
  command
      ->add_option("--stride", options->stride,
                   "sliding: tokens from window to window (default: half a window); llama: as --ppl-stride")
      ->check(CLI::Range(1, 1 << 24));
  command->add_flag("--wikitext", options->wikitext,
                    "With rolling: split the file into articles and undo WikiText's spacing, as "
                    "lm-evaluation-harness does; words and bytes are the original's");
  command->callback([options] { run(*options); });
}

}  // namespace gossamer::apps
