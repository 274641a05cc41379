// gossamer batch: whole lines whatever happens, and the same answers.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <map>
#include <sstream>
#include <string>
#include <vector>

#include "tests/checkpoint/test_folder.h"
#include "tests/e2e/program.h"

namespace gossamer::test {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

std::string request(const std::string& custom_id, const std::string& url, const std::string& body) {
  return R"({"custom_id": ")" + custom_id + R"(", "method": "POST", "url": ")" + url + R"(", "body": )" +
         body + "}\n";
}
std::string chat(const std::string& custom_id, const std::string& question, const std::string& more = "") {
  return request(
      custom_id, "/v1/chat/completions",
      R"({"model": "demo", "messages": [{"role": "user", "content": ")" + question + "\"}]" + more + "}");
}
std::string completion(const std::string& custom_id, const std::string& body) {
  return request(custom_id, "/v1/completions", body);
}

class BatchTest : public testing::Test {
 protected:
  Arguments arguments(const Arguments& more = {}) const {
    // On one thread: what several share they wait for, which on a busy machine takes minutes.
    Arguments all = {"batch",    demo_model(),          "--input",   folder_ / "in.jsonl",
                     "--output", folder_ / "out.jsonl", "--threads", "1"};
    all.insert(all.end(), more.begin(), more.end());
    return all;
  }
  ProgramRun run(const std::string& input, const Arguments& more = {}) const {
    write_file(folder_ / "in.jsonl", input);
    return run_program(arguments(more));
  }
  std::string output() const { return read_file(folder_ / "out.jsonl"); }
  // The output's whole lines by custom_id.
  std::map<std::string, json::object> answers() const {
    std::map<std::string, json::object> answers;
    std::istringstream lines(output());
    for (std::string line; std::getline(lines, line) && !lines.eof();) {
      const json::object answer = parse_json(line, "out.jsonl").as_object();
      EXPECT_TRUE(answer.at("error").is_null());
      const bool is_new = answers.emplace(answer.at("custom_id").as_string(), answer).second;
      EXPECT_TRUE(is_new) << "twice: " << line;
    }
    return answers;
  }
  TestFolder folder_;
};

int status_of(const json::object& answer) { return answer.at("response").at("status_code").to_number<int>(); }
const json::object& body_of(const json::object& answer) {
  return answer.at("response").at("body").as_object();
}
std::string content_of(const json::object& answer) {
  return std::string(body_of(answer).at("choices").at(0).at("message").at("content").as_string());
}
std::string message_of(const json::object& answer) {
  return std::string(body_of(answer).at("error").at("message").as_string());
}

TEST_F(BatchTest, AnswersChatsAndCompletions) {
  const ProgramRun run = this->run(
      chat("a", "What is the capital of France?") + "\n" +
      completion("b", R"({"prompt": "The capital of Italy is", "max_tokens": 4, "logprobs": 1, "n": 2})"));
  EXPECT_EQ(run.exit_code, 0) << run.err;
  EXPECT_EQ(run.out, "");
  EXPECT_THAT(run.err, AllOf(HasSubstr("2 lines answered (0 failed)"), HasSubstr("tokens/s")));
  const auto answers = this->answers();
  ASSERT_EQ(answers.size(), 2U);
  EXPECT_THAT(content_of(answers.at("a")), HasSubstr("Paris"));
  EXPECT_EQ(body_of(answers.at("a")).at("object").as_string(), "chat.completion");
  EXPECT_FALSE(
      body_of(answers.at("a")).at("choices").at(0).at("message").at("reasoning").as_string().empty());
  const json::object& body = body_of(answers.at("b"));
  EXPECT_EQ(body.at("choices").as_array().size(), 2U);
  EXPECT_EQ(body.at("choices").at(0).at("text"), body.at("choices").at(1).at("text")) << "greedy";
  EXPECT_EQ(body.at("choices").at(1).at("logprobs").at("tokens").as_array().size(), 4U);
  EXPECT_EQ(body.at("usage").at("completion_tokens").to_number<int>(), 8);
  EXPECT_TRUE(answers.at("a").at("id").as_string().starts_with("batch_req_"));
}

