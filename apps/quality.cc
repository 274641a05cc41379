// gossamer quality: what a precision costs. The model as stored runs over a text first, the chosen precision
// after it, so that only one of them is in memory; in between, what the first computed waits in a temporary
// file, in the order in which the second, whose steps are the same, computes it again.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cmath>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "apps/commands.h"
#include "apps/session.h"
#include "apps/spill_file.h"
#include "apps/text_files.h"
#include "apps/token_lists.h"
#include "base/error.h"
#include "base/json.h"
#include "base/system_memory.h"
#include "engine/compare_logits.h"

namespace gossamer::apps {
namespace {

struct Options {
  ModelOptions model;
  CorpusOptions corpus{.max_tokens = 1024};
  std::string json;
};

// The 2-norm of an error relative to what it is an error of.
struct RelativeError {
  double squared_error = 0.0;
  double squared_norm = 0.0;

  double value() const { return squared_norm > 0.0 ? std::sqrt(squared_error / squared_norm) : 0.0; }
};

struct Report {
  int64_t num_tokens = 0;
  std::size_t num_lists = 0;
  // Sums of token_loss over the tokens that another precedes.
  double loss_as_stored = 0.0;
  double loss = 0.0;
  int64_t num_predicted = 0;
  std::vector<double> divergences;  // of each token, ascending
  int64_t num_same_top = 0;
  RelativeError logits;
  std::vector<std::pair<std::string, RelativeError>> products;  // in the order in which a step computes them

