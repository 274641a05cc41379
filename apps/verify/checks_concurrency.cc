// gossamer verify, concurrency: an answer does not depend on what else runs, nor on what is cached.
#include <string>

#include "apps/verify/check.h"
#include "apps/verify/deployment.h"

namespace gossamer::apps {
namespace {

constexpr std::size_t kNumOthers = 16;
constexpr std::size_t kNumAsked = 4;

// Long enough for several pages of the cache, and each of another length.
std::string prompt_text(std::string_view subject, std::size_t number) {
  std::string text = fmt::format("Report {} on {}.", number, subject);
  for (std::size_t i = 0; i < 6 + 3 * (number % 5); ++i)
    text += fmt::format(" Item {} of {}: {} and {} were seen {} times.", i, subject, "the north gate",
                        "an old boat", (number + 3) * (i + 7) % 97);
  return text + " In short,";
}

// `salt`: requests with different ones share no cached prefix; endpoints that are not ours get none.
json::object question(const Deployment& deployment, std::size_t number, const std::string& salt) {
  json::object body = deployment.request();
  body["prompt"] = prompt_text("the harbour", number);
  body["max_tokens"] = 24;
  body["temperature"] = number % 2 == 0 ? 0.0 : 1.0;
  body["seed"] = 1234 + number;
  body["logprobs"] = 2;
  if (deployment.is_ours() && !salt.empty()) body["cache_salt"] = salt;
  return body;
}

std::vector<json::object> questions(const Deployment& deployment, const std::string& salt) {
  std::vector<json::object> bodies;
  for (std::size_t i = 0; i < kNumAsked; ++i) bodies.push_back(question(deployment, i, salt));
  return bodies;
}

// The choice as JSON: text, log-probabilities and finish_reason.
std::string answer_of(const Reply& reply) {
  if (reply.is_missing()) skip("the endpoint has no /v1/completions");
  expect(reply.ok(), "/v1/completions: expected an answer, found {}", reply.describe());
  const json::value* choice = find(reply.json, "/choices/0");
  expect(choice != nullptr, "/v1/completions: expected a choice, found {}", shown(reply.body));
  return json::serialize(*choice);
}

std::vector<std::string> ask_alone(Deployment& deployment, const std::string& salt) {
  std::vector<std::string> answers;
  for (const json::object& body : questions(deployment, salt))
    answers.push_back(answer_of(deployment.post("/v1/completions", body)));
  return answers;
}

std::vector<std::string> ask_among_others(Deployment& deployment, const std::string& salt) {
  std::vector<json::object> bodies = questions(deployment, salt);
  for (std::size_t i = 0; i < kNumOthers; ++i) {
    json::object other = deployment.request();
    other["prompt"] = prompt_text("the market", i);
    other["max_tokens"] = 16 + i;
    bodies.insert(bodies.begin() + static_cast<std::ptrdiff_t>(i % 2 == 0 ? 0 : bodies.size()),
                  std::move(other));
  }
  const std::vector<Reply> replies = deployment.post_all("/v1/completions", bodies);
  // Those that went to the front are the even ones.
  constexpr std::size_t kInFront = kNumOthers / 2;
  std::vector<std::string> answers;
  for (std::size_t i = 0; i < kNumAsked; ++i) answers.push_back(answer_of(replies[kInFront + i]));
  return answers;
}

// Other endpoints may round otherwise in another batch: what is not promised is told, not judged.
void compare(const Deployment& deployment, const std::vector<std::string>& expected,
             const std::vector<std::string>& found, const std::string& when) {
  for (std::size_t i = 0; i < expected.size(); ++i) {
    if (found[i] == expected[i]) continue;
    if (!deployment.is_ours())
      skip("answer {} differs {}; no endpoint but ours promises that it does not", i, when);
    fail("answer {} differs {}: alone {}, then {}", i, when, shown(expected[i]), shown(found[i]));
  }
}

CheckResult concurrency_changes_nothing(Deployment& deployment) {
  const std::vector<std::string> alone = ask_alone(deployment, "verify-1");
  compare(deployment, alone, ask_among_others(deployment, "verify-2"),
          fmt::format("among {} others", kNumOthers));
  return {.reason = fmt::format("{} answers, greedy and sampled, alone and among {} others: the same to the "
                                "last bit of their log-probabilities",
                                kNumAsked, kNumOthers)};
}

CheckResult cache_changes_nothing(Deployment& deployment) {
  const std::vector<std::string> cold = ask_alone(deployment, "verify-3");
  compare(deployment, cold, ask_alone(deployment, "verify-3"), "when its prompt is cached");
  compare(deployment, cold, ask_among_others(deployment, "verify-3"),
          fmt::format("when its prompt is cached, among {} others", kNumOthers));
  return {.reason = fmt::format("{} answers, with and without cached prompts: the same", kNumAsked)};
}

}  // namespace

std::vector<Check> concurrency_theme() {
  return {{"concurrency", "other requests change nothing", concurrency_changes_nothing, 3.0},
          {"concurrency", "a cached prompt changes nothing", cache_changes_nothing, 3.0}};
}

}  // namespace gossamer::apps
