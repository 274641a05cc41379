// gossamer verify: the demo model passes, every planted fault is found, and so is a server that misbehaves in
// any of the ways that the checks are about.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <atomic>
#include <cstdlib>
#include <fstream>
#include <functional>
#include <mutex>
#include <optional>
#include <set>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "base/json.h"
#include "http/http_client.h"
#include "tests/checkpoint/test_folder.h"
#include "tests/e2e/program.h"
#include "tests/http/stub_server.h"

namespace gossamer::test {
namespace {

using testing::HasSubstr;

constexpr int kPassed = 0;
constexpr int kFailed = 2;

// The report's verdict on one check: "PASS", "FAIL", "SKIP", and why.
std::string verdict_on(const json::value& report, std::string_view name) {
  for (const json::value& check : report.at("checks").as_array()) {
    if (check.at("name").as_string().find(name) != json::string::npos)
      return std::string(check.at("verdict").as_string()) + ": " +
             std::string(check.at("reason").as_string());
  }
  return "no such check";
}

struct VerifyRun {
  ProgramRun program;
  json::value report;
};

VerifyRun verify(Arguments arguments, const std::string& program = GOSSAMER_PROGRAM) {
  const TestFolder folder;
  const std::string output = folder.path() / "report.json";
  arguments.insert(arguments.begin(), "verify");
  arguments.insert(arguments.end(), {"--output", output});
  VerifyRun run = {.program = run_program(arguments, {}, program)};
  if (std::filesystem::exists(output)) run.report = read_json_file(output);
  return run;
}

TEST(Verify, PassesTheDemoModelAndWritesReports) {
  const TestFolder folder;
  const std::string html = folder.path() / "report.html";
  const VerifyRun run = verify({"demo", "--html", html});
  EXPECT_EQ(run.program.exit_code, kPassed) << run.program.out << run.program.err;
  ASSERT_TRUE(run.report.is_object());
  EXPECT_EQ(run.report.at("verdict"), "PASS");
  EXPECT_EQ(run.report.at("failed"), 0);
  for (const char* judged : {"tokens survive", "text of all its tokens", "deployment gives the golden",
                             "in f32 gives the golden", "fast kernels", "other requests", "cached prompt",
                             "becomes Harmony", "required call", "too long", "deadline", "who leaves"}) {
    EXPECT_THAT(verdict_on(run.report, judged), testing::StartsWith("PASS")) << judged;
  }
  std::ifstream file(html);
  std::stringstream page;
  page << file.rdbuf();
  EXPECT_THAT(page.str(), HasSubstr("fast kernels give what the reference gives"));
}

struct PlantedFault {
  const char* fault;
  const char* theme;
  const char* found_by;  // the check
};

void PrintTo(const PlantedFault& fault, std::ostream* out) { *out << fault.fault; }

class PlantedFaultTest : public testing::TestWithParam<PlantedFault> {};

TEST_P(PlantedFaultTest, IsFound) {
  ASSERT_EQ(setenv("GOSSAMER_PLANTED_FAULT", GetParam().fault, 1), 0);
  const VerifyRun run = verify({"demo", "--only", GetParam().theme}, GOSSAMER_FAULTY_PROGRAM);
  unsetenv("GOSSAMER_PLANTED_FAULT");
  EXPECT_EQ(run.program.exit_code, kFailed) << run.program.out << run.program.err;
  ASSERT_TRUE(run.report.is_object()) << run.program.err;
  EXPECT_THAT(verdict_on(run.report, GetParam().found_by), testing::StartsWith("FAIL"));
}

constexpr const char* kGolden = "in f32 gives the golden";
constexpr const char* kReference = "fast kernels";
INSTANTIATE_TEST_SUITE_P(All, PlantedFaultTest,
                         testing::Values(PlantedFault{"window_129", "golden", kGolden},
                                         PlantedFault{"yarn_rounded", "golden", kGolden},
                                         PlantedFault{"no_sinks", "golden", kGolden},
                                         PlantedFault{"no_expert_bias", "golden", kGolden},
                                         PlantedFault{"swapped_nibbles", "golden", kGolden},
                                         PlantedFault{"wrong_head_scale", "golden", kGolden},
                                         PlantedFault{"cpu:no_sinks", "golden", kReference},
                                         PlantedFault{"cpu:no_expert_bias", "golden", kReference},
                                         PlantedFault{"cpu:swapped_nibbles", "golden", kReference},
                                         PlantedFault{"cpu:wrong_head_scale", "golden", kReference},
                                         PlantedFault{"trimmed_text", "text", "text of all its tokens"}),
                         [](const auto& info) {
                           std::string name = info.param.fault;
                           for (char& c : name) c = c == ':' ? '_' : c;
                           return name;
                         });

TEST(PlantedFaults, WithoutOneTheSameProgramPasses) {
  const VerifyRun run = verify({"demo", "--only", "golden,text"}, GOSSAMER_FAULTY_PROGRAM);
  EXPECT_EQ(run.program.exit_code, kPassed) << run.program.out << run.program.err;
}

// What a server does wrong: changes requests before, and answers after, a right one has them.
struct Misdeed {
  const char* theme;
  const char* found_by;
  std::function<void(HttpRequest& request)> change_request = {};
  std::function<void(const HttpRequest& request, HttpResponse& response)> change_response = {};
};

// A right server, shared by the tests, behind one that misbehaves.
class MisbehavingServerTest : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    folder_.emplace();
    server_.emplace(
        // Answers that fill the model are long enough for deadlines, and end soon.
        Arguments{"serve", "demo", "--port", "0", "--max-model-len", "4096", "--num-speculative-tokens", "0",
                  "--log-file", log_path()});
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(60);
    while (log().find("ready") == std::string::npos && std::chrono::steady_clock::now() < deadline)
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    const std::string text = log();
    const std::size_t begin = text.find("http://");
    ASSERT_NE(begin, std::string::npos) << text;
    url_ = text.substr(begin, text.find('\n', begin) - begin);
  }
  static void TearDownTestSuite() {
    server_.reset();
    folder_.reset();
  }

