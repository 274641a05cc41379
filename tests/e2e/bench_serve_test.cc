// gossamer bench serve against a stub that is slow, wrong and rude on purpose: the figures must be those of
// what the stub did.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <map>
#include <mutex>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "tests/checkpoint/test_folder.h"
#include "tests/e2e/program.h"
#include "tests/http/stub_server.h"

namespace gossamer::test {
namespace {

using namespace std::chrono_literals;
using testing::AllOf;
using testing::Ge;
using testing::HasSubstr;
using testing::Le;
using testing::Not;
using Clock = std::chrono::steady_clock;

double milliseconds_since(Clock::time_point start) {
  return std::chrono::duration<double, std::milli>(Clock::now() - start).count();
}

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return (values[(values.size() - 1) / 2] + values[values.size() / 2]) / 2;
}

std::string event(const json::value& value) { return "data: " + json::serialize(value) + "\n\n"; }
const std::string kDone = "data: [DONE]\n\n";

json::object choice_chunk(json::object delta, json::value reason = nullptr) {
  return {{"object", "chat.completion.chunk"},
          {"choices", {{{"index", 0}, {"delta", std::move(delta)}, {"finish_reason", std::move(reason)}}}}};
}
std::string role() { return event(choice_chunk({{"role", "assistant"}, {"content", ""}})); }
std::string text(const std::string& content) { return event(choice_chunk({{"content", content}})); }
std::string stop() { return event(choice_chunk({}, "stop")); }
std::string usage(int prompt, int tokens) {
  return event(json::object{{"choices", json::array()},
                            {"usage", {{"prompt_tokens", prompt}, {"completion_tokens", tokens}}}});
}

// Answers what every server answers; chat requests go to `chat`, with their JSON.
class StubModel {
 public:
  using Chat = std::function<void(const json::object& body, StubConnection& connection)>;
  explicit StubModel(Chat chat, bool tls = false)
      : chat_(std::move(chat)),
        server_([this](const auto& request, auto& connection) { answer(request, connection); }, tls) {}

  std::string url() const { return server_.url(); }
  int num_chats() const { return num_chats_; }
  int num_rejected() const { return num_rejected_; }

 private:
  void answer(const HttpRequest& request, StubConnection& connection) {
    if (request.path == "/v1/models") {
      connection.respond(200, R"({"object": "list", "data": [{"id": "stub-model"}]})");
      return;
    }
    if (request.path != "/v1/chat/completions" || request.header("x-large")) {
      connection.respond(request.header("x-large") ? 431 : 404, R"({"error": {"message": "no"}})");
      return;
    }
    boost::system::error_code error;
    const json::value body = json::parse(request.body, error);
    if (error || !is_right(body)) {
      ++num_rejected_;
      connection.respond(400, R"({"error": {"message": "bad request"}})");
      return;
    }
    ++num_chats_;
    chat_(body.get_object(), connection);
  }

  static bool is_right(const json::value& body) {
    const json::object* fields = body.if_object();
    if (fields == nullptr || !fields->contains("messages") || !fields->at("messages").is_array())
      return false;
    if (!fields->at("max_tokens").is_int64() || fields->at("max_tokens").get_int64() < 1) return false;
    const json::value* temperature = fields->if_contains("temperature");
    return temperature == nullptr || temperature->to_number<double>() <= 2.0;
  }

