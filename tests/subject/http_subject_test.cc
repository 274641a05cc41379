// HttpSubject against a stub that refuses, delays, breaks off and lacks things on purpose.
#include "apps/subject/http_subject.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "tests/checkpoint/test_folder.h"
#include "tests/http/stub_server.h"

namespace gossamer::apps {
namespace {

using test::StubConnection;
using test::StubServer;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;

constexpr const char* kOneModel = R"({"data": [{"id": "m", "max_model_len": 100}]})";

// A server whose tokens are the bytes of a text, and whose other answers a test chooses.
class StubModel {
 public:
  using Handler = std::function<void(const json::object& body, StubConnection& connection)>;

  explicit StubModel(Handler completions, std::string models = kOneModel)
      : completions_(std::move(completions)),
        models_(std::move(models)),
        server_([this](const HttpRequest& request, StubConnection& connection) {
          answer(request, connection);
        }) {}

  std::string url() const { return server_.url(); }
  int num_completions() const { return num_completions_; }
  std::string key() const { return key_; }

 private:
  void answer(const HttpRequest& request, StubConnection& connection) {
    if (const auto key = request.header("authorization")) key_ = std::string(*key);
    if (request.path == "/v1/models") {
      connection.respond(200, models_);
      return;
    }
    const json::object body = parse_json(request.body, "body").as_object();
    if (request.path == "/tokenize") {
      json::array tokens;
      for (const char c : std::string_view(body.at("prompt").as_string()))
        tokens.emplace_back(static_cast<int>(c));
      connection.respond(200, json::serialize(json::object{{"tokens", std::move(tokens)}}));
    } else if (request.path.ends_with("completions")) {
      ++num_completions_;
      completions_(body, connection);
    } else {
      connection.respond(404, R"({"error": {"message": "no such path"}})");
    }
  }

