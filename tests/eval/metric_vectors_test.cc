// Scores of the original Python metrics, recorded with the packages that they are defined by.
#include <gtest/gtest.h>

#include <map>
#include <string>
#include <vector>

#include "eval/rouge.h"
#include "eval/text_metrics.h"
#include "tests/text/text_fixtures.h"

namespace gossamer {
namespace {

// The vectors hold exact doubles, which Boost.JSON reads with an error of up to one bit.
TEST(MetricVectors, EqualTheOriginalPython) {
  const std::filesystem::path path = shared_path("vectors/metric_vectors.jsonl");
  if (!std::filesystem::exists(path)) GTEST_SKIP() << "needs " << path;
  std::map<std::string, int> compared;
  for (const json::value& line : read_json_lines(path)) {
    const json::object& vector = line.as_object();
    const std::string prediction = string_of(vector.at("pred"));
    const std::string truth = string_of(vector.at("ref"));
    const auto compare = [&](const char* name, double found) {
      const json::value* expected = vector.if_contains(name);
      if (expected == nullptr) return;
      ++compared[name];
      EXPECT_DOUBLE_EQ(found, expected->to_number<double>()) << name << " of " << json::serialize(line);
    };
    compare("qa_f1", qa_f1(prediction, truth));
    compare("rouge_l_longbench", rouge_l(prediction, truth));
    compare("code_sim_levenshtein", code_similarity(prediction, truth, CodeSimilarity::kLevenshtein));
    compare("code_sim_difflib", code_similarity(prediction, truth, CodeSimilarity::kDifflib));
    compare("retrieval", retrieval_score(prediction, truth).value_or(-1.0));
    if (const json::value* classes = vector.if_contains("classes")) {
      std::vector<std::string> names;
      for (const json::value& name : classes->as_array()) names.push_back(string_of(name));
      compare("classification", classification_score(prediction, truth, names));
    }
    const std::optional<RougeScores> rouge = compute_rouge(prediction, truth);
    if (vector.contains("rouge_error")) {
      EXPECT_FALSE(rouge) << json::serialize(line);
      ++compared["rouge_error"];
    }
    if (const json::value* expected = vector.if_contains("rouge")) {
      ASSERT_TRUE(rouge) << json::serialize(line);
      ++compared["rouge"];
      const auto expect_equal = [&](const char* name, const RougeScore& found) {
        const json::value& score = expected->at(name);
        EXPECT_DOUBLE_EQ(found.recall, score.at("r").to_number<double>())
            << name << " of " << json::serialize(line);
        EXPECT_DOUBLE_EQ(found.precision, score.at("p").to_number<double>()) << name;
        EXPECT_DOUBLE_EQ(found.f, score.at("f").to_number<double>()) << name;
      };
      expect_equal("rouge-1", rouge->rouge_1);
      expect_equal("rouge-2", rouge->rouge_2);
      expect_equal("rouge-l", rouge->rouge_l);
    }
  }
  for (const char* name : {"qa_f1", "rouge_l_longbench", "code_sim_levenshtein", "code_sim_difflib",
                           "retrieval", "classification", "rouge", "rouge_error"})
    EXPECT_GT(compared[name], 0) << name;
}

}  // namespace
}  // namespace gossamer