  static std::string log_path() { return folder_->path() / "log"; }
  static std::string log() {
    std::ifstream file(log_path());
    std::stringstream text;
    text << file.rdbuf();
    return text.str();
  }

  static void forward(const Misdeed& misdeed, HttpRequest request, StubConnection& connection) {
    if (misdeed.change_request) misdeed.change_request(request);
    HttpCall call = {.method = request.method, .url = HttpUrl::parse(url_ + request.path).value()};
    if (const auto timeout = request.header("x-request-timeout"))
      call.headers.emplace_back("X-Request-Timeout", std::string(*timeout));
    call.body = request.body;
    HttpClient client({});
    auto answer = fetch(client, std::move(call));
    if (!answer.ok()) return connection.close();
    HttpResponse response = std::move(answer).value();
    if (misdeed.change_response) misdeed.change_response(request, response);
    connection.respond(response.status, response.body, response.content_type);
  }

  static void expect_found(const Misdeed& misdeed) {
    StubServer stub([&](const HttpRequest& request, StubConnection& connection) {
      forward(misdeed, request, connection);
    });
    const VerifyRun run = verify({stub.url(), "--only", misdeed.theme});
    EXPECT_EQ(run.program.exit_code, kFailed) << run.program.out << run.program.err;
    ASSERT_TRUE(run.report.is_object()) << run.program.err;
    EXPECT_THAT(verdict_on(run.report, misdeed.found_by), testing::StartsWith("FAIL"));
  }

  static inline std::optional<TestFolder> folder_;
  static inline std::optional<BackgroundProgram> server_;
  static inline std::string url_;
};

bool asks(const HttpRequest& request, std::string_view path, std::string_view text = {}) {
  return request.path == path && request.body.find(text) != std::string::npos;
}
bool is_stream(const HttpResponse& response) {
  return response.content_type.starts_with("text/event-stream");
}

// `change` on the JSON of the answers to what `asks` says.
std::function<void(const HttpRequest&, HttpResponse&)> in_answers(std::string path, std::string text,
                                                                  std::function<void(json::value&)> change) {
  return [=](const HttpRequest& request, HttpResponse& response) {
    if (!asks(request, path, text) || is_stream(response)) return;
    json::value value = parse_json(response.body, "answer");
    change(value);
    response.body = json::serialize(value);
  };
}

constexpr const char* kCompletions = "/v1/completions";
constexpr const char* kChat = "/v1/chat/completions";