TEST_F(BatchTest, HoldsAnswersToWhatTheirRequestsAskFor) {
  const auto format = [](const std::string& schema) {
    return R"(, "response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": )" +
           schema + "}}";
  };
  const std::string schema = R"({"type": "object", "properties": {"capital": {"enum": ["Rome", "Paris"]}}, )"
                             R"("required": ["capital"], "additionalProperties": false})";
  const ProgramRun run =
      this->run(chat("schema", "What is the capital of France?", format(schema)) + "\n" +
                completion("choice", R"({"prompt": "Yes or no?", "guided_choice": ["yes", "no"]})") + "\n" +
                chat("bad", "x", format(R"({"not": {}})")));
  const auto answers = this->answers();
  ASSERT_EQ(answers.size(), 3U) << run.err;
  const std::string content = content_of(answers.at("schema"));
  EXPECT_TRUE(content == R"({"capital":"Paris"})" || content == R"({"capital": "Paris"})" ||
              content == R"({"capital":"Rome"})" || content == R"({"capital": "Rome"})")
      << content;
  const std::string choice(body_of(answers.at("choice")).at("choices").at(0).at("text").as_string());
  EXPECT_TRUE(choice == "yes" || choice == "no") << choice;
  EXPECT_THAT(message_of(answers.at("bad")), HasSubstr("response_format.json_schema.schema"));
}

TEST_F(BatchTest, EndsAtAStopStringBetweenTokens) {
  const std::string question = "What is the capital of France?";
  const ProgramRun run = this->run(chat("whole", question) + chat("cut", question, R"(, "stop": ["aris"])"));
  ASSERT_EQ(run.exit_code, 0) << run.err;
  const auto answers = this->answers();
  const std::string whole = content_of(answers.at("whole"));
  ASSERT_THAT(whole, HasSubstr("Paris"));
  EXPECT_EQ(content_of(answers.at("cut")), whole.substr(0, whole.find("aris")));
}

TEST_F(BatchTest, AnswersABadRequestWithWhatIsWrong) {
  const ProgramRun run = this->run(
      chat("good", "What is the capital of France?", R"(, "max_tokens": 5)") +
      chat("hot", "x", R"(, "temperature": "hot")") +
      request("model", "/v1/completions", R"({"model": "gpt-9", "prompt": "x"})") +
      request("url", "/v1/embeddings", "{}") + "{\"custom_id\": \"body\", \"url\": \"/v1/completions\"}\n" +
      R"({"custom_id": "method", "method": "GET", "url": "/v1/completions", "body": {}})" + "\n" +
      chat("stream", "x", R"(, "stream": true)") + chat("long", "x", R"(, "max_tokens": 1000000)"));
  EXPECT_EQ(run.exit_code, 0) << run.err;
  EXPECT_THAT(run.err, HasSubstr("8 lines answered (7 failed)"));
  const auto answers = this->answers();
  ASSERT_EQ(answers.size(), 8U);
  EXPECT_EQ(status_of(answers.at("good")), 200);
  const std::vector<std::tuple<std::string, int, std::string>> expected = {
      {"hot", 400, "temperature: expected a number, found \"hot\""},
      {"model", 404, "gpt-9"},
      {"url", 404, "/v1/embeddings"},
      {"body", 400, "body: expected an object"},
      {"method", 405, "GET"},
      {"stream", 400, "stream"},
      {"long", 400, "max_tokens"}};
  for (const auto& [id, status, message] : expected) {
    EXPECT_EQ(status_of(answers.at(id)), status) << id;
    EXPECT_THAT(message_of(answers.at(id)), HasSubstr(message));
    EXPECT_EQ(body_of(answers.at(id)).at("error").as_object().size(), 4U);
  }
}

