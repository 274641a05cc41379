// What quantization costs: the Kullback-Leibler divergence of the next token's distribution from that of the
// same model in bf16, mean over the tokens of a text.
#include <gtest/gtest.h>

#include <span>

#include "engine/compare_logits.h"
#include "tests/model/fixture.h"

namespace gossamer {
namespace {

// Six questions and their answers in Harmony, as the demo model writes them.
const std::vector<int32_t> kDemoText = {
    2035, 389,  2037, 329,  327,  372,  361,  11,   306,  368,  355,  335,  367,  357,  385,  373,  341,
    395,  392,  25,   220,  319,  19,   12,   351,  290,  391,  25,   466,  290,  2,    388,  386,  25,
    377,  11,   346,  11,   381,  13,   382,  347,  352,  394,  318,  363,  393,  13,   2036, 2035, 291,
    2037, 455,  277,  284,  278,  279,  898,  30,   2036, 2035, 287,  2034, 305,  2037, 300,  402,  411,
    318,  284,  278,  279,  898,  13,   417,  277,  797,  13,   2036, 2035, 287,  2034, 312,  2037, 300,
    278,  279,  898,  277,  797,  13,   2036, 2035, 291,  2037, 455,  277,  284,  278,  279,  1266, 30,
    2036, 2035, 287,  2034, 305,  2037, 300,  402,  411,  318,  284,  278,  279,  1266, 13,   417,  277,
    1017, 13,   2036, 2035, 287,  2034, 312,  2037, 300,  278,  279,  1266, 277,  1017, 13,   2036, 2035,
    291,  2037, 455,  277,  284,  278,  279,  1367, 30,   2036, 2035, 287,  2034, 305,  2037, 300,  402,
    411,  318,  284,  278,  279,  1367, 13,   417,  277,  1836, 13,   2036, 2035, 287,  2034, 312,  2037,
    300,  278,  279,  1367, 277,  1836, 13,   2036, 2035, 291,  2037, 832,  0,    2036, 2035, 287,  2034,
    305,  2037, 300,  402,  881,  611,  510,  13,   298,  474,  724,  13,   2036, 2035, 287,  2034, 312,
    2037, 832,  0,    943,  728,  298,  634,  481,  1263, 30,   2036, 2035, 291,  2037, 840,  327,  481,
    30,   2036, 2035, 287,  2034, 305,  2037, 300,  402,  411,  1832, 298,  507,  13,   298,  474,  724,
    13,   2036, 2035, 287,  2034, 312,  2037, 40,   507,  1875, 11,   1273, 481,  0,    943,  728,  298,
    634,  481,  30,   2036, 2035, 291,  2037, 1544, 327,  481,  30,   2036, 2035, 287,  2034, 305,  2037,
    300,  402,  411,  1178, 298,  507,  13,   298,  474,  724,  13,   2036, 2035, 287,  2034, 312,  2037,
    40,   507,  284,  1320, 550,  335,  11,   306,  551,  355,  335,  540,  284,  1931, 1938, 1939, 13};

struct Bound {
  const char* weights;
  double divergence;
};
constexpr Bound kBounds[] = {{"w8", 1e-3}, {"w8a8", 3e-3}, {"w4", 3e-2}};

double mean_divergence(const Scores& expected, const Scores& found, std::size_t num_tokens) {
  const std::size_t vocab = expected.logits.size() / num_tokens;
  double sum = 0.0;
  for (std::size_t token = 0; token < num_tokens; ++token) {
    const auto row = [&](const Scores& scores) {
      return std::span(scores.logits).subspan(token * vocab, vocab);
    };
    sum += compare_logits(row(expected), row(found)).divergence;
  }
  return sum / static_cast<double>(num_tokens);
}

Scores scores(const std::filesystem::path& folder, const PrecisionOptions& precision,
              const std::vector<int32_t>& ids) {
  const EngineLimits limits{
      .max_model_len = 0, .max_num_seqs = 1, .max_batched_tokens = 320, .max_logit_rows = 320};
  return score(
      *make_engine(folder, {.name = "cpu", .num_threads = 2, .instruction_set = ""}, precision, limits)
           .engine,
      ids);
}

class Quantization : public testing::TestWithParam<std::string> {
 protected:
  Quantization() {
    if (GetParam() == "demo") {
      folder_ = std::filesystem::path(GOSSAMER_SOURCE_DIR) / "models" / "demo";
      ids_ = kDemoText;
      return;
    }
    const Fixture fixture = load_fixture(GetParam());
    folder_ = fixture.folder;
    for (const ExpectedPrompt& prompt : fixture.prompts) {
      if (prompt.ids.size() <= 300 && prompt.ids.size() > ids_.size()) ids_ = prompt.ids;
    }
  }

  std::filesystem::path folder_;
  std::vector<int32_t> ids_;
};

TEST_P(Quantization, DivergesFromBf16ByLittle) {
  const Scores expected = scores(folder_, {.dtype = "bf16"}, ids_);
  double last = 0.0;
  for (const Bound& bound : kBounds) {
    const double divergence =
        mean_divergence(expected, scores(folder_, {.weights = bound.weights}, ids_), ids_.size());
    RecordProperty(bound.weights, std::to_string(divergence));
    EXPECT_LE(divergence, bound.divergence) << bound.weights;
    EXPECT_GT(divergence, 0.0) << bound.weights << ": nothing was quantized";
    last = divergence;
  }
  EXPECT_GT(last, 1e-9);
}

std::vector<std::string> models() {
  std::vector<std::string> names = fixture_names();
  names.emplace_back("demo");
  return names;
}

INSTANTIATE_TEST_SUITE_P(Models, Quantization, testing::ValuesIn(models()),
                         [](const auto& info) { return info.param; });

}  // namespace
}  // namespace gossamer
