// gossamer eval on small folders in the published formats, with scores worked out from the predictions.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <map>
#include <span>
#include <sstream>
#include <string>
#include <vector>

#include "checkpoint/safetensors.h"
#include "tests/checkpoint/test_folder.h"
#include "tests/e2e/program.h"

namespace gossamer::test {
namespace {

using testing::AllOf;
using testing::HasSubstr;

class EvalTest : public testing::Test {
 protected:
  // On one thread: what several share they wait for, which on a busy machine takes minutes.
  Arguments arguments(const std::string& task, const Arguments& more = {}) const {
    Arguments all = {"eval",      task, demo_model(),      data(), "--output", output(),
                     "--threads", "1",  "--max-model-len", "4096"};
    all.insert(all.end(), more.begin(), more.end());
    return all;
  }
  ProgramRun run(const std::string& task, const Arguments& more = {}) const {
    return run_program(arguments(task, more));
  }
  std::string data() const { return folder_ / "data"; }
  std::string output() const { return folder_ / "out"; }
  void write_data(const std::string& name, const std::string& text) const {
    const fs::path path = fs::path(data()) / name;
    fs::create_directories(path.parent_path());
    write_file(path, text);
  }
  std::string text_of(const std::string& name) const { return read_file(fs::path(output()) / name); }
  json::object result(const std::string& name) const {
    return parse_json(text_of(name + "_result.json"), name).as_object();
  }
  // By id, without the header.
  std::map<std::string, json::object> predictions(const std::string& name) const {
    std::map<std::string, json::object> all;
    std::istringstream lines(text_of(name + "_predictions.jsonl"));
    std::string line;
    std::getline(lines, line);
    EXPECT_TRUE(parse_json(line, "header").as_object().contains("gossamer_eval"));
    while (std::getline(lines, line) && !lines.eof()) {
      const json::object prediction = parse_json(line, "prediction").as_object();
      EXPECT_TRUE(all.emplace(prediction.at("id").as_string(), prediction).second) << "twice: " << line;
    }
    return all;
  }
  std::vector<int32_t> tokens_of(const std::string& text) const {
    const ProgramRun run = run_program({"tokenize", demo_model()}, text);
    std::vector<int32_t> ids;
    const json::value list = parse_json(run.out, "ids");
    for (const json::value& id : list.as_array()) ids.push_back(id.to_number<int32_t>());
    return ids;
  }
  // Of every token but the first, from the logits of `gossamer score`.
  std::vector<double> logprobs_of(const std::vector<int32_t>& ids) const {
    const fs::path path = folder_ / "logits.safetensors";
    write_file(folder_ / "ids.json", "[" + json::serialize(json::value_from(ids)) + "]");
    // --max-model-len: `score` of a list that fills its last page, and with it the whole pool, never begins.
    const ProgramRun run = run_program({"score", demo_model(), "--token-ids-file", folder_ / "ids.json",
                                        "--output", path, "--threads", "1", "--max-model-len", "256"});
    EXPECT_EQ(run.exit_code, 0) << run.err;
    const std::string bytes = read_file(path);
    std::vector<double> logprobs;
    for (const SafetensorsEntry& entry : parse_safetensors(std::as_bytes(std::span(bytes)), "logits")) {
      if (entry.name != "logits.0") continue;
      std::vector<float> logits((entry.end - entry.begin) / sizeof(float));
      std::memcpy(logits.data(), bytes.data() + entry.begin, entry.end - entry.begin);
      const std::size_t vocab_size = logits.size() / ids.size();
      for (std::size_t i = 0; i + 1 < ids.size(); ++i) {
        const std::span<const float> row = std::span(logits).subspan(i * vocab_size, vocab_size);
        const double largest = *std::max_element(row.begin(), row.end());
        double sum = 0.0;
        for (const float logit : row) sum += std::exp(logit - largest);
        logprobs.push_back(row[static_cast<std::size_t>(ids[i + 1])] - largest - std::log(sum));
      }
    }
    return logprobs;
  }
  TestFolder folder_;
};

std::string said(const json::object& prediction) {
  return std::string(prediction.at("prediction").as_string());
}
double number(const json::value& value) { return value.to_number<double>(); }

// Five examples and some questions of a subject; the answers of the questions go round.
std::string ceval_rows(int first, int count, const std::string& header) {
  std::string text = header + "\n";
  for (int i = first; i < first + count; ++i) {
    text += std::to_string(i) + ",\"Question \"\"" + std::to_string(i) +
            "\"\",\nof two lines\",one,two,three,four," + "ABCD"[i % 4];
    text += header.ends_with("explanation") ? ",because\n" : "\n";
  }
  return text;
}

class CevalTest : public EvalTest {
 protected:
  CevalTest() {
    for (const char* subject : {"law", "logic", "college_physics"}) {
      write_data("dev/" + std::string(subject) + "_dev.csv",
                 "\xEF\xBB\xBF" + ceval_rows(0, 5, "id,question,A,B,C,D,answer,explanation"));
      write_data("val/" + std::string(subject) + "_val.csv", ceval_rows(0, 4, "id,question,A,B,C,D,answer"));
    }
  }
};

TEST_F(CevalTest, ScoresWhatThePredictionsSay) {
  const ProgramRun run = this->run("ceval");
  ASSERT_EQ(run.exit_code, 0) << run.err;
  const auto predictions = this->predictions("ceval");
  ASSERT_EQ(predictions.size(), 12U);
  std::map<std::string, int> right;
  for (const auto& [id, prediction] : predictions) {
    const json::array& logprobs = prediction.at("logprobs").as_array();
    ASSERT_EQ(logprobs.size(), 4U);
    std::size_t best = 0;
    for (std::size_t i = 1; i < 4; ++i) {
      if (number(logprobs[i]) > number(logprobs[best])) best = i;
    }
    EXPECT_EQ(said(prediction), std::string(1, "ABCD"[best])) << id;
    EXPECT_EQ(number(prediction.at("examples")), 5.0);
    if (said(prediction) == prediction.at("answer").as_string()) ++right[id.substr(0, id.find('/'))];
  }
  const json::object result = this->result("ceval");
  double sum = 0.0;
  for (const char* subject : {"law", "logic", "college_physics"}) {
    EXPECT_EQ(number(result.at("subjects").at(subject).at("score")), right[subject] / 4.0);
    sum += right[subject] / 4.0;
  }
  EXPECT_DOUBLE_EQ(number(result.at("overall").at("score")), sum / 3.0);
  EXPECT_EQ(number(result.at("hard").at("score")), right["college_physics"] / 4.0);
  EXPECT_EQ(number(result.at("categories").at("Humanities").at("score")),
            (right["law"] + right["logic"]) / 8.0);
  EXPECT_THAT(run.err, HasSubstr("computer_network: there is no"));
  EXPECT_EQ(result.at("missing").as_array().size(), 49U);
}

TEST_F(CevalTest, WritesTheFilesOfTheSdk) {
  ASSERT_EQ(run("ceval", {"--subjects", "law,logic"}).exit_code, 0);
  const auto predictions = this->predictions("ceval");
  EXPECT_TRUE(text_of("cache0.csv").starts_with("logic,0,A," + said(predictions.at("logic/0")) + "\n"))
      << text_of("cache0.csv");
  const json::object by_subject = parse_json(text_of("result_0_subject_acc.json"), "subjects").as_object();
  const json::object by_class = parse_json(text_of("result_0_classes_acc.json"), "classes").as_object();
  EXPECT_EQ(by_subject.size(), 2U);
  EXPECT_DOUBLE_EQ(number(by_class.at("Humanities")),
                   (number(by_subject.at("law")) + number(by_subject.at("logic"))) / 2.0);
  EXPECT_EQ(by_class.at("Avg"), by_class.at("Humanities"));
  EXPECT_FALSE(by_class.contains("Avg(Hard)"));
  EXPECT_THAT(text_of("device0.log"), AllOf(HasSubstr("law: "), HasSubstr("Avg acc over subjects")));
  const json::object submission = parse_json(text_of("ceval_submission.json"), "submission").as_object();
  EXPECT_EQ(submission.at("law").at("3").as_string(), said(predictions.at("law/3")));
}

TEST_F(CevalTest, NamesRowsThatItLeavesOut) {
  write_data(
      "val/law_val.csv",
      "id,question,A,B,C,D,answer\n0,q,a,b,c,d,A\n1,q,a,b,c,d,E\n2,q,a,b,c,d\n0,q,a,b,c,d,B\n4,\"open,a,b\n");
  const ProgramRun run = this->run("ceval", {"--subjects", "law"});
  ASSERT_EQ(run.exit_code, 0) << run.err;
  EXPECT_THAT(run.err, AllOf(HasSubstr("law_val.csv:3: answer: expected A, B, C or D"),
                             HasSubstr("law_val.csv:4: expected 7 fields"), HasSubstr("law_val.csv:5: id: "),
                             HasSubstr("law_val.csv:6: expected a quote")));
  EXPECT_THAT(run.out, HasSubstr("4 rows were left out of the score"));
  const json::object result = this->result("ceval");
  EXPECT_EQ(number(result.at("overall").at("questions")), 1.0);
  EXPECT_EQ(result.at("rows_left_out").as_array().size(), 4U);
}

TEST_F(CevalTest, MakesASubmissionOfASplitWithoutAnswers) {
  write_data("test/law_test.csv", "id,question,A,B,C,D\n0,q,a,b,c,d\n1,q,a,b,c,d\n");
  const ProgramRun run = this->run("ceval", {"--split", "test", "--subjects", "law"});
  ASSERT_EQ(run.exit_code, 0) << run.err;
  EXPECT_THAT(run.out, HasSubstr("no answers"));
  EXPECT_EQ(parse_json(text_of("ceval_submission.json"), "s").at("law").as_object().size(), 2U);
  EXPECT_TRUE(result("ceval").at("score").is_null());
}

TEST_F(CevalTest, RefusesAnOutputOfOtherOptions) {
  ASSERT_EQ(run("ceval", {"--subjects", "law"}).exit_code, 0);
  ProgramRun again = run("ceval", {"--subjects", "law"});
  EXPECT_EQ(again.exit_code, 0);
  EXPECT_THAT(again.err, HasSubstr("nothing to compute"));
  again = run("ceval", {"--subjects", "law", "--shots", "2"});
  EXPECT_EQ(again.exit_code, 1);
  EXPECT_THAT(again.err, HasSubstr("examples: 5 there, 2 now"));
  write_data("val/law_val.csv", ceval_rows(1, 4, "id,question,A,B,C,D,answer"));
  write_data("dev/law_dev.csv", ceval_rows(7, 5, "id,question,A,B,C,D,answer"));
  again = run("ceval", {"--subjects", "law"});
  EXPECT_EQ(again.exit_code, 1);
  EXPECT_THAT(again.err, HasSubstr("was made from another text"));
}

std::string boolq_rows(int count) {
  std::string text;
  for (int i = 0; i < count; ++i) {
    const std::string n = std::to_string(i);
    text += R"({"question": "is paris number )" + n + R"( a city", "title": "x", "passage": "Paris )" + n +
            R"( is the capital of France.", "answer": )" + (i % 3 == 0 ? "true" : "false") + "}\n";
  }
  return text;
}

