// gossamer verify needle on the demo model: what it asks, what it measures, and that what must fail does.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <set>
#include <string>

#include "tests/checkpoint/test_folder.h"
#include "tests/e2e/demo_server.h"
#include "tests/e2e/program.h"

namespace gossamer::test {
namespace {

using testing::AllOf;
using testing::Ge;
using testing::HasSubstr;
using testing::Le;
using testing::Not;

double number(const json::value& value) { return value.to_number<double>(); }
std::string text(const json::value& value) { return std::string(value.as_string()); }

class NeedleTest : public testing::Test {
 protected:
  Arguments arguments(const Arguments& more, const std::string& model = demo_model()) const {
    Arguments all = {"verify", "needle", model, "--threads", "1", "--output", output(), "--html", html()};
    all.insert(all.end(), more.begin(), more.end());
    return all;
  }
  ProgramRun run(const Arguments& more) const { return run_program(arguments(more)); }
  json::object report() const { return parse_json(read_file(output()), "report").as_object(); }
  std::string output() const { return folder_ / "needle.json"; }
  std::string html() const { return folder_ / "needle.html"; }
  // By name.
  json::object check(const json::object& report, const std::string& name) const {
    for (const json::value& check : report.at("checks").as_array()) {
      if (check.at("name").as_string() == name) return check.as_object();
    }
    ADD_FAILURE() << "no check " << name;
    return {};
  }
  TestFolder folder_;
};

TEST_F(NeedleTest, PassesOnTheDemoModelAtEveryLengthAndDepth) {
  const Arguments grid = {"--lengths", "512,1K,2K,3K,4K", "--depths", "0,25,50,75,100"};
  const ProgramRun run = this->run(grid);
  EXPECT_EQ(run.exit_code, 0) << run.out << run.err;
  EXPECT_EQ(text(report().at("verdict")), "PASS");
  EXPECT_EQ(number(report().at("recall")), 1.0);
  EXPECT_EQ(report().at("cells").as_array().size(), 25U);
}

// Not every code: models/demo/README.md says which digits the model confuses.
TEST_F(NeedleTest, TheDemoModelFindsRandomCodes) {
  const ProgramRun run = this->run({"--lengths", "512,1K,2K,3K,4K", "--depths", "0,25,50,75,100",
                                    "--random-codes", "--seed", "1", "--min-recall", "85"});
  EXPECT_EQ(run.exit_code, 0) << run.out << run.err;
}

// Cells and what is measured in them, whatever the model finds.
TEST_F(NeedleTest, AsksEveryLengthAtEveryDepthWithPromptsComputedWhole) {
  const ProgramRun run = this->run({"--lengths", "1K,300", "--depths", "50,0,100", "--min-recall", "0"});
  ASSERT_EQ(run.exit_code, 0) << run.err;
  const json::object report = this->report();
  EXPECT_EQ(report.at("complete"), json::value(true));
  const json::array& cells = report.at("cells").as_array();
  ASSERT_EQ(cells.size(), 6U);
  for (std::size_t i = 0; i < cells.size(); ++i) {
    const json::object& cell = cells[i].as_object();
    const double length = i < 3 ? 300 : 1024;
    const double depth = 50.0 * static_cast<double>(i % 3);
    EXPECT_EQ(number(cell.at("length")), length);
    EXPECT_EQ(number(cell.at("depth_percent")), depth);
    EXPECT_THAT(number(cell.at("prompt_tokens")), AllOf(Le(length), Ge(length - 6)));
    EXPECT_THAT(number(cell.at("placed_percent")), AllOf(Le(depth), Ge(depth - 40 * 300 / length)));
    EXPECT_EQ(number(cell.at("cached_tokens")), 0.0);
    EXPECT_GT(number(cell.at("first_token_s")), 0.0);
    EXPECT_LE(number(cell.at("first_token_s")), number(cell.at("seconds")));
    EXPECT_THAT(number(cell.at("tokens")), AllOf(Ge(1), Le(256)));
    EXPECT_EQ(text(cell.at("expected").at(0)), "7842");
  }
  EXPECT_EQ(text(check(report, "first token").at("verdict")), "not judged");
  EXPECT_THAT(run.out, AllOf(HasSubstr("     1024 "), HasSubstr("\nPASS\n")));
  const std::string page = read_file(html());
  EXPECT_THAT(page, AllOf(HasSubstr("<!DOCTYPE html>"), HasSubstr("1024 tokens, depth 50 %"),
                          HasSubstr("<strong>PASS</strong>"), Not(HasSubstr("<script"))));
}

TEST_F(NeedleTest, FailsWhereTheCodeIsNotTheOneAskedFor) {
  const ProgramRun run = this->run({"--lengths", "300", "--depths", "0,100", "--answer", "9173"});
  EXPECT_EQ(run.exit_code, 2) << run.err;
  EXPECT_THAT(run.out, AllOf(HasSubstr("expected \"9173\""), HasSubstr("\nFAIL\n")));
  EXPECT_EQ(text(report().at("verdict")), "FAIL");
  EXPECT_EQ(number(report().at("recall")), 0.0);
  EXPECT_THAT(read_file(html()), HasSubstr("<strong>FAIL</strong>"));
}

TEST_F(NeedleTest, FailsWhereTheTextHasNoNeedle) {
  const ProgramRun run = this->run({"--lengths", "300,600", "--depths", "0,50", "--needle",
                                    "There is nothing to see here.", "--answer", "7842"});
  EXPECT_EQ(run.exit_code, 2) << run.err;
  EXPECT_EQ(number(report().at("recall")), 0.0);
}

TEST_F(NeedleTest, SaysWhenTheHaystackHasTheAnswer) {
  write_file(folder_ / "hay/a.txt", "Here 7842 stands. It stands in the hay already, for all to see.");
  const ProgramRun run =
      this->run({"--lengths", "300", "--depths", "0", "--min-recall", "0", "--haystack", folder_ / "hay"});
  EXPECT_EQ(run.exit_code, 0) << run.err;
  EXPECT_EQ(report().at("haystack_has_answer"), json::value(true));
  EXPECT_THAT(run.out, HasSubstr("recall proves little"));
}

TEST_F(NeedleTest, JudgesTheTimeToTheFirstTokenWhenAsked) {
  const Arguments cell = {"--lengths", "300", "--depths", "0", "--min-recall", "0", "--max-ttft"};
  Arguments slow = cell;
  slow.push_back("100");
  EXPECT_EQ(run(slow).exit_code, 0);
  EXPECT_EQ(text(check(report(), "first token").at("verdict")), "PASS");
  Arguments fast = cell;
  fast.push_back("1e-9");
  EXPECT_EQ(run(fast).exit_code, 2);
  EXPECT_EQ(text(check(report(), "first token").at("verdict")), "FAIL");
  Arguments shared = slow;
  shared.push_back("--share-prefixes");
  const ProgramRun refused = run(shared);
  EXPECT_EQ(refused.exit_code, 1);
  EXPECT_THAT(refused.err, HasSubstr("--share-prefixes"));
}

TEST_F(NeedleTest, SharesPrefixesWhenAskedAndAnswersTheSame) {
  const Arguments cells = {"--lengths", "700", "--depths", "0,50,100", "--min-recall", "0"};
  ASSERT_EQ(run(cells).exit_code, 0);
  const json::object alone = report();
  Arguments shared = cells;
  shared.push_back("--share-prefixes");
  ASSERT_EQ(run(shared).exit_code, 0);
  const json::object report = this->report();
  EXPECT_GT(number(report.at("cells").at(1).at("cached_tokens")), 200.0);
  for (std::size_t i = 0; i < 3; ++i)
    EXPECT_EQ(report.at("cells").at(i).at("answer"), alone.at("cells").at(i).at("answer"));
}

TEST_F(NeedleTest, HidesAnotherNumberInEveryCell) {
  for (const Arguments& task : {Arguments{"--random-codes"}, {"--task", "ruler"}, {"--task", "passkey"}}) {
    Arguments all = {"--lengths", "300,400", "--depths", "0,100", "--min-recall", "0", "--seed", "3"};
    all.insert(all.end(), task.begin(), task.end());
    const ProgramRun run = this->run(all);
    ASSERT_EQ(run.exit_code, 0) << run.err;
    std::set<std::string> expected;
    const json::object report = this->report();
    for (const json::value& cell : report.at("cells").as_array()) {
      const std::string code = text(cell.at("expected").at(0));
      EXPECT_THAT(text(cell.at("needle")), HasSubstr(code));
      expected.insert(code);
    }
    EXPECT_EQ(expected.size(), 4U) << task.back();
  }
}

TEST_F(NeedleTest, AsksModelsWithoutAChatFormInPlainText) {
  fs::copy(demo_model(), folder_ / "plain");
  std::string tokenizer = read_file(folder_ / "plain/tokenizer.json");
  for (std::size_t at = tokenizer.find("<|channel|>"); at != std::string::npos;
       at = tokenizer.find("<|channel|>"))
    tokenizer.replace(at, 11, "<|chamber|>");
  fs::remove(folder_ / "plain/tokenizer.json");
  write_file(folder_ / "plain/tokenizer.json", tokenizer);
  const ProgramRun run =
      run_program(arguments({"--lengths", "300", "--depths", "0", "--min-recall", "0"}, folder_ / "plain"));
  ASSERT_EQ(run.exit_code, 0) << run.err;
  EXPECT_EQ(text(report().at("asked").at("prompt_form")), "plain");
  EXPECT_EQ(number(report().at("asked").at("form_tokens")), 0.0);
  EXPECT_THAT(number(report().at("cells").at(0).at("prompt_tokens")), AllOf(Le(300.0), Ge(294.0)));
}

TEST_F(NeedleTest, AsksAnEndpointTheSameQuestions) {
  const Arguments cells = {"--lengths", "300,700", "--depths", "0,50", "--min-recall", "0"};
  ASSERT_EQ(run(cells).exit_code, 0);
  const json::object here = report();
  DemoServer server({"--threads", "1"});
  Arguments there = {"verify",   "needle", "--api-url", server.url() + "/v1/chat/completions",
                     "--output", output()};
  there.insert(there.end(), cells.begin(), cells.end());
  const ProgramRun run = run_program(there);
  ASSERT_EQ(run.exit_code, 0) << run.err;
  const json::object report = this->report();
  for (std::size_t i = 0; i < 4; ++i) {
    for (const char* key : {"length", "prompt_tokens", "needle", "placed_percent", "answer"})
      EXPECT_EQ(report.at("cells").at(i).at(key), here.at("cells").at(i).at(key)) << key;
  }
  const ProgramRun refused = run_program({"verify", "needle", server.url(), "--max-context-len", "4096"});
  EXPECT_EQ(refused.exit_code, 1);
  EXPECT_THAT(refused.err, HasSubstr("expected --max-context-len 2048 or less"));
}

TEST_F(NeedleTest, RefusesInOneLineWhatCannotBeAsked) {
  const auto refusal = [&](const Arguments& more) {
    const ProgramRun run = this->run(more);
    EXPECT_EQ(run.exit_code, 1);
    EXPECT_EQ(std::count(run.err.begin(), run.err.end(), '\n'), 1) << run.err;
    EXPECT_FALSE(fs::exists(output()));
    return run.err;
  };
  EXPECT_THAT(refusal({"--max-context-len", "200000"}),
              HasSubstr("expected --max-context-len 131072 or less"));
  EXPECT_THAT(refusal({"--lengths", "8K", "--max-context-len", "4096"}), HasSubstr("found 8192"));
  EXPECT_THAT(refusal({"--lengths", "4,x"}), HasSubstr("found \"x\""));
  EXPECT_THAT(refusal({"--depths", "101"}), HasSubstr("found 101"));
  EXPECT_THAT(refusal({"--lengths", "40"}), HasSubstr("no room"));
  EXPECT_THAT(refusal({"--needle", "It is blue.", "--random-codes"}),
              HasSubstr("a number that is asked for"));
  EXPECT_THAT(refusal({"--haystack", folder_.path()}), HasSubstr("*.txt"));
}

TEST_F(NeedleTest, KeepsWhatItHasWhenItIsInterrupted) {
  BackgroundProgram program(
      arguments({"--lengths", "300,16K", "--depths", "0,10,20,30,40,50,60,70,80,90,100"}));
  for (int i = 0; i < 2000 && !fs::exists(html()); ++i) ::usleep(10'000);  // written after the JSON
  EXPECT_EQ(program.end_by(SIGINT), 1);
  const json::object report = this->report();
  EXPECT_EQ(text(report.at("verdict")), "INCOMPLETE");
  EXPECT_EQ(report.at("complete"), json::value(false));
  EXPECT_EQ(report.at("cells").at(0).at("asked"), json::value(true));
  EXPECT_EQ(report.at("cells").at(21).at("asked"), json::value(false));
  EXPECT_THAT(read_file(html()), AllOf(HasSubstr("ended early"), HasSubstr("not asked")));
}

}  // namespace
}  // namespace gossamer::test