  double mean_divergence() const {
    double sum = 0.0;
    for (const double divergence : divergences) sum += divergence;
    return sum / static_cast<double>(divergences.size());
  }
  // The divergence that a share of the tokens stays below.
  double divergence_at(double share) const {
    const auto index = static_cast<std::size_t>(share * static_cast<double>(divergences.size() - 1));
    return divergences[index];
  }
  double same_top_share() const {
    return static_cast<double>(num_same_top) / static_cast<double>(num_tokens);
  }
  std::optional<double> perplexity(double sum_of_losses) const {
    if (num_predicted == 0) return std::nullopt;
    return std::exp(sum_of_losses / static_cast<double>(num_predicted));
  }
  RelativeError& product(const std::string& name) {
    const auto same = [&name](const auto& product) { return product.first == name; };
    const auto found = std::find_if(products.begin(), products.end(), same);
    return found != products.end() ? found->second : products.emplace_back(name, RelativeError()).second;
  }
};

// Products of the layers whose outputs are seen, with their rows. The head's outputs are the logits; what the
// experts that read a norm put out stays within the operation.
std::map<std::string, int64_t> layer_products(const ParamList& params) {
  std::map<std::string, int64_t> rows;
  for (const MatrixParam& matrix : params.matrices) {
    const bool in_layer = matrix.role != WeightRole::kHead && matrix.role != WeightRole::kEmbedding;
    const bool inner = matrix.role == WeightRole::kExperts && !matrix.input_norm.empty();
    if (in_layer && !inner) rows[matrix.parts.front().name] = matrix.rows();
  }
  return rows;
}

// Opens, loads and runs one model. `on_output` sees the layers' products.
void run_model(const ModelOptions& model, const TokenLists& lists, const std::string& what,
               const std::function<void(const std::string&, const ObservedRows&)>& on_output,
               const ListSink& on_logits) {
  Session session(model);
  const std::map<std::string, int64_t> products = layer_products(session.folder().params);
  ProductObserver observer;
  observer.on_output = [&](const std::string& name, const ObservedRows& y) {
    if (products.contains(name)) on_output(name, y);
  };
  session.observe(std::move(observer));
  session.load(plan_lists(session, lists));
  run_lists(session, lists, what, on_logits);
}

// `numbers_per_token`: logits and products, as they wait in the file.
Report compare(const ModelOptions& chosen, const TokenLists& lists, int64_t numbers_per_token) {
  Report report{.num_tokens = total_tokens(lists), .num_lists = lists.size()};
  const auto loss_of_next = [&lists](std::size_t list, int64_t position, std::span<const float> logits) {
    const auto next = static_cast<std::size_t>(position) + 1;
    return next < lists[list].size() ? std::optional(token_loss(logits, lists[list][next])) : std::nullopt;
  };
  SpillFile spill(static_cast<uint64_t>(report.num_tokens * numbers_per_token) * sizeof(float),
                  "a smaller --max-tokens");
  ModelOptions as_stored = chosen;
  as_stored.precision = {};
  as_stored.profile = {};  // of the chosen precision
  run_model(
      as_stored, lists, "running as stored",
      [&](const std::string&, const ObservedRows& y) {
        spill.write(y.numbers, static_cast<std::size_t>(y.num_rows * y.dim));
      },
      [&](std::size_t list, int64_t position, std::span<const float> logits, std::span<const float>) {
        spill.write(logits.data(), logits.size());
        report.loss_as_stored += loss_of_next(list, position, logits).value_or(0.0);
      });
  spill.rewind();
  run_model(
      chosen, lists, "running as chosen",
      [&](const std::string& name, const ObservedRows& y) {
        RelativeError& product = report.product(name);
        const std::vector<float>& expected = spill.read(static_cast<std::size_t>(y.num_rows * y.dim));
        for (std::size_t i = 0; i < expected.size(); ++i) {
          const double error = double{y.numbers[i]} - expected[i];
          product.squared_error += error * error;
          product.squared_norm += double{expected[i]} * expected[i];
        }
      },
      [&](std::size_t list, int64_t position, std::span<const float> logits, std::span<const float>) {
        const LogitsDifference difference = compare_logits(spill.read(logits.size()), logits);
        report.divergences.push_back(difference.divergence);
        report.num_same_top += difference.same_top ? 1 : 0;
        report.logits.squared_error += difference.squared_error;
        report.logits.squared_norm += difference.squared_norm;
        if (const auto loss = loss_of_next(list, position, logits)) {
          report.loss += *loss;
          ++report.num_predicted;
        }
      });
  std::sort(report.divergences.begin(), report.divergences.end());
  return report;
}

// "h.3.attn.c_attn.weight" is the product attn.c_attn of layer 3.
struct ProductName {
  int layer = 0;
  std::string product;
};
ProductName split_name(const std::string& name) {
  for (std::size_t begin = 0; begin < name.size();) {
    const std::size_t end = std::min(name.find('.', begin), name.size());
    const std::string part = name.substr(begin, end - begin);
    if (!part.empty() && std::all_of(part.begin(), part.end(), [](char c) { return c >= '0' && c <= '9'; })) {
      constexpr std::string_view kSuffix = ".weight";
      std::string product = name.substr(std::min(end + 1, name.size()));
      if (product.ends_with(kSuffix)) product.resize(product.size() - kSuffix.size());
      return {.layer = std::stoi(part), .product = product};
    }
    begin = end + 1;
  }
  return {.product = name};
}

std::string describe(const PrecisionOptions& precision) {
  return fmt::format("--dtype {} --weights {} --activations {} --kv-cache-dtype {}{}", precision.dtype,
                     precision.weights, precision.activations, precision.kv_cache_dtype,
                     precision.smoothing.empty() ? "" : " --smoothing " + precision.smoothing);
}

void print_products(const Report& report) {
  std::vector<std::string> columns;
  std::map<int, std::map<std::string, double>> layers;
  for (const auto& [name, error] : report.products) {
    const ProductName split = split_name(name);
    if (std::find(columns.begin(), columns.end(), split.product) == columns.end())
      columns.push_back(split.product);
    layers[split.layer][split.product] = error.value();
  }
  fmt::print("\nrelative error of each product's output, in %\n{:>5}", "layer");
  for (const std::string& column : columns) fmt::print("  {:>8}", column);
  for (const auto& [layer, products] : layers) {
    fmt::print("\n{:>5}", layer);
    for (const std::string& column : columns) {
      const auto product = products.find(column);
      const std::string text =
          product == products.end() ? "" : fmt::format("{:.3f}", 100.0 * product->second);
      fmt::print("  {:>{}}", text, std::max<std::size_t>(8, column.size()));
    }
  }
  fmt::print("\n");
}

void print_report(const Report& report, const PrecisionOptions& precision) {
  fmt::print("{} in {} piece{}: the model as stored, and with {}\n\n", count_tokens(report.num_tokens),
             report.num_lists, report.num_lists == 1 ? "" : "s", describe(precision));
  if (const auto before = report.perplexity(report.loss_as_stored)) {
    fmt::print("perplexity      {:.4f} as stored, {:.4f} as chosen\n", *before,
               *report.perplexity(report.loss));
  }
  fmt::print("KL divergence   mean {:.3e}, 99 % of tokens below {:.3e}, largest {:.3e}\n",
             report.mean_divergence(), report.divergence_at(0.99), report.divergences.back());
  fmt::print("same top token  {:.2f} %\n", 100.0 * report.same_top_share());
  fmt::print("logits          relative error {:.3f} %\n", 100.0 * report.logits.value());
  print_products(report);
}

json::object to_json(const Report& report, const ModelOptions& model) {
  const auto number = [](std::optional<double> value) { return value ? json::value(*value) : json::value(); };
  json::array products;
  for (const auto& [name, error] : report.products) {
    products.push_back(json::object{{"name", name}, {"relative_error", error.value()}});
  }
  return {{"model", model.model},
          {"dtype", model.precision.dtype},
          {"weights", model.precision.weights},
          {"activations", model.precision.activations},
          {"kv_cache_dtype", model.precision.kv_cache_dtype},
          {"smoothing", model.precision.smoothing},
          {"tokens", report.num_tokens},
          {"perplexity_as_stored", number(report.perplexity(report.loss_as_stored))},
          {"perplexity", number(report.perplexity(report.loss))},
          {"kl_divergence",
           {{"mean", report.mean_divergence()},
            {"p99", report.divergence_at(0.99)},
            {"max", report.divergences.back()}}},
          {"top1_agreement", report.same_top_share()},
          {"logits_relative_error", report.logits.value()},
          {"products", std::move(products)}};
}

void run(const Options& options) {
  check_output_path(options.json);
  TokenLists lists;
  int64_t numbers_per_token = 0;
  {
    const Session session(options.model);  // checks the options and reads the text; loads nothing
    lists = read_corpus(options.corpus, session);
    numbers_per_token = session.info().vocab_size;
    for (const auto& [name, rows] : layer_products(session.folder().params)) numbers_per_token += rows;
    session.note(
        "the temporary file takes {}",
        format_bytes(static_cast<std::size_t>(total_tokens(lists) * numbers_per_token) * sizeof(float)));
  }
  const Report report = compare(options.model, lists, numbers_per_token);
  print_report(report, options.model.precision);
  if (!options.json.empty())
    write_text_file(options.json, json::serialize(to_json(report, options.model)) + "\n");
}

}  // namespace

void add_quality(CLI::App& program) {
  CLI::App* command = program.add_subcommand(
      "quality",
      "Compare the chosen precision with the model as stored, on a text: the divergence of the next token's "
      "distribution, perplexity, and the error of every product. One model is in memory at a time; what the "
      "first computes (for each token the logits and the outputs of all products) waits in a temporary file");
  auto options = std::make_shared<Options>();
  add_model_options(*command, options->model, "a longer text is cut. Default: 512");
  add_corpus_options(*command, options->corpus);
  command->add_option("--json", options->json, "Write everything to this file too");
  command->callback([options] { run(*options); });
}

}  // namespace gossamer::apps