json::value& choice(json::value& answer) { return answer.at("choices").at(0); }
void drop_last_letter(json::value& text) {
  std::string letters(text.as_string());
  if (!letters.empty()) letters.pop_back();
  text = letters;
}

// The event in the middle is lost.
void lose_event(const HttpRequest& request, HttpResponse& response) {
  if (!is_stream(response)) return;
  std::size_t middle = response.body.find("\n\n", response.body.size() / 2);
  if (request.body.find("include_usage") != std::string::npos) middle = response.body.rfind("\"content\":\"");
  const std::size_t begin = response.body.rfind("data: ", middle);
  if (middle == std::string::npos || begin == std::string::npos) return;
  response.body.erase(begin, response.body.find("\n\n", begin) + 2 - begin);
}

TEST_F(MisbehavingServerTest, ARightOneBehindTheSamePasses) {
  StubServer stub(
      [&](const HttpRequest& request, StubConnection& connection) { forward({}, request, connection); });
  const VerifyRun run = verify({stub.url(), "--only", "text,golden,concurrency,chat,tools"});
  EXPECT_EQ(run.program.exit_code, kPassed) << run.program.out << run.program.err;
}

TEST_F(MisbehavingServerTest, OurOwnPasses) {
  const VerifyRun run = verify({url_, "--golden", (demo_model() / "golden.json").string()});
  EXPECT_EQ(run.program.exit_code, kPassed) << run.program.out << run.program.err;
  EXPECT_THAT(verdict_on(run.report, "deployment gives the golden"), testing::StartsWith("PASS"));
  EXPECT_THAT(verdict_on(run.report, "ceilings"), testing::StartsWith("SKIP"));
}

TEST_F(MisbehavingServerTest, IsFoundOutByItsText) {
  expect_found({.theme = "text",
                .found_by = "round trip",
                .change_response = in_answers(
                    "/detokenize", "", [](json::value& answer) { drop_last_letter(answer.at("prompt")); })});
  expect_found({.theme = "text",
                .found_by = "text of all its tokens",
                .change_response = in_answers(kCompletions, "return_token_ids", [](json::value& answer) {
                  drop_last_letter(choice(answer).at("text"));
                })});
  expect_found({.theme = "text", .found_by = "a stream is", .change_response = lose_event});
  expect_found({.theme = "text",
                .found_by = "echo",
                .change_response = in_answers(kCompletions, "\"echo\":true", [](json::value& answer) {
                  choice(answer).at("text") = "x" + std::string(choice(answer).at("text").as_string());
                })});
}

TEST_F(MisbehavingServerTest, IsFoundOutByItsLogProbabilities) {
  expect_found({.theme = "golden",
                .found_by = "most likely",
                .change_response = in_answers(kCompletions, "logprobs", [](json::value& answer) {
                  for (json::value& top : choice(answer).at("logprobs").at("top_logprobs").as_array()) {
                    if (top.is_object()) top.as_object()["another"] = -0.01;
                  }
                })});
  expect_found({.theme = "golden",
                .found_by = "reading gives",
                .change_response = in_answers(kCompletions, "\"echo\":true", [](json::value& answer) {
                  for (json::value& number : choice(answer).at("logprobs").at("token_logprobs").as_array()) {
                    if (number.is_number()) number = number.to_number<double>() - 1e-5;
                  }
                })});
}

TEST_F(MisbehavingServerTest, IsFoundOutByConcurrency) {
  std::atomic<int> running = 0;
  expect_found(
      {.theme = "concurrency",
       .found_by = "other requests",
       .change_request = [&](HttpRequest& request) { running += asks(request, kCompletions) ? 1 : 0; },
       .change_response =
           [&](const HttpRequest& request, HttpResponse& response) {
             const int others = asks(request, kCompletions) ? running-- : 0;
             if (others < 8) return;
             in_answers(kCompletions, "harbour", [](json::value& answer) {
               drop_last_letter(choice(answer).at("text"));
             })(request, response);
           }});
  std::mutex mutex;
  std::set<std::string> seen;
  expect_found({.theme = "concurrency",
                .found_by = "cached prompt",
                .change_response = [&](const HttpRequest& request, HttpResponse& response) {
                  const std::lock_guard lock(mutex);
                  if (!asks(request, kCompletions, "verify-3") || seen.insert(request.body).second) return;
                  in_answers(kCompletions, "", [](json::value& answer) {
                    drop_last_letter(choice(answer).at("text"));
                  })(request, response);
                }});
}

