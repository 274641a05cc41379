// gossamer serve as a process: the first lines of the README, a stream, the chat page, bench serve against
// it, and its end. What clients see beyond this is in tests/sdk, which needs PyPI.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <optional>
#include <sstream>
#include <string>

#include "base/json.h"
#include "http/http_client.h"
#include "tests/base/trace_reader.h"
#include "tests/checkpoint/test_folder.h"
#include "tests/e2e/demo_server.h"
#include "tests/e2e/program.h"

namespace gossamer::test {
namespace {

using testing::HasSubstr;

class ServeTest : public testing::Test {
 protected:
  void start(const Arguments& options = {}) { server_.emplace(options); }
  std::string log() const { return server_->log(); }

  HttpResponse ask(const std::string& method, const std::string& path, const std::string& body = {}) {
    HttpClient client({});
    const auto url = HttpUrl::parse(server_->url() + path);
    const auto response = fetch(client, {.method = method, .url = url.value(), .body = body});
    EXPECT_TRUE(response.ok()) << path;
    return response.ok() ? response.value() : HttpResponse{.status = 0};
  }

  std::optional<DemoServer> server_;
};

constexpr const char* kQuestion = R"({"model": "demo", "temperature": 0,
    "messages": [{"role": "user", "content": "What is the capital of France?"}]})";

TEST_F(ServeTest, AnswersAndEndsWhenTold) {
  start();
  const json::value models = parse_json(ask("GET", "/v1/models").body, "models");
  EXPECT_EQ(models.at("data").at(0).at("id"), "demo");
  const HttpResponse response = ask("POST", "/v1/chat/completions", kQuestion);
  ASSERT_EQ(response.status, 200) << response.body;
  const json::value answer = parse_json(response.body, "answer");
  EXPECT_EQ(answer.at("choices").at(0).at("message").at("content"), "The capital of France is Paris.");
  EXPECT_EQ(ask("GET", "/health/ready").status, 200);
  EXPECT_THAT(ask("GET", "/").body, HasSubstr("<!doctype html"));
  EXPECT_THAT(ask("GET", "/metrics").body, HasSubstr("gossamer_time_to_first_token_seconds_count 1"));
  EXPECT_EQ(server_->program().end_by(SIGTERM), 0);
  EXPECT_THAT(log(), HasSubstr("stopped"));
  EXPECT_THAT(log(), testing::Not(HasSubstr("capital")));
}

TEST_F(ServeTest, WritesItsProfileWhenItIsTerminated) {
  const TestFolder folder;
  const std::string path = folder / "profile.json";
  start({"--profile", path, "--profile-spans", "1000"});
  ASSERT_EQ(ask("POST", "/v1/chat/completions", kQuestion).status, 200);
  EXPECT_EQ(server_->program().end_by(SIGTERM), 0);
  const json::value trace = read_json_file(path);
  EXPECT_EQ(read_trace(trace).size(), trace.at("otherData").at("spans").to_number<std::size_t>());
  EXPECT_GT(trace.at("otherData").at("steps").to_number<int>(), 1);
  EXPECT_GT(trace.at("otherData").at("dropped_spans").to_number<int>(), 0);
}

TEST_F(ServeTest, AStreamIsTheAnswerInPieces) {
  start();
  std::string body = kQuestion;
  body.insert(body.find('{') + 1, R"("stream": true, )");
  const HttpResponse response = ask("POST", "/v1/chat/completions", body);
  ASSERT_EQ(response.status, 200) << response.body;
  EXPECT_THAT(response.content_type, HasSubstr("text/event-stream"));
  std::string content;
  std::istringstream lines(response.body);
  std::string last;
  for (std::string line; std::getline(lines, line);) {
    if (!line.starts_with("data: ")) continue;
    last = line.substr(6);
    if (last == "[DONE]") continue;
    const json::value chunk = parse_json(last, "chunk");
    const json::object& delta = chunk.at("choices").at(0).at("delta").as_object();
    if (const json::value* piece = delta.if_contains("content")) content += piece->as_string();
  }
  EXPECT_EQ(last, "[DONE]");
  EXPECT_EQ(content, "The capital of France is Paris.");
}

TEST_F(ServeTest, BearsClientsThatVanishAndThoseThatSendGarbage) {
  start({"--max-num-seqs", "8"});
  const ProgramRun load =
      run_program({"bench", "serve", "--url", server_->url(), "--concurrency", "32", "--num-requests", "200",
                   "--max-tokens", "24", "--vanish", "0.2", "--garbage", "0.1", "--check-repeat"});
  EXPECT_EQ(load.exit_code, 0) << load.out << load.err;
  EXPECT_THAT(log(), testing::Not(HasSubstr("status=5")));
  const json::value health = parse_json(ask("GET", "/health").body, "health");
  EXPECT_EQ(health.at("calls"), 0);
  EXPECT_EQ(server_->program().end_by(SIGTERM), 0);
}

}  // namespace
}  // namespace gossamer::test