TEST_F(EvalTest, BoolqScoresLikelihoods) {
  write_data("dev.jsonl", boolq_rows(6) + "{\"question\": \"x\"}\nnonsense\n" +
                              R"({"question": "q", "passage": "p", "idx": 0, "label": 1})" + "\n");
  const ProgramRun run = this->run("boolq");
  ASSERT_EQ(run.exit_code, 0) << run.err;
  EXPECT_THAT(run.err,
              AllOf(HasSubstr("dev.jsonl:7: passage: expected a string"), HasSubstr("dev.jsonl:8: ")));
  const auto predictions = this->predictions("boolq");
  ASSERT_EQ(predictions.size(), 7U);
  int right = 0;
  for (const auto& [id, prediction] : predictions) {
    const json::value& logprobs = prediction.at("logprobs");
    EXPECT_EQ(said(prediction), number(logprobs.at("yes")) > number(logprobs.at("no")) ? "yes" : "no");
    if (said(prediction) == prediction.at("answer").as_string()) ++right;
  }
  const json::object accuracy = result("boolq").at("accuracy").as_object();
  EXPECT_EQ(number(accuracy.at("questions")), 7.0);
  EXPECT_DOUBLE_EQ(number(accuracy.at("score")), right / 7.0);
  EXPECT_EQ(accuracy.at("interval_method").as_string(), "Wilson");
}