TEST_F(BatchTest, NamesEveryLineThatCannotBeTold) {
  std::string input =
      chat("a", "x") + "{not json\n" + "[1]\n" + "{\"url\": \"x\"}\n" + chat("a", "y") + "\xFF\xFE\n";
  ProgramRun run = this->run(input);
  EXPECT_EQ(run.exit_code, 1);
  EXPECT_THAT(run.err, AllOf(HasSubstr("in.jsonl:2: "), HasSubstr("in.jsonl:3: expected a JSON object"),
                             HasSubstr("in.jsonl:4: custom_id"),
                             HasSubstr("in.jsonl:5: custom_id \"a\" was used in line 1"),
                             HasSubstr("in.jsonl:6: "), Not(HasSubstr("in.jsonl:1: "))));
  EXPECT_FALSE(fs::exists(folder_ / "out.jsonl"));
  input.clear();
  for (int i = 0; i < 30; ++i) input += "{}\n";
  run = this->run(input);
  EXPECT_THAT(run.err,
              AllOf(HasSubstr("in.jsonl:20: "), Not(HasSubstr("in.jsonl:21: ")), HasSubstr("and 10 more")));
}

TEST_F(BatchTest, GoesOnFromAnOutputOfItsOwnOnly) {
  const std::string line = chat("a", "What is the capital of France?", R"(, "max_tokens": 3)");
  ASSERT_EQ(run(line).exit_code, 0);
  const std::string first = output();
  // A line that was cut is removed.
  write_file(folder_ / "out.jsonl", first + "{\"id\": \"batch_r");
  ProgramRun again = run(line + chat("b", "x", R"(, "max_tokens": 3)"));
  EXPECT_EQ(again.exit_code, 0) << again.err;
  EXPECT_THAT(again.err, HasSubstr("1 line answered"));
  EXPECT_TRUE(output().starts_with(first));
  EXPECT_EQ(answers().size(), 2U);
  again = run(line + chat("b", "x"));
  EXPECT_EQ(again.exit_code, 0);
  EXPECT_THAT(again.err, HasSubstr("nothing to do"));

  const std::string both = output();
  again = run(line);
  EXPECT_EQ(again.exit_code, 1);
  EXPECT_THAT(again.err, AllOf(HasSubstr("out.jsonl:2: "), HasSubstr("custom_id \"b\"")));
  EXPECT_EQ(output(), both) << "left as it was";
  write_file(folder_ / "out.jsonl", "some notes\n");
  again = run(line);
  EXPECT_EQ(again.exit_code, 1);
  EXPECT_THAT(again.err, HasSubstr("out.jsonl:1: "));
  EXPECT_EQ(output(), "some notes\n");
}

TEST_F(BatchTest, RefusesFilesThatItCannotUse) {
  write_file(folder_ / "in.jsonl", chat("a", "x"));
  const auto run_with = [&](const std::string& input, const std::string& output) {
    return run_program({"batch", demo_model(), "--input", input, "--output", output});
  };
  const std::string in = folder_ / "in.jsonl";
  EXPECT_THAT(run_with(folder_ / "missing.jsonl", folder_ / "out.jsonl").err, HasSubstr("missing.jsonl"));
  EXPECT_THAT(run_with(in, in).err, HasSubstr("is the input"));
  EXPECT_THAT(run_with(in, folder_ / "no/out.jsonl").err, HasSubstr("no/out.jsonl"));
  const ProgramRun no_tokenizer =
      run_program({"batch", fixture("gpt2_f32"), "--input", in, "--output", folder_ / "out.jsonl"});
  EXPECT_EQ(no_tokenizer.exit_code, 1);
  EXPECT_THAT(no_tokenizer.err, HasSubstr("tokenizer"));
}

