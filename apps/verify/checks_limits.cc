// gossamer verify, limits: lengths are kept, errors say what is wrong, and who goes away frees what he held.
#include <algorithm>
#include <chrono>
#include <string>
#include <thread>

#include "apps/verify/check.h"
#include "apps/verify/deployment.h"

namespace gossamer::apps {
namespace {

constexpr const char* kCompletions = "/v1/completions";

json::object completion(const Deployment& deployment, int64_t max_tokens) {
  json::object body = deployment.request();
  body["prompt"] = "The capital of France is";
  body["max_tokens"] = max_tokens;
  body["temperature"] = 0;
  return body;
}

Reply ask(Deployment& deployment, const json::object& body) {
  Reply reply = deployment.post(kCompletions, body);
  if (reply.is_missing()) skip("the endpoint has no {}", kCompletions);
  expect(reply.ok(), "{}: expected an answer, found {}", kCompletions, reply.describe());
  return reply;
}

// {"error": {"message", "type", "param", "code"}}
void expect_error(const Reply& reply, const std::string& what, int status) {
  expect(reply.status == status, "{}: expected status {}, found {}", what, status, reply.describe());
  for (const char* key : {"message", "type", "param", "code"}) {
    expect(find(reply.json, fmt::format("/error/{}", key)) != nullptr,
           "{}: expected an error with \"{}\", found {}", what, key, shown(reply.body));
  }
}

CheckResult errors_have_four_keys(Deployment& deployment) {
  constexpr int kBadRequest = 400;
  constexpr int kNotFound = 404;
  json::object other_model = completion(deployment, 1);
  other_model["model"] = "no-such-model-of-gossamer-verify";
  const Reply missing_model = deployment.post(kCompletions, other_model);
  if (missing_model.is_missing() && find(missing_model.json, "/error") == nullptr)
    skip("the endpoint has no {}", kCompletions);
  expect_error(missing_model, "a model that is not served", kNotFound);
  json::object no_number = completion(deployment, 1);
  no_number["temperature"] = "warm";
  expect_error(deployment.post(kCompletions, no_number), "temperature \"warm\"", kBadRequest);
  expect_error(deployment.post(kCompletions, completion(deployment, -1)), "max_tokens -1", kBadRequest);
  expect_error(deployment.post("/v1/chat/completions", deployment.request()),
               "a conversation without messages", kBadRequest);
  expect_error(deployment.post_text(kCompletions, "{\"prompt\": "), "half a body", kBadRequest);
  return {.reason = "5 wrong requests, each answered with message, type, param and code"};
}

CheckResult max_tokens_are_kept(Deployment& deployment) {
  std::string seen;
  for (const int64_t max_tokens : {1, 5, 17}) {
    const Reply reply = ask(deployment, completion(deployment, max_tokens));
    const auto count = integer_at(reply.json, "/usage/completion_tokens");
    const auto finish = text_at(reply.json, "/choices/0/finish_reason");
    expect(count && finish, "expected usage and finish_reason, found {}", shown(reply.body));
    expect(*finish == "length" ? *count == max_tokens : *count <= max_tokens,
           "max_tokens {}: found {} tokens, finish_reason {}", max_tokens, *count, *finish);
    seen += fmt::format("{}{} of {} ({})", seen.empty() ? "" : ", ", *count, max_tokens, *finish);
  }
  return {.reason = seen};
}

CheckResult stop_strings_end_the_text(Deployment& deployment) {
  const Reply whole = ask(deployment, completion(deployment, 24));
  const std::string text = text_at(whole.json, "/choices/0/text").value_or("");
  // Some characters from the middle, none of them half of one.
  const std::size_t begin = text.find(' ', text.size() / 3);
  constexpr std::size_t kLength = 4;
  if (begin == std::string::npos || begin + kLength > text.size())
    skip("the answer, {}, is too short to stop in it", shown(text));
  const std::string stop = text.substr(begin, kLength);
  for (const char c : stop) {
    if (static_cast<unsigned char>(c) >= 0x80) skip("the answer, {}, is no ASCII", shown(text));
  }
  json::object body = completion(deployment, 24);
  body["stop"] = stop;
  const Reply reply = ask(deployment, body);
  const std::string expected = text.substr(0, text.find(stop));
  const std::string found = text_at(reply.json, "/choices/0/text").value_or("");
  expect(found == expected, "stop \"{}\": expected \"{}\", found \"{}\"", stop, shown(expected),
         shown(found));
  const std::string finish = text_at(reply.json, "/choices/0/finish_reason").value_or("");
  expect(finish == "stop", "stop \"{}\": expected finish_reason stop, found {}", stop, finish);
  return {.reason = fmt::format("stopped in front of \"{}\"", stop)};
}

CheckResult overflow_is_refused(Deployment& deployment) {
  const int64_t limit = deployment.max_model_len();
  if (limit == 0) skip("the endpoint does not tell how long a sequence may be");
  json::object body = completion(deployment, 8);
  json::array ids;
  const std::vector<int32_t> some =
      deployment.has_tokenize() ? deployment.encode("a few words") : std::vector<int32_t>{1, 2, 3};
  for (int64_t i = 0; i < limit + 8; ++i) ids.emplace_back(some[static_cast<std::size_t>(i) % some.size()]);
  body["prompt"] = std::move(ids);
  const Reply reply = deployment.post(kCompletions, body);
  if (reply.is_missing()) skip("the endpoint has no {}", kCompletions);
  expect_error(reply, fmt::format("a prompt of {} tokens", limit + 8), 400);
  const std::string code = text_at(reply.json, "/error/code").value_or("");
  expect(!deployment.is_ours() || code == "context_length_exceeded",
         "expected the code context_length_exceeded, found {}", code);
  const Reply after = ask(deployment, completion(deployment, 1));
  return {.reason = fmt::format("{} tokens where {} fit: 400{}{}", limit + 8, limit, code.empty() ? "" : ", ",
                                code)};
}

// As many tokens as fit, whatever the model would say.
json::object endless(const Deployment& deployment) {
  json::object body = completion(deployment, std::max<int64_t>(64, deployment.max_model_len() - 64));
  body["ignore_eos"] = true;
  return body;
}

CheckResult deadlines_are_kept(Deployment& deployment) {
  if (!deployment.is_ours()) skip("X-Request-Timeout is Gossamer's own");
  using Clock = std::chrono::steady_clock;
  const Clock::time_point start = Clock::now();
  const Reply reply = deployment.post(kCompletions, endless(deployment), {{"X-Request-Timeout", "0.2"}});
  const double seconds = std::chrono::duration<double>(Clock::now() - start).count();
  constexpr double kMuchLater = 1.0;
  if (reply.ok() && seconds < kMuchLater)
    skip("the longest answer that fits took {:.2f} s: too short for a deadline", seconds);
  expect_error(reply, "a deadline of 0.2 s", 408);
  return {.reason = fmt::format("0.2 s: 408 after {:.2f} s", seconds), .figures = {{"seconds", seconds}}};
}

// /health of our server.
struct Load {
  int64_t calls = 0;
  int64_t running = 0;
  int64_t used_pages = 0;
};
Load load_of(Deployment& deployment) {
  const Reply reply = deployment.get("/health");
  const auto calls = integer_at(reply.json, "/calls");
  const auto running = integer_at(reply.json, "/engine/running_sequences");
  const auto pages = integer_at(reply.json, "/engine/kv_pages_used");
  expect(reply.ok() && calls && running && pages, "/health: expected calls and the engine's load, found {}",
         reply.describe());
  return {.calls = *calls, .running = *running, .used_pages = *pages};
}

CheckResult leaving_frees_slots(Deployment& deployment) {
  if (!deployment.is_ours()) skip("the endpoint does not tell what runs");
  constexpr int kStreams = 4;
  constexpr auto kPause = std::chrono::milliseconds(20);
  constexpr int kMostPauses = 500;
  const Load before = load_of(deployment);
  if (before.calls > 0 || before.running > 0) skip("others use the deployment: {} calls", before.calls);
  for (int i = 0; i < kStreams; ++i)
    expect(deployment.begin_and_leave(kCompletions, endless(deployment)), "stream {}: no event came", i);
  Load after = load_of(deployment);
  int pauses = 0;
  for (; pauses < kMostPauses && (after.calls > 0 || after.running > 0); ++pauses) {
    std::this_thread::sleep_for(kPause);
    after = load_of(deployment);
  }
  expect(after.calls == 0 && after.running == 0,
         "10 s after {} clients left: expected nothing to run, found {} calls, {} sequences", kStreams,
         after.calls, after.running);
  expect(after.used_pages <= before.used_pages, "after {} clients left: {} pages in use, {} before", kStreams,
         after.used_pages, before.used_pages);
  return {.reason = fmt::format("{} streams left in the middle: nothing runs {} ms later", kStreams,
                                pauses * kPause.count())};
}

}  // namespace

std::vector<Check> limits_theme() {
  return {{"limits", "errors have four keys", errors_have_four_keys, 1.0},
          {"limits", "max_tokens is kept", max_tokens_are_kept, 1.0},
          {"limits", "a stop string ends the text", stop_strings_end_the_text, 1.0},
          {"limits", "a prompt that is too long is refused", overflow_is_refused, 1.0},
          {"limits", "a deadline is kept", deadlines_are_kept, 1.0},
          {"limits", "who leaves frees what he held", leaving_frees_slots, 2.0}};
}

}  // namespace gossamer::apps