// The same likelihoods out of the logits that `score` writes: forced tokens say what the model says of them.
TEST_F(EvalTest, BoolqLikelihoodsAreTheModelsOwn) {
  write_data("dev.jsonl", boolq_rows(1));
  ASSERT_EQ(run("boolq").exit_code, 0);
  const json::object found = predictions("boolq").at("1").at("logprobs").as_object();
  const std::string context =
      "Paris 0 is the capital of France.\nQuestion: is paris number 0 a city?\nAnswer:";
  const std::size_t num_context = tokens_of(context).size();
  for (const char* word : {"yes", "no"}) {
    const std::vector<double> logprobs = logprobs_of(tokens_of(context + " " + word));
    double sum = 0.0;
    for (std::size_t i = num_context - 1; i < logprobs.size(); ++i) sum += logprobs[i];
    EXPECT_NEAR(number(found.at(word)), sum, 1e-5) << word;
  }
}

TEST_F(EvalTest, ChatVariantsAreApart) {
  write_data("dev.jsonl", boolq_rows(2));
  const ProgramRun run = this->run("boolq", {"--chat", "--max-new-tokens", "200"});
  ASSERT_EQ(run.exit_code, 0) << run.err;
  const auto predictions = this->predictions("boolq_chat");
  ASSERT_EQ(predictions.size(), 2U);
  EXPECT_FALSE(predictions.begin()->second.at("reasoning").as_string().empty());
  EXPECT_FALSE(fs::exists(fs::path(output()) / "boolq_result.json"));
  const ProgramRun no_chat =
      run_program({"eval", "gsm8k", fixture("gpt2_f32"), data(), "--output", output()});
  EXPECT_EQ(no_chat.exit_code, 1);
}