// Requests of every kind, enough of them that a run can be caught in the middle.
std::string many_requests() {
  std::string input;
  for (const char* country : {"France", "Italy", "Spain", "Portugal", "Norway", "Japan", "Kenya", "Peru"}) {
    const std::string question = std::string("What is the capital of ") + country + "?";
    for (int i = 0; i < 5; ++i) {
      const std::string id = country + std::to_string(i);
      input += chat(id + "-greedy", question, R"(, "max_tokens": 40, "ignore_eos": true)");
      input += chat(id + "-sampled", question, R"(, "temperature": 1.2, "max_tokens": 60, "n": 2)");
      input +=
          completion(id + "-raw", R"({"prompt": ["The capital", "A"], "max_tokens": 30, "temperature": 1, )"
                                  R"("logprobs": 2, "echo": true})");
      input += chat(id + "-bad", question, R"(, "n": 0)");
    }
  }
  return input;
}

// A line without what differs from run to run.
std::string comparable(json::object answer) {
  answer.erase("id");
  json::object& response = answer.at("response").as_object();
  response.erase("request_id");
  response.at("body").as_object().erase("id");
  response.at("body").as_object().erase("created");
  // Whether a prefix was cached depends on what ran before.
  if (json::value* usage = response.at("body").as_object().if_contains("usage"))
    usage->as_object().erase("prompt_tokens_details");
  return json::serialize(answer);
}

TEST_F(BatchTest, LosesAndRepeatsNothingWhenKilled) {
  const std::string input = many_requests();
  const auto num_requests = static_cast<std::size_t>(std::count(input.begin(), input.end(), '\n'));
  ASSERT_EQ(run(input).exit_code, 0);
  const std::map<std::string, json::object> undisturbed = answers();
  ASSERT_EQ(undisturbed.size(), num_requests);
  fs::remove(folder_ / "out.jsonl");

  // Killed as soon as a third is there, then two thirds.
  const auto num_lines = [&] {
    const std::string text = fs::exists(folder_ / "out.jsonl") ? output() : std::string();
    return static_cast<std::size_t>(std::count(text.begin(), text.end(), '\n'));
  };
  for (const std::size_t third : {1U, 2U}) {
    BackgroundProgram program(arguments({"--max-num-seqs", "3"}));
    while (num_lines() < third * num_requests / 3 && !program.has_ended()) usleep(500);
    ASSERT_FALSE(program.has_ended()) << "too fast to be killed";
    program.end_by(SIGKILL);
    ASSERT_LT(num_lines(), num_requests);
  }
  const ProgramRun rest = run_program(arguments());
  EXPECT_EQ(rest.exit_code, 0) << rest.err;
  const std::map<std::string, json::object> resumed = answers();
  ASSERT_EQ(resumed.size(), num_requests);
  for (const auto& [id, answer] : undisturbed) EXPECT_EQ(comparable(resumed.at(id)), comparable(answer));
}

TEST_F(BatchTest, StopsAtOnceWhenInterrupted) {
  write_file(folder_ / "in.jsonl", many_requests());
  BackgroundProgram program(arguments({"--max-num-seqs", "2"}));
  while (!fs::exists(folder_ / "out.jsonl") || output().empty()) {
    ASSERT_FALSE(program.has_ended());
    usleep(500);
  }
  const auto start = std::chrono::steady_clock::now();
  EXPECT_EQ(program.end_by(SIGINT), 1);
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(10));
  EXPECT_TRUE(output().ends_with('\n'));
  EXPECT_LT(answers().size(), 160U);
  const ProgramRun rest = run_program(arguments());
  EXPECT_EQ(rest.exit_code, 0) << rest.err;
  EXPECT_EQ(answers().size(), 160U);
}

TEST_F(BatchTest, ShowsLinesAndSpeedOnATerminal) {
  write_file(folder_ / "in.jsonl", many_requests());
  Terminal terminal(arguments({"--max-num-seqs", "2"}));
  EXPECT_TRUE(terminal.wait_for(" of 160 lines")) << terminal.screen();
  EXPECT_TRUE(terminal.wait_for("tokens/s")) << terminal.screen();
  terminal.type("\x03");
  EXPECT_EQ(terminal.exit_code(), 1);
  EXPECT_THAT(terminal.screen(), HasSubstr("the same command goes on from there"));
}

}  // namespace
}  // namespace gossamer::test