  Handler completions_;
  std::string models_;
  std::atomic<int> num_completions_ = 0;
  std::string key_;
  StubServer server_;
};

SubjectOptions options_for(const StubModel& model) {
  SubjectOptions options;
  options.model.model = model.url() + "/v1";
  return options;
}

std::string event(const std::string& data) { return "data: " + data + "\n\n"; }
std::string text_event(const std::string& text, const std::string& reason = "null") {
  return event(R"({"choices": [{"index": 0, "text": ")" + text + R"(", "finish_reason": )" + reason + "}]}");
}

void send_answer(StubConnection& connection, const std::string& text) {
  connection.begin();
  connection.chunk(text_event(text) + text_event("", "\"stop\"") + event("[DONE]"));
  connection.end();
}

// An echo of one prompt or several, -1, -2, ... for its tokens, and of one more where tokens are asked for.
json::object echo_of(const json::object& body) {
  const json::array& prompt = body.at("prompt").as_array();
  json::array prompts = prompt.front().is_array() ? prompt : json::array{prompt};
  json::array choices;
  for (const json::value& ids : prompts) {
    json::array logprobs = {nullptr};
    const auto more = body.at("max_tokens").to_number<std::size_t>();
    for (std::size_t i = 1; i < ids.as_array().size() + more; ++i)
      logprobs.emplace_back(-static_cast<double>(i));
    choices.push_back(json::object{
        {"index", choices.size()}, {"text", ""}, {"logprobs", {{"token_logprobs", std::move(logprobs)}}}});
  }
  return {{"choices", std::move(choices)}};
}

std::string message_of(const std::function<void()>& action) {
  try {
    action();
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

const CompletionQuestion kQuestion = {.prompt = "abc", .max_new_tokens = 5};

TEST(HttpSubject, ChoosesTheModelThatIsMeant) {
  const auto nothing = [](const json::object&, StubConnection&) {};
  const StubModel two(nothing,
                      R"({"data": [{"id": "a", "max_model_len": 7}, {"id": "b", "max_model_len": 9}]})");
  SubjectOptions options = options_for(two);
  EXPECT_THAT(message_of([&] { HttpSubject subject(options); }),
              AllOf(HasSubstr("--model-name"), HasSubstr("a, b"), HasSubstr("found none")));
  options.endpoint.model = "c";
  EXPECT_THAT(message_of([&] { HttpSubject subject(options); }), HasSubstr("found c"));
  options.endpoint.model = "b";
  EXPECT_EQ(HttpSubject(options).max_model_len(), 9);
  options.model.max_model_len = 10;
  EXPECT_THAT(message_of([&] { HttpSubject subject(options); }), HasSubstr("--max-model-len 10"));

  const StubModel names(nothing, R"({"data": [{"id": "a", "root": "r"}, {"id": "b", "root": "r"}]})");
  options = options_for(names);
  EXPECT_THAT(message_of([&] { HttpSubject subject(options); }), HasSubstr("--max-model-len says"));
  options.model.max_model_len = 10;
  EXPECT_EQ(HttpSubject(options).identity().at("model").as_string(), "a");
}

TEST(HttpSubject, SaysWhyItCannotBegin) {
  SubjectOptions options;
  options.model.model = "http://127.0.0.1:1";
  EXPECT_THAT(message_of([&] { HttpSubject subject(options); }), HasSubstr("is the server running?"));
  const StubServer locked([](const HttpRequest&, StubConnection& connection) {
    connection.respond(401, R"({"error": {"message": "which key?"}})");
  });
  options.model.model = locked.url();
  EXPECT_THAT(message_of([&] { HttpSubject subject(options); }),
              AllOf(HasSubstr("/v1/models"), HasSubstr("401 which key?")));
}

TEST(HttpSubject, SendsTheKeyOfAFile) {
  StubModel model([](const json::object&, StubConnection& connection) { send_answer(connection, "x"); });
  const test::TestFolder folder;
  test::write_file(folder / "key", "secret\n");
  SubjectOptions options = options_for(model);
  options.endpoint.api_key_file = folder / "key";
  EXPECT_TRUE(HttpSubject(options).complete(kQuestion).ok());
  EXPECT_EQ(model.key(), "Bearer secret");
}

TEST(HttpSubject, AsksAgainWhenItIsToldTo) {
  StubModel* counted = nullptr;
  StubModel model([&counted](const json::object&, StubConnection& connection) {
    if (counted->num_completions() <= 2) {
      connection.respond(counted->num_completions() == 1 ? 429 : 503, R"({"error": {"message": "busy"}})",
                         "application/json", "Retry-After: 0\r\n");
    } else {
      send_answer(connection, "there");
    }
  });
  counted = &model;
  HttpSubject subject(options_for(model));
  const Result<CompletionAnswer> answer = subject.complete(kQuestion);
  ASSERT_TRUE(answer.ok()) << answer.error().message;
  EXPECT_EQ(answer.value().text, "there");
  EXPECT_EQ(answer.value().finish_reason, "stop");
  EXPECT_EQ(model.num_completions(), 3);
}

TEST(HttpSubject, GivesUpOnWhoIsAlwaysBusy) {
  StubModel model([](const json::object&, StubConnection& connection) {
    connection.respond(429, R"({"error": {"message": "never"}})", "application/json", "Retry-After: 0\r\n");
  });
  const Result<CompletionAnswer> answer = HttpSubject(options_for(model)).complete(kQuestion);
  ASSERT_FALSE(answer.ok());
  EXPECT_EQ(answer.error().kind, RequestErrorKind::kOverloaded);
  EXPECT_THAT(answer.error().message, AllOf(HasSubstr("429 never"), HasSubstr("asked 8 times")));
  EXPECT_EQ(model.num_completions(), EndpointClient::kMostAttempts);
}

TEST(HttpSubject, TellsQuestionsThatAreWrongFromEndpointsThatAre) {
  int status = 400;
  StubModel model([&](const json::object&, StubConnection& connection) {
    connection.respond(status, R"({"error": {"message": "no such thing"}})");
  });
  HttpSubject subject(options_for(model));
  for (status = 400; status <= 500; status += 100) {
    const Result<CompletionAnswer> answer = subject.complete(kQuestion);
    ASSERT_FALSE(answer.ok());
    EXPECT_EQ(answer.error().kind,
              status == 400 ? RequestErrorKind::kInvalid : RequestErrorKind::kOverloaded);
    EXPECT_EQ(answer.error().message,
              fmt::format("{}/v1/completions: {} no such thing", model.url(), status));
  }
}

TEST(HttpSubject, NeverTakesACutStreamForAnAnswer) {
  int kind = 0;
  StubModel model([&](const json::object&, StubConnection& connection) {
    connection.begin();
    connection.chunk(text_event("half"));
    if (kind == 0) {
      connection.reset();
    } else if (kind == 1) {
      connection.end();
    } else {
      connection.chunk(event(R"({"error": {"message": "broke"}})"));
      connection.end();
    }
  });
  HttpSubject subject(options_for(model));
  for (kind = 0; kind < 3; ++kind) {
    const Result<CompletionAnswer> answer = subject.complete(kQuestion);
    ASSERT_FALSE(answer.ok()) << kind;
    EXPECT_EQ(answer.error().kind, RequestErrorKind::kOverloaded);
    EXPECT_THAT(answer.error().message, HasSubstr(model.url()));
  }
}

TEST(HttpSubject, TakesAnAnswerWithoutText) {
  StubModel model([](const json::object&, StubConnection& connection) { send_answer(connection, ""); });
  const Result<CompletionAnswer> answer = HttpSubject(options_for(model)).complete(kQuestion);
  ASSERT_TRUE(answer.ok()) << answer.error().message;
  EXPECT_EQ(answer.value().text, "");
}

TEST(HttpSubject, TimesOut) {
  StubModel model([](const json::object&, StubConnection& connection) { connection.wait_for_end(10'000); });
  SubjectOptions options = options_for(model);
  options.endpoint.timeout_seconds = 0.2;
  const Result<CompletionAnswer> answer = HttpSubject(options).complete(kQuestion);
  ASSERT_FALSE(answer.ok());
  EXPECT_THAT(answer.error().message, HasSubstr("no whole response within 0.2 s"));
}

TEST(HttpSubject, SumsTheLogprobsOfContinuations) {
  StubModel model([](const json::object& body, StubConnection& connection) {
    connection.respond(200, json::serialize(echo_of(body)));
  });
  const Result<LikelihoodAnswer> answer =
      HttpSubject(options_for(model)).loglikelihood({.context = "abc", .continuations = {"d", "de"}});
  ASSERT_TRUE(answer.ok()) << answer.error().message;
  EXPECT_THAT(answer.value().logprobs, ElementsAre(-3.0, -7.0));
  EXPECT_EQ(answer.value().num_context_tokens, 3);
  EXPECT_EQ(model.num_completions(), 1);
}

TEST(HttpSubject, AsksForATokenWhereNoneIsRefused) {
  StubModel model([](const json::object& body, StubConnection& connection) {
    if (body.at("max_tokens") == 0) {
      connection.respond(400, R"({"error": {"message": "max_tokens: at least 1"}})");
    } else {
      connection.respond(200, json::serialize(echo_of(body)));
    }
  });
  HttpSubject subject(options_for(model));
  for (int i = 0; i < 2; ++i) {
    const Result<LikelihoodAnswer> answer = subject.loglikelihood({.context = "abc", .continuations = {"d"}});
    ASSERT_TRUE(answer.ok()) << answer.error().message;
    EXPECT_THAT(answer.value().logprobs, ElementsAre(-3.0));
  }
  EXPECT_EQ(model.num_completions(), 3);
}

TEST(HttpSubject, NamesWhatAnEndpointLacks) {
  StubModel model([](const json::object&, StubConnection& connection) {
    connection.respond(200, R"({"choices": [{"index": 0, "text": "abc", "logprobs": null}]})");
  });
  HttpSubject subject(options_for(model));
  const auto likelihood = subject.loglikelihood({.context = "abc", .continuations = {"d"}});
  ASSERT_FALSE(likelihood.ok());
  EXPECT_EQ(likelihood.error().kind, RequestErrorKind::kOverloaded);
  EXPECT_THAT(likelihood.error().message, HasSubstr("echo, logprobs"));
  const std::vector<int32_t> ids = {1, 2};
  EXPECT_THAT(subject.score_tokens(ids, 3).error().message, HasSubstr("return_tokens_as_token_ids"));
  EXPECT_THAT(subject.last_hidden(ids).error().message, HasSubstr("return_hidden_states"));
  EXPECT_THAT(message_of([&] { (void)subject.decode(ids); }),
              AllOf(HasSubstr("/detokenize: 404 no such path"), HasSubstr("--tokenizer")));
}

TEST(HttpSubject, StopsWhatWaits) {
  StubModel model([](const json::object&, StubConnection& connection) {
    connection.respond(503, "{}", "application/json", "Retry-After: 30\r\n");
  });
  HttpSubject retrying(options_for(model));
  StubModel silent([](const json::object&, StubConnection& connection) { connection.wait_for_end(20'000); });
  HttpSubject waiting(options_for(silent));
  std::vector<std::thread> threads;
  std::atomic<int> num_cancelled = 0;
  for (HttpSubject* subject : {&retrying, &waiting}) {
    threads.emplace_back([&num_cancelled, subject] {
      const Result<CompletionAnswer> answer = subject->complete(kQuestion);
      if (!answer.ok() && answer.error().kind == RequestErrorKind::kCancelled) ++num_cancelled;
    });
  }
  const auto start = std::chrono::steady_clock::now();
  while (model.num_completions() == 0 || silent.num_completions() == 0) std::this_thread::yield();
  retrying.stop();
  waiting.stop();
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(num_cancelled, 2);
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(10));
  EXPECT_EQ(waiting.complete(kQuestion).error().kind, RequestErrorKind::kCancelled);
}

}  // namespace
}  // namespace gossamer::apps