TEST_F(EvalTest, Gsm8kReadsNumbers) {
  write_data("test.jsonl", R"({"question": "What is the capital of France?", "answer": "none\n#### 3"})"
                           "\n"
                           R"({"question": "Count to 5.", "answer": "1 2 3 4 5\n#### 5"})"
                           "\n"
                           R"({"question": "x", "answer": "no number"})"
                           "\n");
  const ProgramRun run = this->run("gsm8k", {"--max-new-tokens", "200"});
  ASSERT_EQ(run.exit_code, 0) << run.err;
  EXPECT_THAT(run.err, HasSubstr("test.jsonl:3: answer: expected a number"));
  int right = 0;
  const auto predictions = this->predictions("gsm8k");
  ASSERT_EQ(predictions.size(), 2U);
  for (const auto& [id, prediction] : predictions) {
    if (prediction.at("flexible").is_string() && prediction.at("flexible") == prediction.at("answer"))
      ++right;
  }
  EXPECT_DOUBLE_EQ(number(result("gsm8k").at("flexible").at("score")), right / 2.0);
}

std::string longbench_row(const std::string& input, const std::string& answer, int length,
                          const std::string& classes = "null") {
  return R"({"input": ")" + input + R"(", "context": "The capital of France is Paris. )" +
         std::string(static_cast<std::size_t>(length) / 10, 'x') + R"(", "answers": [")" + answer +
         R"("], "length": )" + std::to_string(length) +
         R"(, "dataset": "x", "language": "en", "all_classes": )" + classes + R"(, "_id": "1"})" + "\n";
}

TEST_F(EvalTest, LongbenchRunsWhatIsThere) {
  write_data("data/hotpotqa.jsonl", longbench_row("What is the capital?", "Paris", 100) +
                                        longbench_row("Where?", "France", 9000) + "{\"input\": \"x\"}\n");
  write_data("data/trec.jsonl", longbench_row("Question: x", "City", 50, R"(["City", "Person"])"));
  write_data("data/multifieldqa_zh.jsonl", longbench_row("x", "巴黎", 50));
  const ProgramRun run = this->run("longbench", {"--max-input-tokens", "300"});
  ASSERT_EQ(run.exit_code, 0) << run.err;
  EXPECT_THAT(run.err, AllOf(HasSubstr("qasper: there is no"), HasSubstr("hotpotqa.jsonl:3: "),
                             HasSubstr("--jieba was not given")));
  EXPECT_THAT(run.out, HasSubstr("multifieldqa_zh (character-level, not comparable)"));
  const json::object result = this->result("longbench");
  EXPECT_EQ(result.at("tasks").as_object().size(), 3U);
  EXPECT_EQ(number(result.at("cut_prompts")), 1.0);
  const auto predictions = this->predictions("longbench");
  EXPECT_TRUE(predictions.at("hotpotqa/2").at("cut").as_bool());
  EXPECT_GT(number(predictions.at("hotpotqa/2").at("prompt_tokens")), 300.0);
  double sum = 0.0;
  for (const json::value& row : result.at("tasks").at("hotpotqa").at("rows").as_array())
    sum += number(row.at("score"));
  EXPECT_DOUBLE_EQ(number(result.at("tasks").at("hotpotqa").at("score")), sum / 2.0);
}

