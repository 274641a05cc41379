// gossamer verify precision and record, as a user runs them.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <string>

#include "base/json.h"
#include "tests/checkpoint/test_folder.h"
#include "tests/e2e/program.h"

namespace gossamer::test {
namespace {

using testing::AllOf;
using testing::HasSubstr;

class VerifyPrecision : public testing::Test {
 protected:
  void SetUp() override {
    write_file(prompts(), R"({"prompts": ["What is the capital of France?", "Count to 12.",
                             {"messages": [{"role": "user", "content": "Hello!"}]},
                             {"prompt": "The capital of Spain is"}],
                             "text": ["The capital of Italy is Rome. The capital of Japan is Tokyo."]})");
  }

  std::filesystem::path prompts() const { return folder_ / "prompts.json"; }
  std::filesystem::path at(const std::string& name) const { return folder_ / name; }

  ProgramRun compare(const std::string& a, const std::string& b, const Arguments& more = {}) {
    Arguments arguments = {"verify", "precision", "--a",        a,        "--b",       b, "--max-tokens",
                           "24",     "--output",  at("r.json"), "--html", at("r.html")};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return run_program(arguments);
  }
  json::object report() const { return parse_json(read_file(at("r.json")), "r.json").as_object(); }

  static const json::object& measure(const json::object& report, const std::string& name) {
    for (const json::value& measure : report.at("measures").as_array()) {
      if (measure.at("name").as_string() == name.c_str()) return measure.as_object();
    }
    ADD_FAILURE() << "no measure " << name << " in " << json::serialize(report.at("measures"));
    return report;
  }
  static double value_of(const json::object& report, const std::string& name) {
    return measure(report, name).at("value").to_number<double>();
  }
  static std::string verdict_of(const json::object& report, const std::string& name) {
    return std::string(measure(report, name).at("verdict").as_string());
  }

  const TestFolder folder_;
};

TEST_F(VerifyPrecision, FindsNothingBetweenAModelAndItself) {
  const ProgramRun run = compare("demo", "demo", {"--prompts", prompts(), "--max-divergence", "0"});
  ASSERT_EQ(run.exit_code, 0) << run.out << run.err;
  EXPECT_THAT(run.out, AllOf(HasSubstr("verdict: PASS"), HasSubstr("4 of 4 answers are the same")));
  const json::object found = report();
  EXPECT_EQ(found.at("verdict").as_string(), "PASS");
  for (const char* name : {"identical_answers", "token_match", "rouge_l", "cosine_similarity", "same_top"})
    EXPECT_EQ(value_of(found, name), 1.0) << name;
  for (const char* name : {"perplexity_difference", "kl_divergence"})
    EXPECT_EQ(value_of(found, name), 0.0) << name;
  EXPECT_EQ(verdict_of(found, "kl_divergence"), "PASS");
  EXPECT_EQ(verdict_of(found, "perplexity_difference"), "-");
  EXPECT_EQ(found.at("answers").as_array().size(), 4U);
  EXPECT_THAT(std::string(found.at("answers").at(0).at("a").as_string()), HasSubstr("Paris"));
  EXPECT_THAT(read_file(at("r.html")),
              AllOf(HasSubstr("<svg"), HasSubstr("capital of France"), HasSubstr("PASS")));
}

TEST_F(VerifyPrecision, FailsAModelOfFewerBitsWithExitCodeTwo) {
  const ProgramRun run = compare("demo", "demo(experts=int4,dense=int4,embed=int4,head=int4)",
                                 {"--prompts", prompts(), "--max-divergence", "1e-9"});
  EXPECT_EQ(run.exit_code, 2) << run.out << run.err;
  EXPECT_THAT(run.out, HasSubstr("verdict: FAIL"));
  const json::object found = report();
  EXPECT_EQ(verdict_of(found, "kl_divergence"), "FAIL");
  EXPECT_LT(value_of(found, "cosine_similarity"), 1.0);
  EXPECT_GT(value_of(found, "cosine_similarity"), 0.5);
  EXPECT_EQ(found.at("a").at("weights").as_string(), "auto");
  EXPECT_THAT(std::string(found.at("b").at("weights").as_string()), HasSubstr("head=int4"));
}

// The second side's answers have nothing in common with a golden file that was changed by hand.
TEST_F(VerifyPrecision, FailsAnswersThatDiffer) {
  ASSERT_EQ(run_program({"verify", "record", "demo", "-o", at("golden.json"), "--prompts", prompts(),
                         "--max-tokens", "24"})
                .exit_code,
            0);
  json::value golden = parse_json(read_file(at("golden.json")), "golden.json");
  json::object& answer = golden.as_object().at("answers").as_array().at(1).as_object();
  answer.at("answer_ids").as_array().at(0) = 3;
  answer.at("answer") = "Something else entirely.";
  write_file(at("golden.json"), json::serialize(golden));
  const ProgramRun run = compare(at("golden.json"), "demo");
  EXPECT_EQ(run.exit_code, 2) << run.out << run.err;
  const json::object found = report();
  EXPECT_EQ(value_of(found, "identical_answers"), 0.75);
  EXPECT_EQ(verdict_of(found, "identical_answers"), "FAIL");
  EXPECT_EQ(verdict_of(found, "rouge_l"), "FAIL");
  EXPECT_EQ(verdict_of(found, "cosine_similarity"), "PASS");
  EXPECT_EQ(found.at("answers").at(1).at("first_difference").to_number<int>(), 0);
  EXPECT_EQ(compare(at("golden.json"), "demo", {"--min-identical", "0.7", "--min-rouge-l", "0.5"}).exit_code,
            0);
}