  Chat chat_;
  std::atomic<int> num_chats_ = 0;
  std::atomic<int> num_rejected_ = 0;
  StubServer server_;
};

// A whole answer at once: so many tokens, one an event.
void answer_at_once(StubConnection& connection, int tokens) {
  connection.begin();
  connection.chunk(role());
  for (int i = 0; i < tokens; ++i) connection.chunk(text("word "));
  connection.chunk(stop() + usage(7, tokens) + kDone);
  connection.end();
}

struct Measured {
  ProgramRun run;
  json::object report;
  const json::object& level(std::size_t index = 0) const {
    return report.at("results").at(index).get_object();
  }
  double figure(const char* latency, const char* which) const {
    return level().at(latency).at(which).to_number<double>();
  }
};

Measured measure(const std::string& url, Arguments more) {
  const fs::path file = fs::temp_directory_path() / fmt::format("gossamer_bench_serve_{}.json", ::getpid());
  Arguments arguments = {"bench", "serve", "--url", url, "--json", file};
  arguments.insert(arguments.end(), more.begin(), more.end());
  Measured measured{.run = run_program(arguments), .report = {}};
  if (fs::exists(file)) measured.report = read_json_file(file).as_object();
  fs::remove(file);
  return measured;
}

TEST(BenchServe, LatenciesAreThoseOfTheServer) {
  constexpr int kTokens = 20;
  std::mutex mutex;
  std::vector<double> first_ms;
  std::vector<double> rest_ms;
  StubModel stub([&](const json::object& body, StubConnection& connection) {
    const Clock::time_point start = Clock::now();
    connection.begin();
    connection.chunk(role());  // no token
    std::this_thread::sleep_for(150ms);
    const double first = milliseconds_since(start);
    // A thinking model's first token is one of reasoning, here under both names.
    connection.chunk(event(choice_chunk({{"reasoning", "Hm"}, {"reasoning_content", "Hm"}})));
    for (int i = 1; i < kTokens; ++i) {
      std::this_thread::sleep_for(15ms);
      connection.chunk(text("word "));
    }
    EXPECT_EQ(body.at("model"), "stub-model");
    EXPECT_EQ(body.at("max_tokens"), 20);
    EXPECT_EQ(body.at("stream_options").at("include_usage"), true);
    {
      const std::lock_guard lock(mutex);
      first_ms.push_back(first);
      rest_ms.push_back(milliseconds_since(start) - first);
    }
    connection.chunk(stop() + usage(7, kTokens) + kDone);
    connection.end();
  });
  const Measured measured =
      measure(stub.url() + "/v1/chat/completions", {"-n", "12", "-c", "4", "--warmup", "0", "--max-tokens",
                                                    "20", "--slo-ttft", "100", "--slo-e2e", "60000"});
  ASSERT_EQ(measured.run.exit_code, 0) << measured.run.err;
  ASSERT_EQ(first_ms.size(), 12U);
  const double ttft = median(first_ms);
  const double tpot = median(rest_ms) / (kTokens - 1);
  const json::object& level = measured.level();
  EXPECT_EQ(level.at("completed"), 12);
  EXPECT_EQ(level.at("failed"), 0);
  EXPECT_EQ(level.at("output_tokens"), 12 * kTokens);
  EXPECT_EQ(level.at("prompt_tokens"), 12 * 7);
  EXPECT_EQ(level.at("most_at_once"), 4);
  EXPECT_EQ(level.at("connections"), 3);  // one is left from asking for the model
  // Medians, 10 % and 15 ms, for a machine that has other things to do.
  EXPECT_NEAR(measured.figure("ttft_ms", "p50"), ttft, 0.1 * ttft + 15);
  EXPECT_NEAR(measured.figure("tpot_ms", "p50"), tpot, 0.1 * tpot + 2);
  EXPECT_NEAR(measured.figure("itl_ms", "mean"), measured.figure("tpot_ms", "mean"), 1.0);
  EXPECT_NEAR(measured.figure("e2e_ms", "p50"), ttft + median(rest_ms), 0.1 * (ttft + median(rest_ms)));
  EXPECT_GE(measured.figure("ttft_ms", "min"), 150.0);
  EXPECT_GE(measured.figure("itl_ms", "p50"), 14.0);
  EXPECT_EQ(level.at("good"), 0);  // none had its first token within 100 ms
  const double seconds = level.at("duration_s").to_number<double>();
  EXPECT_NEAR(level.at("qps").to_number<double>(), 12 / seconds, 1e-9);
  EXPECT_NEAR(level.at("throughput_tokens_per_s").to_number<double>(), 12 * kTokens / seconds, 1e-6);
}

// Every way of going wrong, each twice, among answers that are right.
TEST(BenchServe, CountsEveryFailureOnceAndByItsKind) {
  using Fault = std::function<void(StubConnection&)>;
  const auto streamed = [](const std::string& bytes, bool is_ended = true) -> Fault {
    return [=](StubConnection& connection) {
      connection.begin();
      connection.chunk(bytes);
      if (is_ended) {
        connection.end();
      } else {
        connection.close();
      }
    };
  };
  const auto status = [](int number) -> Fault {
    return [=](StubConnection& connection) { connection.respond(number, R"({"error": {"message": "x"}})"); };
  };
  const std::string some = role() + text("a") + text("b");
  const std::vector<Fault> faults = {
      [](StubConnection& connection) { answer_at_once(connection, 5); },
      status(500),
      status(503),
      status(429),
      status(429),
      status(404),
      streamed(some, false),                  // broken: closed in mid-stream
      streamed(some + stop() + usage(1, 2)),  // broken: no [DONE]
      streamed(some + kDone),                 // broken: no finish_reason
      streamed(some + "data: {\"cho"),        // broken: half an event, then the end
      [&](StubConnection& connection) {       // broken: reset
        connection.begin();
        connection.chunk(some);
        std::this_thread::sleep_for(30ms);
        connection.reset();
      },
      [](StubConnection& connection) { connection.close(); },  // broken: not one byte
      streamed(some + "data: {not json}\n\n" + stop() + kDone),
      streamed(some + event(json::object{{"foo", 1}}) + stop() + kDone),
      streamed(some + event(json::object{{"error", {{"message", "out of memory"}}}}) + kDone),
      streamed(role() + stop() + usage(1, 0) + kDone),  // empty
      [](StubConnection& connection) { connection.respond(200, R"({"choices": []})"); },
      [](StubConnection& connection) {  // never
        connection.begin();
        connection.chunk(role());
        connection.wait_for_end(20'000);
        connection.close();
      }};
  std::atomic<std::size_t> next = 0;
  StubModel stub(
      [&](const json::object&, StubConnection& connection) { faults[next++ % faults.size()](connection); });
  const Measured measured = measure(
      stub.url(), {"-n", std::to_string(2 * faults.size()), "-c", "6", "--warmup", "0", "--timeout", "3"});
  EXPECT_EQ(measured.run.exit_code, 1);  // there were 5xx
  EXPECT_THAT(measured.run.err, HasSubstr("6 server errors"));
  const json::object& level = measured.level();
  EXPECT_EQ(level.at("completed"), 2);
  EXPECT_EQ(level.at("failed"), 34);
  EXPECT_EQ(level.at("errors"), json::value({{"timeout", 2},
                                             {"status", 10},
                                             {"broken", 12},
                                             {"bad_event", 6},
                                             {"error_event", 2},
                                             {"empty", 2}}));
  EXPECT_EQ(level.at("status_5xx"), 4);
  EXPECT_EQ(level.at("status_429"), 4);
  EXPECT_EQ(level.at("output_tokens"), 10);
  EXPECT_THAT(measured.run.out, AllOf(HasSubstr("12 broken"), HasSubstr("5xx: 4, 429: 4")));
}

TEST(BenchServe, TakesNoConnectionForAnError) {
  std::string url;
  {
    const StubModel stub([](const json::object&, StubConnection&) {});
    url = stub.url();
  }
  const Measured measured = measure(url, {"--model", "m", "-n", "3", "--warmup", "0"});
  EXPECT_EQ(measured.run.exit_code, 1);
  EXPECT_THAT(measured.run.err, HasSubstr("not one answer was whole"));
  EXPECT_EQ(measured.level().at("errors"), json::value({{"connect", 3}}));
  const ProgramRun asked = run_program({"bench", "serve", "--url", url});
  EXPECT_EQ(asked.exit_code, 1);
  EXPECT_THAT(asked.err, AllOf(HasSubstr("Connection refused"), HasSubstr("is the server running")));
}

// Ten events of four tokens, 40 ms apart: a token every 10 ms, however the server packs them.
TEST(BenchServe, SpreadsWhatComesTogether) {
  enum Packing { kLongEvents, kManyEventsAWrite, kTokenIds, kRunningUsage };
  for (const Packing packing : {kLongEvents, kManyEventsAWrite, kTokenIds, kRunningUsage}) {
    std::mutex mutex;
    double gap_ms = 0.0;  // of all answers, between the tokens of an even stream
    StubModel stub([&](const json::object&, StubConnection& connection) {
      connection.begin();
      const Clock::time_point start = Clock::now();
      for (int i = 1; i <= 10; ++i) {
        json::object chunk = choice_chunk({{"content", packing == kManyEventsAWrite ? "a " : "a b c d "}});
        if (packing == kTokenIds) chunk["choices"].at(0).get_object()["token_ids"] = {1, 2, 3, 4};
        if (packing == kRunningUsage)
          chunk["usage"] = json::object{{"prompt_tokens", 3}, {"completion_tokens", 4 * i}};
        std::string bytes = event(chunk);
        if (packing == kManyEventsAWrite) bytes = bytes + bytes + bytes + bytes;
        if (i > 1) std::this_thread::sleep_for(40ms);
        connection.chunk(bytes);
      }
      {
        const std::lock_guard lock(mutex);
        gap_ms += milliseconds_since(start) / 36 / 4;
      }
      connection.chunk(stop() + usage(3, 40) + kDone);
      connection.end();
    });
    const Measured measured = measure(stub.url(), {"-n", "4", "-c", "2", "--warmup", "0"});
    ASSERT_EQ(measured.run.exit_code, 0) << measured.run.err;
    EXPECT_EQ(measured.level().at("output_tokens"), 160);
    EXPECT_NEAR(measured.figure("itl_ms", "mean"), gap_ms, 0.2 * gap_ms) << packing;
    EXPECT_THAT(measured.figure("itl_ms", "p50"), AllOf(Ge(7.0), Le(25.0))) << packing;  // neither 0 nor 40
    EXPECT_THAT(measured.level().at("coalesced_share").to_number<double>(), AllOf(Ge(0.7), Le(0.98)))
        << packing;
    EXPECT_THAT(measured.run.out, HasSubstr("came along with another")) << packing;
  }
}

TEST(BenchServe, FindsAnswersThatDiffer) {
  std::mutex mutex;
  std::map<std::string, int> asked;
  std::atomic<int> wrong = 0;
  StubModel stub([&](const json::object& body, StubConnection& connection) {
    EXPECT_EQ(body.at("temperature").to_number<double>(), 0.0);
    const std::string prompt = json::serialize(body.at("messages"));
    bool is_wrong = false;
    {
      const std::lock_guard lock(mutex);
      is_wrong = ++asked[prompt] % 5 == 0;
    }
    if (is_wrong) ++wrong;
    connection.begin();
    connection.chunk(text("The answer is ") + text(is_wrong ? "43" : "42") + stop() + usage(1, 2) + kDone);
    connection.end();
  });
  const Measured measured =
      measure(stub.url(), {"-n", "60", "-c", "8", "--check-repeat", "--num-prompts", "6", "--warmup", "0"});
  EXPECT_EQ(measured.run.exit_code, 1);
  EXPECT_EQ(asked.size(), 6U);
  ASSERT_GT(wrong, 0);
  EXPECT_THAT(measured.run.err, HasSubstr("answers that differ"));
  EXPECT_EQ(measured.level().at("errors").at("mismatch"), wrong.load());
  EXPECT_EQ(measured.level().at("completed"), 60 - wrong);
  EXPECT_THAT(measured.run.out, HasSubstr("answer is 43"));
}

TEST(BenchServe, BadClientsAreSentAndTheServersAnswersToThemJudged) {
  std::atomic<int> finished = 0;
  StubModel stub([&](const json::object&, StubConnection& connection) {
    connection.begin();
    for (int i = 0; i < 40; ++i) {
      if (!connection.chunk(text("word "))) return connection.close();
      std::this_thread::sleep_for(5ms);
    }
    ++finished;
    connection.chunk(stop() + usage(7, 40) + kDone);
    connection.end();
  });
  const Measured rude = measure(stub.url(), {"-n", "80", "-c", "16", "--warmup", "0", "--vanish", "0.5",
                                             "--garbage", "0.4", "--check-repeat", "--num-prompts", "2"});
  ASSERT_EQ(rude.run.exit_code, 0) << rude.run.err << rude.run.out;
  const json::object& level = rude.level();
  const auto count = [](const json::value& value) { return value.to_number<int64_t>(); };
  const json::object& garbage = level.at("garbage").get_object();
  EXPECT_GT(count(level.at("vanished")), 5);
  EXPECT_GT(count(garbage.at("sent")), 15);
  EXPECT_EQ(garbage.at("taken"), 0);
  EXPECT_EQ(count(garbage.at("refused")) + count(garbage.at("closed")), count(garbage.at("sent")));
  EXPECT_GT(stub.num_rejected(), 0);
  EXPECT_EQ(count(level.at("completed")) + count(level.at("vanished")) + count(garbage.at("sent")), 80);
  EXPECT_EQ(level.at("failed"), 0);
  EXPECT_LE(count(level.at("completed")) + 2, finished);  // two alone

  // A server that takes anything, and one that falls over.
  for (const int status : {200, 500}) {
    StubServer bad([&](const HttpRequest&, StubConnection& connection) {
      connection.respond(status, "{}", "application/json", "Connection: close\r\n");
      connection.wait_for_end(1000);
      connection.close();
    });
    const Measured taken =
        measure(bad.url(), {"--model", "m", "-n", "12", "--warmup", "0", "--garbage", "1"});
    EXPECT_EQ(taken.run.exit_code, 1);
    EXPECT_THAT(taken.run.err, HasSubstr("broken requests that were not refused"));
    EXPECT_GE(count(taken.level().at("garbage").at("taken")), 9);
    EXPECT_GE(count(taken.level().at("status_5xx")), status == 500 ? 9 : 0);
  }
}

TEST(BenchServe, AnOpenLoopDoesNotWaitForAnswers) {
  StubModel stub([&](const json::object&, StubConnection& connection) {
    std::this_thread::sleep_for(200ms);
    answer_at_once(connection, 3);
  });
  const Measured open =
      measure(stub.url(), {"-n", "40", "--request-rate", "100", "--warmup", "0", "--seed", "3"});
  ASSERT_EQ(open.run.exit_code, 0) << open.run.err;
  EXPECT_EQ(open.level().at("completed"), 40);
  EXPECT_GT(open.level().at("most_at_once").to_number<int>(), 8);     // 20 on average
  EXPECT_LT(open.level().at("duration_s").to_number<double>(), 4.0);  // one after the other: 8
  // One at a time: requests wait from when they were due, and that counts.
  const Measured limited =
      measure(stub.url(), {"-n", "10", "--request-rate", "100", "-c", "1", "--warmup", "0", "--seed", "3"});
  ASSERT_EQ(limited.run.exit_code, 0) << limited.run.err;
  EXPECT_EQ(limited.level().at("most_at_once"), 1);
  EXPECT_GT(limited.figure("ttft_ms", "max"), 1500.0);
}

TEST(BenchServe, DurationEndsIt) {
  StubModel stub([&](const json::object&, StubConnection& connection) {
    std::this_thread::sleep_for(20ms);
    answer_at_once(connection, 3);
  });
  const Measured measured = measure(stub.url(), {"--duration", "1", "-c", "4"});
  ASSERT_EQ(measured.run.exit_code, 0) << measured.run.err;
  EXPECT_THAT(measured.level().at("duration_s").to_number<double>(), AllOf(Ge(0.9), Le(3.0)));
  EXPECT_EQ(measured.level().at("completed").to_number<int>() + 1, stub.num_chats());
}

TEST(BenchServe, SweepsIntoOneTableAndAPage) {
  StubModel stub([&](const json::object&, StubConnection& connection) { answer_at_once(connection, 10); });
  const TestFolder folder;
  const ProgramRun run =
      run_program({"bench", "serve", "--url", stub.url(), "-n", "8", "--concurrency", "1,4,8", "--slo-ttft",
                   "10000", "--output", folder / "r.json", "--html", folder / "r.html"});
  ASSERT_EQ(run.exit_code, 0) << run.err;
  EXPECT_THAT(run.out, AllOf(HasSubstr("TTFT mean"), HasSubstr("\nconcurrency 8 "), HasSubstr("goodput")));
  const json::value report = read_json_file(folder / "r.json");
  ASSERT_EQ(report.at("results").as_array().size(), 3U);
  EXPECT_EQ(report.at("results").at(2).at("concurrency"), 8);
  EXPECT_EQ(report.at("results").at(2).at("good"), 8);
  EXPECT_EQ(report.at("verdict"), "");
  const std::string page = read_file(folder / "r.html");
  EXPECT_THAT(page, AllOf(HasSubstr("<svg"), HasSubstr("concurrency 4"), HasSubstr("</html>")));
  EXPECT_THAT(page, AllOf(Not(HasSubstr("<script")), Not(HasSubstr("src="))));
}

TEST(BenchServe, PromptsAreAsLongAsAskedAndFilesAreSentAsTheyAre) {
  std::mutex mutex;
  std::vector<std::string> sent;
  const auto tokens_of = [](const std::string& words) {  // one for each three letters, and one to begin with
    int64_t count = 1;
    std::istringstream stream(words);
    for (std::string word; stream >> word;) count += (static_cast<int64_t>(word.size()) + 2) / 3;
    return count;
  };
  StubServer stub([&](const HttpRequest& request, StubConnection& connection) {
    const json::value body = json::parse(request.body);
    if (request.path == "/tokenize") {
      const auto count = tokens_of(body.at("prompt").as_string().c_str());
      connection.respond(200, json::serialize(json::object{{"count", count}}));
      return;
    }
    if (!request.path.ends_with("completions")) {
      connection.respond(404, "{}");
      return;
    }
    EXPECT_EQ(request.header("authorization"), "Bearer secret");
    {
      const std::lock_guard lock(mutex);
      sent.push_back(request.path == "/x/v1/completions" ? body.at("prompt").as_string().c_str()
                                                         : json::serialize(body.at("messages")));
    }
    const std::string path = request.path;
    connection.begin();
    connection.chunk(path == "/v1/chat/completions"
                         ? text("ok") + stop() + kDone
                         : event(json::object{{"choices", {{{"text", "ok"}, {"finish_reason", "length"}}}}}) +
                               kDone);
    connection.end();
  });
  const Measured words =
      measure(stub.url() + "/x/v1/", {"--endpoint", "completions", "--model", "m", "-n", "20", "-c", "4",
                                      "--input-len", "50", "--api-key", "secret", "--warmup", "0"});
  // There is no /x/tokenize.
  ASSERT_EQ(words.run.exit_code, 0) << words.run.err;
  EXPECT_THAT(words.run.out, AllOf(HasSubstr("this server has no /tokenize"), HasSubstr("without a usage")));
  sent.clear();
  const TestFolder folder;
  write_file(folder / "p.jsonl",
             "{\"prompt\": \"one\"}\n\n{\"messages\": [{\"role\": \"system\", \"content\": \"s\"}]}\n");
  write_file(folder / "g.json",
             "[{\"conversations\": [{\"from\": \"human\", \"value\": \"hi\"}, {\"from\": \"gpt\", \"value\": "
             "\"x\"}]},"
             " {\"conversations\": [{\"from\": \"gpt\", \"value\": \"no\"}]}, {\"conversations\": []}]");
  const Arguments same = {"--model", "m", "--api-key", "secret", "--warmup", "0", "-c", "1"};
  for (const auto& [file, count] : {std::pair{"p.jsonl", "3"}, {"g.json", "1"}}) {
    Arguments arguments = same;
    arguments.insert(arguments.end(), {"--prompts", folder / file, "-n", count});
    const Measured measured = measure(stub.url(), arguments);
    ASSERT_EQ(measured.run.exit_code, 0) << measured.run.err;
  }
  EXPECT_THAT(sent, testing::ElementsAre(
                        R"([{"role":"user","content":"one"}])", R"([{"role":"system","content":"s"}])",
                        R"([{"role":"user","content":"one"}])", R"([{"role":"user","content":"hi"}])"));
  sent.clear();
  Arguments random = same;
  random.insert(random.end(), {"--input-len", "50", "-n", "20"});
  const Measured counted = measure(stub.url(), random);
  ASSERT_EQ(counted.run.exit_code, 0) << counted.run.err;
  EXPECT_THAT(counted.run.out, HasSubstr("50 tokens as the server's /tokenize counts"));
  EXPECT_EQ(std::set<std::string>(sent.begin(), sent.end()).size(), 20U);
  for (const std::string& messages : sent) {
    const json::value content = json::parse(messages).at(0).at("content");
    EXPECT_EQ(tokens_of(content.as_string().c_str()), 1 + 50);
  }
}

TEST(BenchServe, SaysWhatIsWrongWithItsOptions) {
  const TestFolder folder;
  write_file(folder / "bad.jsonl", "{\"prompt\": \"x\"}\n{\"text\": 1}\n");
  write_file(folder / "empty.jsonl", "\n");
  const auto error_of = [](Arguments arguments) {
    arguments.insert(arguments.begin(), {"bench", "serve", "--model", "m"});
    const ProgramRun run = run_program(arguments);
    EXPECT_NE(run.exit_code, 0);
    return run.err;
  };
  EXPECT_THAT(error_of({"--url", "localhost"}), HasSubstr("expected http://HOST"));
  EXPECT_THAT(error_of({"--prompts", folder / "bad.jsonl"}),
              AllOf(HasSubstr("bad.jsonl:2: expected"), HasSubstr("\"messages\"")));
  EXPECT_THAT(error_of({"--prompts", folder / "empty.jsonl"}), HasSubstr("found none"));
  EXPECT_THAT(error_of({"--extra-body", "[]"}), HasSubstr("expected a JSON object"));
  EXPECT_THAT(error_of({"--request-rate", "1", "-c", "1,2"}), HasSubstr("at most one number"));
  EXPECT_THAT(error_of({"--vanish", "0.7", "--garbage", "0.7"}), HasSubstr("together at most 1"));
  EXPECT_THAT(error_of({"--json", "/no/such/folder/x"}), HasSubstr("cannot write"));
  const StubModel stub([](const json::object&, StubConnection& connection) {
    connection.respond(401, R"({"error": {"message": "a key is needed"}})");
  });
  EXPECT_THAT(error_of({"--url", stub.url()}),
              AllOf(HasSubstr("to warm up with"), HasSubstr("a key is needed")));
  const StubModel secret(
      [](const json::object&, StubConnection& connection) { answer_at_once(connection, 2); }, true);
  EXPECT_THAT(error_of({"--url", secret.url()}), HasSubstr("certificate verify failed"));
  EXPECT_EQ(run_program({"bench", "serve", "--url", secret.url(), "--insecure", "-n", "3"}).exit_code, 0);
}

// Events that come one by one, each with its own read where the machine keeps up. CPU time, not time: the
// machine may have other things to do.
TEST(BenchServe, TakesTenThousandEventsASecondOnOneCore) {
  constexpr int kTokens = 200;
  StubModel stub([](const json::object&, StubConnection& connection) {
    connection.begin();
    for (int i = 0; i < kTokens; ++i) {
      connection.chunk(text("word "));
      std::this_thread::sleep_for(1ms);
    }
    connection.chunk(stop() + usage(7, kTokens) + kDone);
    connection.end();
  });
  const Measured measured = measure(stub.url(), {"-n", "128", "-c", "64", "--warmup", "0"});
  ASSERT_EQ(measured.run.exit_code, 0) << measured.run.err;
  EXPECT_EQ(measured.level().at("client_events"), 128 * kTokens);
  const double per_second = 128 * kTokens / measured.level().at("client_cpu_s").to_number<double>();
  RecordProperty("events_per_cpu_second", std::to_string(per_second));
  EXPECT_GE(per_second, 10'000.0);
}

}  // namespace
}  // namespace gossamer::test
