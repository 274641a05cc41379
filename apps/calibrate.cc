// gossamer calibrate: the scales with which int8 activations lose their outliers (model/smoothing.h).
#include <CLI/CLI.hpp>
#include <algorithm>
#include <cmath>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "apps/commands.h"
#include "apps/session.h"
#include "apps/token_lists.h"
#include "base/error.h"
#include "checkpoint/safetensors_writer.h"
#include "model/smoothing.h"

namespace gossamer::apps {
namespace {

struct Options {
  ModelOptions model;
  CorpusOptions corpus;
  std::string output;
  double alpha = 0.5;
};

// The largest magnitudes of each channel behind one norm.
struct Maxima {
  std::vector<float> inputs;   // [hidden_dim] over the tokens of the text
  std::vector<float> weights;  // [hidden_dim] over all rows, and experts, of the products that it feeds
};

void raise(std::vector<float>& maxima, const float* numbers) {
  for (std::size_t j = 0; j < maxima.size(); ++j) maxima[j] = std::max(maxima[j], std::abs(numbers[j]));
}

void run(const Options& options) {
  if (!options.model.precision.smoothing.empty())
    throw Error("calibrate measures the model without smoothing: leave out --smoothing");
  Session session(options.model);
  const TokenLists lists = read_corpus(options.corpus, session);

  std::map<std::string, Maxima> norms;
  std::map<std::string, Maxima*> by_product;
  std::vector<TensorSpec> specs;
  for (const auto& [norm, dim] : smoothable_norms(session.folder().params)) {
    const std::vector<float> zeros(static_cast<std::size_t>(dim), 0.0F);
    norms[norm] = {.inputs = zeros, .weights = zeros};
    specs.push_back({.name = norm, .dtype = DType::kF32, .shape = Shape{dim}});
  }
  for (const MatrixParam& matrix : session.folder().params.matrices) {
    // A router reads what its experts read, and stays as it is.
    if (matrix.input_norm.empty() || matrix.role == WeightRole::kRouter) continue;
    by_product[matrix.parts.front().name] = &norms.at(matrix.input_norm);
  }
  ProductObserver observer;
  observer.on_prepare = [&](const WeightSource& source) {
    const auto product = by_product.find(source.name);
    if (product != by_product.end()) raise(product->second->weights, source.column_maxima().data());
  };
  observer.on_input = [&](const std::string& name, const ObservedRows& x) {
    const auto product = by_product.find(name);
    if (product == by_product.end()) return;
    for (int64_t row = 0; row < x.num_rows; ++row) raise(product->second->inputs, x.numbers + row * x.dim);
  };
  session.observe(std::move(observer));

  const MemoryPlan plan = plan_lists(session, lists);
  SafetensorsWriter writer(options.output, specs,  // before loading: the disk may be full
                           {{"content", "gossamer smoothing"},
                            {"alpha", fmt::format("{}", options.alpha)},
                            {"tokens", fmt::format("{}", total_tokens(lists))}});
  session.load(plan);
  const double seconds =
      run_lists(session, lists, "calibrating",
                [](std::size_t, int64_t, std::span<const float>, std::span<const float>) {});
  for (const auto& [norm, maxima] : norms) {
    const std::vector<float> scales = smoothing_scales(maxima.inputs, maxima.weights, options.alpha);
    writer.append(std::as_bytes(std::span(scales)));
  }
  writer.finish();
  session.note("{} in {:.2f} s", count_tokens(total_tokens(lists)), seconds);
}

}  // namespace

void add_calibrate(CLI::App& program) {
  CLI::App* command =
      program.add_subcommand("calibrate",
                             "Run a text through a model and write, for each norm, the scales of its "
                             "channels that --smoothing takes: "
                             "they move outliers of int8 activations into the weights (SmoothQuant)");
  auto options = std::make_shared<Options>();
  add_model_options(*command, options->model, "a longer text is cut. Default: 512");
  add_corpus_options(*command, options->corpus);
  command->add_option("--output,-o", options->output, "The safetensors file to write")->required();
  command
      ->add_option(
          "--alpha", options->alpha,
          "How much of the outliers moves into the weights: 0 nothing but the weights' own, 1 everything")
      ->check(CLI::Range(0.0, 1.0))
      ->capture_default_str();
  command->callback([options] { run(*options); });
}

}  // namespace gossamer::apps