TEST_F(VerifyPrecision, FindsNothingBetweenAModelAndItsGoldenFile) {
  const ProgramRun recorded = run_program({"verify", "record", "demo", "--output", at("golden.json"),
                                           "--prompts", prompts(), "--max-tokens", "24"});
  ASSERT_EQ(recorded.exit_code, 0) << recorded.err;
  EXPECT_THAT(recorded.out, HasSubstr("4 answers, 5 texts"));
  EXPECT_LT(std::filesystem::file_size(at("golden.json")), 100'000U);
  const ProgramRun run = compare(at("golden.json"), "demo(f32,threads=1)", {"--min-same-top", "0.9"});
  EXPECT_EQ(run.exit_code, 0) << run.out << run.err;

  ASSERT_EQ(compare(at("golden.json"), "demo").exit_code, 0);
  const json::object found = report();
  for (const char* name : {"identical_answers", "token_match", "rouge_l", "cosine_similarity", "same_top"})
    EXPECT_EQ(value_of(found, name), 1.0) << name;
  for (const char* name : {"perplexity_difference", "kl_divergence_of_top_tokens"})
    EXPECT_EQ(value_of(found, name), 0.0) << name;
}

TEST_F(VerifyPrecision, ReadsTheFilesOfLlamaPerplexityThatItWrites) {
  std::string text;
  for (int i = 0; i < 20; ++i) text += "The capital of France is Paris. The capital of Spain is Madrid. ";
  write_file(at("text"), text);
  const ProgramRun recorded = run_program({"verify", "record", "demo", "--logits-file", at("base.kld"),
                                           "--text", at("text"), "--n-ctx", "33", "--chunks", "3"});
  ASSERT_EQ(recorded.exit_code, 0) << recorded.err;
  const std::string bytes = read_file(at("base.kld"));
  EXPECT_EQ(bytes.substr(0, 8), "_logits_");
  // 2,048 words; windows of 33 have 16 judged positions.
  EXPECT_EQ(bytes.size(), 20U + 4 * 99 + 3 * 16 * 2 * (2048 + 4));

  ProgramRun run = compare(at("base.kld"), "demo");
  ASSERT_EQ(run.exit_code, 0) << run.out << run.err;
  EXPECT_THAT(run.out,
              AllOf(HasSubstr("Mean KLD"), HasSubstr("no limit was given"), HasSubstr("RMS delta p")));
  json::object found = report();
  EXPECT_EQ(found.at("divergence").at("tokens").to_number<int>(), 48);
  EXPECT_NEAR(value_of(found, "kl_divergence"), 0.0, 1e-5);
  EXPECT_NEAR(value_of(found, "perplexity_difference"), 0.0, 1e-2);
  EXPECT_EQ(value_of(found, "same_top"), 1.0);

  run = compare(at("base.kld"), "demo(w4)", {"--max-divergence", "1e-4"});
  EXPECT_EQ(run.exit_code, 2) << run.out << run.err;
  EXPECT_GT(value_of(report(), "kl_divergence"), 1e-4);

  write_file(at("cut.kld"), bytes.substr(0, bytes.size() - 7));
  run = compare(at("cut.kld"), "demo");
  EXPECT_EQ(run.exit_code, 1);
  EXPECT_THAT(run.err, AllOf(HasSubstr("cut.kld: byte"), HasSubstr("bytes in all")));
}

TEST_F(VerifyPrecision, ShipsPromptsForEveryFamily) {
  for (const char* family : {"gpt2", "gpt_neox", "gpt_oss", "demo"}) {
    const auto file =
        demo_model().parent_path().parent_path() / "share" / "prompts" / (std::string(family) + ".json");
    const ProgramRun run = run_program({"verify", "record", "demo", "-o", at("g.json"), "--prompts", file,
                                        "--max-tokens", "1", "--top-logprobs", "1"});
    EXPECT_EQ(run.exit_code, 0) << family << run.err;
    EXPECT_GE(parse_json(read_file(at("g.json")), "g.json").at("answers").as_array().size(), 20U) << family;
  }
}

TEST_F(VerifyPrecision, SaysWhatIsWrongWithItsArguments) {
  EXPECT_THAT(compare("demo", "demo(int7)").err,
              AllOf(HasSubstr("--b demo(int7)"), HasSubstr("found \"int7\"")));
  EXPECT_THAT(compare("demo", "demo(dtype=f64)").err,
              AllOf(HasSubstr("--b demo(dtype=f64)"), HasSubstr("dtype")));
  EXPECT_THAT(compare("demo", "demo(nothing=1)").err, HasSubstr("--nothing"));
  EXPECT_THAT(compare("demo", "demo", {"--prompts", at("none.json")}).err, HasSubstr("none.json"));
  const auto with_prompts = [&](const std::string& text) {
    write_file(at("p.json"), text);
    const ProgramRun run = compare("demo", "demo", {"--prompts", at("p.json")});
    EXPECT_EQ(run.exit_code, 1);
    return run.err;
  };
  EXPECT_THAT(with_prompts("[]"), HasSubstr("found none"));
  EXPECT_THAT(with_prompts(R"(["a", 3])"), HasSubstr("p.json[1]: expected a string"));
  EXPECT_THAT(with_prompts(R"({"promts": []})"), HasSubstr("found \"promts\""));
  EXPECT_THAT(with_prompts(R"([{"messages": [{"role": "system", "content": "x"}]}])"), HasSubstr("--system"));
  write_file(at("golden.json"), R"({"a": 1})");
  EXPECT_THAT(compare(at("golden.json"), "demo").err, HasSubstr("verify record"));
  EXPECT_THAT(run_program({"verify", "record", "demo"}).err, HasSubstr("one of --output"));
}

}  // namespace
}  // namespace gossamer::test