TEST_F(MisbehavingServerTest, IsFoundOutByItsConversations) {
  expect_found({.theme = "chat", .found_by = "a stream is", .change_response = lose_event});
  expect_found({.theme = "chat",
                .found_by = "becomes Harmony",
                .change_response = in_answers("/tokenize", "call_1", [](json::value& answer) {
                  json::array& tokens = answer.at("tokens").as_array();
                  tokens.erase(tokens.begin() + static_cast<std::ptrdiff_t>(tokens.size() - 6));
                })});
  expect_found({.theme = "chat",
                .found_by = "goes back",
                .change_response = in_answers(kChat, "tool_call_id", [](json::value& answer) {
                  if (json::value* ids = answer.as_object().if_contains("prompt_token_ids"))
                    ids->as_array().at(20) = 0;
                })});
}

TEST_F(MisbehavingServerTest, IsFoundOutByItsTools) {
  expect_found({.theme = "tools",
                .found_by = "required call",
                .change_response = in_answers(kChat, "\"required\"", [](json::value& answer) {
                  json::value* calls = choice(answer).at("message").as_object().if_contains("tool_calls");
                  if (calls != nullptr) calls->at(0).at("function").at("arguments") = R"({"city": "Rome"})";
                })});
  expect_found({.theme = "tools",
                .found_by = "structured answer",
                .change_response = in_answers(kChat, "json_schema", [](json::value& answer) {
                  drop_last_letter(choice(answer).at("message").at("content"));
                })});
  expect_found({.theme = "tools",
                .found_by = "no call",
                .change_response = in_answers(kChat, "\"none\"", [](json::value& answer) {
                  choice(answer).at("message").as_object()["tool_calls"] = json::parse(R"([{"id": "x"}])");
                })});
}

TEST_F(MisbehavingServerTest, IsFoundOutByItsLimits) {
  expect_found({.theme = "limits",
                .found_by = "four keys",
                .change_response = in_answers(kCompletions, "warm", [](json::value& answer) {
                  answer.at("error").as_object().erase("param");
                })});
  expect_found({.theme = "limits",
                .found_by = "max_tokens",
                .change_response = in_answers(kCompletions, "\"max_tokens\":5", [](json::value& answer) {
                  answer.at("usage").at("completion_tokens") = 6;
                })});
  expect_found({.theme = "limits", .found_by = "stop string", .change_request = [](HttpRequest& request) {
                  if (const std::size_t at = request.body.find("\"stop\""); at != std::string::npos)
                    request.body.replace(at, 6, "\"user\"");
                }});
}

TEST_F(MisbehavingServerTest, IsFoundOutByItsRefusals) {
  expect_found({.theme = "limits",
                .found_by = "too long",
                .change_response = [](const HttpRequest& /*request*/, HttpResponse& response) {
                  if (response.body.find("context_length_exceeded") != std::string::npos)
                    response.status = 500;
                }});
  expect_found({.theme = "limits",
                .found_by = "deadline",
                .change_response = [](const HttpRequest& /*request*/, HttpResponse& response) {
                  if (response.status == 408) response.status = 500;
                }});
  std::atomic<int> pages = 0;
  expect_found({.theme = "limits",
                .found_by = "who leaves",
                .change_response = in_answers("/health", "", [&](json::value& answer) {
                  answer.at("engine").at("kv_pages_used") = pages++;
                })});
}

TEST(Verify, SaysWhatIsWrongWithItsArguments) {
  EXPECT_THAT(run_program({"verify"}).err, HasSubstr("MODEL_OR_URL"));
  EXPECT_THAT(run_program({"verify", "demo", "--only", "weather"}).err, HasSubstr("no such theme"));
  EXPECT_EQ(run_program({"verify", "http://127.0.0.1:1"}).exit_code, 1);
}

TEST(Verify, SkipsWhatThereIsNoTimeFor) {
  const VerifyRun run = verify({"demo", "--only", "needle", "--minutes", "0.01"});
  EXPECT_EQ(run.program.exit_code, kFailed) << run.program.out;  // nothing was judged
  EXPECT_THAT(verdict_on(run.report, "32,768"), HasSubstr("no time"));
}

}  // namespace
}  // namespace gossamer::test