TEST_F(EvalTest, LongbenchV2CountsGroups) {
  const std::string row =
      R"("domain": "d", "sub_domain": "s", "question": "q", "choice_A": "a", "choice_B": "b", "choice_C": "c", )"
      R"("choice_D": "d", "context": "The capital of France is Paris.", "answer": )";
  write_data("data.json", R"([{"_id": "1", "difficulty": "easy", "length": "short", )" + row + R"("A"}, )" +
                              R"({"_id": "2", "difficulty": "hard", "length": "medium", )" + row +
                              R"("B"}, )" + R"({"_id": "3", "difficulty": "hard", "length": "medium", )" +
                              row + R"("E"}])");
  const ProgramRun run = this->run("longbench", {"--v2"});
  ASSERT_EQ(run.exit_code, 0) << run.err;
  EXPECT_THAT(run.err, HasSubstr("data.json[2]: answer: expected A, B, C or D"));
  const json::object result = this->result("longbench_v2");
  EXPECT_EQ(number(result.at("overall").at("questions")), 2.0);
  EXPECT_EQ(number(result.at("easy").at("questions")), 1.0);
  EXPECT_FALSE(result.contains("long"));
}

std::string capitals() {
  std::string text;
  for (int i = 0; i < 12; ++i)
    text += "The capital of France is Paris. The capital of Italy is Rome. The capital of Peru is Lima.\n";
  return text;
}

TEST_F(EvalTest, PerplexityModesScoreTheTokensOfTheirDefinition) {
  write_data("wiki.test.raw", capitals());
  ProgramRun run = this->run("perplexity", {"--mode", "rolling", "--window", "64"});
  ASSERT_EQ(run.exit_code, 0) << run.err;
  const json::object rolling = result("perplexity_rolling");
  const double num_tokens = number(rolling.at("tokens_scored"));
  const double nll = number(rolling.at("negative_log_likelihood"));
  EXPECT_DOUBLE_EQ(number(rolling.at("perplexity")), std::exp(nll / num_tokens));
  EXPECT_NEAR(number(rolling.at("bits_per_byte")),
              nll / static_cast<double>(capitals().size()) / std::log(2.0), 1e-12);

  run = this->run("perplexity", {"--mode", "sliding", "--window", "64", "--stride", "32"});
  ASSERT_EQ(run.exit_code, 0) << run.err;
  EXPECT_EQ(number(result("perplexity_sliding").at("tokens_scored")), num_tokens - 1.0);

  run = this->run("perplexity", {"--mode", "llama", "--window", "64"});
  ASSERT_EQ(run.exit_code, 0) << run.err;
  EXPECT_EQ(number(result("perplexity_llama").at("tokens_scored")), std::floor(num_tokens / 64.0) * 31.0);
  EXPECT_THAT(run.out, HasSubstr("mode llama, window 64, stride 0"));
  const std::vector<int32_t> ids = tokens_of(capitals());
  ASSERT_EQ(ids.size(), static_cast<std::size_t>(num_tokens));
  const std::vector<double> second = logprobs_of({ids.begin() + 64, ids.begin() + 128});
  double sum = 0.0;
  for (std::size_t i = 32; i < 63; ++i) sum -= second[i];
  EXPECT_NEAR(number(predictions("perplexity_llama").at("0/1").at("negative_log_likelihood")), sum, 1e-4);
  run = this->run("perplexity", {"--mode", "llama", "--window", "2048"});
  EXPECT_EQ(run.exit_code, 1);
}

// Ten kills, each at another moment, then the rest: every prediction and the score are the undisturbed run's.
TEST_F(EvalTest, AKillCostsNothing) {
  write_data("dev.jsonl", boolq_rows(120));
  ASSERT_EQ(run("boolq").exit_code, 0);
  const auto undisturbed = predictions("boolq");
  const std::string score = text_of("boolq_result.json");
  ASSERT_EQ(undisturbed.size(), 120U);
  fs::remove_all(output());
  const auto num_lines = [&] {
    const fs::path path = fs::path(output()) / "boolq_predictions.jsonl";
    const std::string text = fs::exists(path) ? read_file(path) : std::string();
    return static_cast<std::size_t>(std::count(text.begin(), text.end(), '\n'));
  };
  for (std::size_t kill = 1; kill <= 10; ++kill) {
    BackgroundProgram program(arguments("boolq", {"--max-num-seqs", "2"}));
    while (num_lines() < 10 * kill && !program.has_ended()) usleep(300);
    ASSERT_FALSE(program.has_ended()) << "too fast to be killed";
    program.end_by(SIGKILL);
  }
  const fs::path path = fs::path(output()) / "boolq_predictions.jsonl";
  write_file(path, read_file(path) + "{\"id\": \"cu");  // what a kill within a write leaves
  const ProgramRun rest = run("boolq");
  ASSERT_EQ(rest.exit_code, 0) << rest.err;
  EXPECT_THAT(rest.err, HasSubstr("going on with the rest"));
  EXPECT_EQ(predictions("boolq"), undisturbed);
  EXPECT_EQ(text_of("boolq_result.json"), score);
}

}  // namespace
}  // namespace gossamer::test
