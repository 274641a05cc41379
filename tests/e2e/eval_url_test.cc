// gossamer eval against `gossamer serve`: predictions and scores are those of the same model in process, to
// the last digit; and what happens when the endpoint goes.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <algorithm>
#include <memory>
#include <sstream>
#include <string>
#include <vector>

#include "tests/checkpoint/test_folder.h"
#include "tests/e2e/demo_server.h"
#include "tests/e2e/program.h"

namespace gossamer::test {
namespace {

using testing::HasSubstr;
using testing::Not;

class EvalUrlTest : public testing::Test {
 protected:
  static void SetUpTestSuite() { server_ = std::make_unique<DemoServer>(Arguments{"--threads", "1"}); }
  static void TearDownTestSuite() { server_ = nullptr; }

  ProgramRun run(const std::string& task, const std::string& model, const std::string& output,
                 const Arguments& more = {}) const {
    Arguments all = {"eval", task, model, folder_ / "data", "--output", folder_ / output};
    all.insert(all.end(), more.begin(), more.end());
    if (!model.starts_with("http")) all.insert(all.end(), {"--threads", "1", "--max-model-len", "2048"});
    return run_program(all);
  }
  // Both ways: the results, and each prediction, must be equal.
  void expect_same(const std::string& task, const std::string& name, const Arguments& more = {}) const {
    const ProgramRun local = run(task, "demo", "local", more);
    ASSERT_EQ(local.exit_code, 0) << local.err;
    const ProgramRun served = run(task, server_->url(), "served", more);
    ASSERT_EQ(served.exit_code, 0) << served.err;
    EXPECT_EQ(text_of("served", name + "_result.json"), text_of("local", name + "_result.json"));
    EXPECT_THAT(text_of("served", name + "_result.json"), HasSubstr("\"unanswered\":[]"));
    EXPECT_EQ(predictions("served", name), predictions("local", name));
  }
  std::string text_of(const std::string& output, const std::string& name) const {
    return read_file(fs::path(folder_ / output) / name);
  }
  // Sorted: they come in any order. Without the header, which names the model.
  std::vector<std::string> predictions(const std::string& output, const std::string& name) const {
    std::istringstream lines(text_of(output, name + "_predictions.jsonl"));
    std::vector<std::string> all;
    for (std::string line; std::getline(lines, line);) all.push_back(line);
    all.erase(all.begin());
    std::sort(all.begin(), all.end());
    return all;
  }
  void write_data(const std::string& name, const std::string& text) const {
    const fs::path path = fs::path(folder_ / "data") / name;
    fs::create_directories(path.parent_path());
    write_file(path, text);
  }

  TestFolder folder_;
  static std::unique_ptr<DemoServer> server_;
};

std::unique_ptr<DemoServer> EvalUrlTest::server_;

std::string boolq_rows(int count) {
  std::string text;
  for (int i = 0; i < count; ++i) {
    const std::string n = std::to_string(i);
    text += R"({"question": "is paris number )" + n + R"( a city", "passage": "Paris )" + n +
            R"( is the capital of France.", "answer": )" + (i % 3 == 0 ? "true" : "false") + "}\n";
  }
  return text;
}

TEST_F(EvalUrlTest, BoolqIsTheSame) {
  write_data("dev.jsonl", boolq_rows(5));
  expect_same("boolq", "boolq", {"--html", folder_ / "page.html"});
  EXPECT_THAT(read_file(folder_ / "page.html"),
              testing::AllOf(HasSubstr("<svg"), HasSubstr("BoolQ, dev.jsonl")));
  expect_same("boolq", "boolq_chat", {"--chat", "--max-new-tokens", "150"});
}

TEST_F(EvalUrlTest, CevalIsTheSame) {
  const std::string head = "id,question,A,B,C,D,answer";
  write_data("dev/law_dev.csv", head + ",explanation\n0,\xE4\xB8\x80,a,b,c,d,A,x\n1,two,a,b,c,d,B,x\n");
  write_data("val/law_val.csv", head + "\n0,one,a,b,c,d,A\n1,two,a,b,c,d,B\n2,three,a,b,c,d,C\n");
  expect_same("ceval", "ceval");
  EXPECT_EQ(text_of("served", "cache0.csv"), text_of("local", "cache0.csv"));
}

TEST_F(EvalUrlTest, Gsm8kIsTheSame) {
  write_data("test.jsonl", R"({"question": "Count to 5.", "answer": "1 2 3 4 5\n#### 5"})"
                           "\n");
  expect_same("gsm8k", "gsm8k", {"--max-new-tokens", "100"});
}

TEST_F(EvalUrlTest, LongbenchIsTheSame) {
  const std::string row =
      R"({"input": "What is the capital?", "context": "The capital of France is Paris. )" +
      std::string(800, 'x') + R"(", "answers": ["Paris"], "length": 900, "dataset": "x",
                          "language": "en", "all_classes": null, "_id": "1"})";
  std::string line;
  for (const char c : row) line += c == '\n' ? ' ' : c;
  write_data("hotpotqa.jsonl", line + "\n");
  write_data("samsum.jsonl", line + "\n");
  expect_same("longbench", "longbench", {"--max-input-tokens", "200"});
}

TEST_F(EvalUrlTest, PerplexityIsTheSame) {
  std::string text;
  for (int i = 0; i < 8; ++i) text += "The capital of France is Paris. The capital of Italy is Rome.\n";
  write_data("wiki.test.raw", text);
  expect_same("perplexity", "perplexity_rolling", {"--mode", "rolling", "--window", "64"});
}

TEST_F(EvalUrlTest, GoesOnWhereTheEndpointWent) {
  write_data("dev.jsonl", boolq_rows(3));
  DemoServer another({"--threads", "1", "--served-model-name", "demo"});
  ASSERT_EQ(run("boolq", another.url(), "gone", {"--limit", "0"}).exit_code, 0);
  // Two of the answers are lost.
  const fs::path log = fs::path(folder_ / "gone") / "boolq_predictions.jsonl";
  const std::string whole = read_file(log);
  write_file(log, whole.substr(0, whole.find('\n', whole.find('\n') + 1) + 1));
  EXPECT_EQ(another.program().end_by(SIGKILL), -1);
  const ProgramRun refused = run("boolq", another.url(), "gone");
  EXPECT_EQ(refused.exit_code, 1);
  EXPECT_THAT(refused.err, HasSubstr("is the server running?"));
  EXPECT_THAT(read_file(log), Not(HasSubstr("\"error\"")));
  const ProgramRun other = run("boolq", server_->url(), "gone");
  EXPECT_EQ(other.exit_code, 1);
  EXPECT_THAT(other.err,
              HasSubstr("endpoint: \"" + another.url() + "\" there, \"" + server_->url() + "\" now"));
}

TEST_F(EvalUrlTest, RefusesOptionsOfTheOtherKind) {
  write_data("dev.jsonl", boolq_rows(1));
  const ProgramRun remote = run("boolq", server_->url(), "out", {"--weights", "w8"});
  EXPECT_EQ(remote.exit_code, 1);
  EXPECT_THAT(remote.err, HasSubstr("--weights: it belongs to a model that is loaded here"));
  const ProgramRun local = run("boolq", "demo", "out", {"--concurrency", "2"});
  EXPECT_EQ(local.exit_code, 1);
  EXPECT_THAT(local.err, HasSubstr("--concurrency: it belongs to a URL"));
}

}  // namespace
}  // namespace gossamer::test
