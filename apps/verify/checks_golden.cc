// gossamer verify, golden: the model computes what it should. Against a golden file, against the reference
// backend, which is the definition of correct, and against itself.
#include <algorithm>
#include <cmath>
#include <memory>
#include <string>

#include "apps/subject/open_subject.h"
#include "apps/verify/check.h"
#include "apps/verify/deployment.h"
#include "base/error.h"
#include "engine/step_cost.h"
#include "eval/golden_file.h"

namespace gossamer::apps {
namespace {

// How far the log-probabilities of a text's tokens may lie from the expected ones, on average. The mean,
// since a single token may be far off where rounding sends it to another expert. docs/verify.md has what was
// measured: rounding within f32 gives 3e-6, the least of the faults that were planted 5e-2.
constexpr double kToleranceF32 = 1e-3;
constexpr double kToleranceBf16 = 0.2;
constexpr double kToleranceInt8 = 0.3;
constexpr double kToleranceInt4 = 0.6;

// Of what is computed with the coarsest numbers that the options let in.
double tolerance_of(const PrecisionOptions& precision) {
  const std::string all = precision.weights + " " + precision.activations + " " + precision.kv_cache_dtype;
  if (all.find("4") != std::string::npos) return kToleranceInt4;
  if (all.find("8") != std::string::npos) return kToleranceInt8;
  return precision.dtype == "f32" ? kToleranceF32 : kToleranceBf16;
}

struct Distance {
  double sum = 0.0;
  double largest = 0.0;
  std::string largest_at;
  std::size_t num_tokens = 0;
  std::size_t num_same_top = 0;

  double mean() const { return num_tokens == 0 ? 0.0 : sum / static_cast<double>(num_tokens); }
  void add(double expected, double found, const std::string& place) {
    const double distance = std::abs(expected - found);
    // NaN is as far as can be.
    if (!(distance <= largest)) {
      largest = distance;
      largest_at = place;
    }
    sum += distance;
    ++num_tokens;
  }
};

CheckResult judge(const Distance& distance, double tolerance, const std::string& what) {
  const std::string seen = fmt::format(
      "log-probabilities of {} tokens differ from {} by {:.2g} on average ({:.2g} at most{}{}); {:.2f} % "
      "have "
      "the same most likely token",
      distance.num_tokens, what, distance.mean(), distance.largest, distance.largest_at.empty() ? "" : ", ",
      distance.largest_at,
      100.0 * static_cast<double>(distance.num_same_top) / static_cast<double>(distance.num_tokens));
  json::object figures = {{"mean_distance", distance.mean()},
                          {"largest_distance", distance.largest},
                          {"tokens", distance.num_tokens},
                          {"same_top", distance.num_same_top},
                          {"tolerance", tolerance}};
  const bool is_near = distance.mean() <= tolerance;
  return {.verdict = is_near ? Verdict::kPass : Verdict::kFail,
          .reason = is_near ? seen : fmt::format("expected at most {}: {}", tolerance, seen),
          .figures = std::move(figures)};
}

std::vector<TokenLogprobs> scores_of(Subject& subject, const std::vector<int32_t>& ids) {
  Result<std::vector<TokenLogprobs>> scores = subject.score_tokens(ids, 1);
  if (!scores.ok()) skip("no log-probabilities of given texts: {}", scores.error().message);
  return std::move(scores).value();
}

Distance distance_to(const Recording& golden, Subject& subject) {
  Distance distance;
  for (const RecordedText& text : golden.texts) {
    if (static_cast<int64_t>(text.ids.size()) > subject.max_model_len()) continue;
    const std::vector<TokenLogprobs> scores = scores_of(subject, text.ids);
    expect(scores.size() >= text.tokens.size(), "{}: expected log-probabilities of {} tokens, found {}",
           text.name, text.tokens.size(), scores.size());
    const std::size_t skipped = scores.size() - text.tokens.size();
    for (std::size_t i = 0; i < text.tokens.size(); ++i) {
      const TokenLogprobs& found = scores[skipped + i];
      distance.add(static_cast<double>(text.tokens[i].logprob), static_cast<double>(found.token.logprob),
                   fmt::format("{}, token {}", text.name, skipped + i + 1));
      if (!text.tokens[i].top.empty() && !found.top.empty() && text.tokens[i].top[0].id == found.top[0].id)
        ++distance.num_same_top;
    }
  }
  if (distance.num_tokens == 0) skip("no text of the golden file is as short as this deployment's sequences");
  return distance;
}

Recording read_golden(const Deployment& deployment) {
  if (deployment.golden().empty())
    skip("no golden file: --golden FILE, or golden.json in the model's folder (gossamer verify record)");
  return read_golden_file(deployment.golden());
}

std::string dtype_of(const Recording& golden) {
  const json::value* dtype = golden.identity.if_contains("dtype");
  return dtype != nullptr && dtype->is_string() ? std::string(dtype->get_string()) : "auto";
}

CheckResult deployment_is_golden(Deployment& deployment) {
  const Recording golden = read_golden(deployment);
  const double tolerance =
      std::max(tolerance_of({.dtype = dtype_of(golden)}),
               deployment.local() != nullptr ? tolerance_of(deployment.local()->precision) : kToleranceBf16);
  return judge(distance_to(golden, deployment.subject()), tolerance, "the golden file's");
}

// The model of this process once more, computed otherwise: in f32, alone. skip() where it does not fit or
// takes too long: `operations_per_s` is what can be counted on.
std::unique_ptr<Subject> open_f32(const Deployment& deployment, const std::string& backend, int64_t longest,
                                  int64_t num_tokens, double operations_per_s) {
  if (deployment.local() == nullptr) skip("the model is not in this process");
  SubjectOptions options;
  options.model = *deployment.local();
  options.model.precision = {.dtype = "f32"};
  options.model.backend = backend;
  options.model.max_model_len = longest;
  options.serving.max_num_seqs = 1;
  try {
    const Session headers(options.model);
    const double seconds = CostModel(headers.folder(), headers.backend()).operations_per_token() *
                           static_cast<double>(num_tokens) / operations_per_s;
    if (seconds > deployment.seconds_left() / 2)
      skip("{} tokens on the {} backend would take about {:.0f} s, of which {:.0f} are left", num_tokens,
           backend, seconds, deployment.seconds_left());
  } catch (const Error& error) {
    skip("not in f32: {}", error.what());
  }
  try {
    return open_subject(options);
  } catch (const Error& error) {
    skip("it does not fit a second time, in f32: {}", error.what());
  }
}

CheckResult checkpoint_is_golden(Deployment& deployment) {
  constexpr double kOperationsPerSecond = 2e9;
  const Recording golden = read_golden(deployment);
  int64_t longest = 0;
  int64_t num_tokens = 0;
  for (const RecordedText& text : golden.texts) {
    longest = std::max(longest, static_cast<int64_t>(text.ids.size()));
    num_tokens += static_cast<int64_t>(text.ids.size());
  }
  const std::unique_ptr<Subject> subject =
      open_f32(deployment, deployment.local() == nullptr ? "" : deployment.local()->backend, longest + 1,
               num_tokens, kOperationsPerSecond);
  return judge(distance_to(golden, *subject), tolerance_of({.dtype = dtype_of(golden)}),
               "the golden file's, in f32,");
}

// Longer than the window of every model that has one, in most tokenizers.
constexpr const char* kReferenceText =
    "The lighthouse keeper wrote the weather into a book every evening, first the wind, then the sea, then "
    "the "
    "ships that had passed. On the third of May there were 14 of them, and one, the Marianne, came so near "
    "that "
    "he could read the name on her bow. \"What is the capital of France?\" the captain called across the "
    "water. "
    "\"Paris,\" he called back, though he had never been there. In June the wind turned to the north-west "
    "and "
    "stayed; the book says 7, 8, 8, 9, and on the 21st only: no ships. Who reads it today finds the same "
    "hand "
    "from 1871 to 1903, and then another, rounder one, that begins with the words: my father is well, the "
    "lamp "
    "burns, the wind is 4. There are nineteen such books. The museum keeps them in a dry room beside the "
    "lamp.";
constexpr std::size_t kReferenceTokens = 224;

CheckResult kernels_are_the_reference(Deployment& deployment) {
  constexpr double kOperationsPerSecond = 5e8;
  if (deployment.local() == nullptr) skip("the model is not in this process");
  std::vector<int32_t> ids = deployment.encode(kReferenceText);
  if (ids.size() > kReferenceTokens) ids.resize(kReferenceTokens);
  const auto num_tokens = static_cast<int64_t>(ids.size());
  const auto scores_on = [&](const std::string& backend) {
    const auto subject = open_f32(deployment, backend, num_tokens + 1, num_tokens, kOperationsPerSecond);
    return scores_of(*subject, ids);
  };
  const std::vector<TokenLogprobs> expected = scores_on("reference");
  const std::vector<TokenLogprobs> found = scores_on(deployment.local()->backend);
  Distance distance;
  for (std::size_t i = 0; i < expected.size(); ++i) {
    distance.add(static_cast<double>(expected[i].token.logprob), static_cast<double>(found[i].token.logprob),
                 fmt::format("token {}", i + 1));
    if (expected[i].top[0].id == found[i].top[0].id) ++distance.num_same_top;
  }
  return judge(distance, kToleranceF32, "the reference backend's, both in f32,");
}

constexpr const char* kPrompt = "The capital of France is";
constexpr int64_t kNewTokens = 16;

// What a deployment must agree on with itself, up to the rounding of endpoints that do not promise more.
double rounding_of(const Deployment& deployment) { return deployment.is_ours() ? 0.0 : 0.1; }

json::object completion(const Deployment& deployment) {
  json::object body = deployment.request();
  body["temperature"] = 0;
  body["logprobs"] = 5;
  body["max_tokens"] = kNewTokens;
  return body;
}

Reply ask(Deployment& deployment, const json::object& body) {
  Reply reply = deployment.post("/v1/completions", body);
  if (reply.is_missing()) skip("the endpoint has no /v1/completions");
  if (!reply.ok()) skip("the endpoint does not tell log-probabilities: {}", reply.describe());
  if (array_at(reply.json, "/choices/0/logprobs/token_logprobs") == nullptr)
    skip("the endpoint does not tell log-probabilities");
  return reply;
}

std::vector<double> logprobs_of(const Reply& reply) {
  std::vector<double> logprobs;
  for (const json::value& number : *array_at(reply.json, "/choices/0/logprobs/token_logprobs"))
    logprobs.push_back(number.is_number() ? number.to_number<double>() : 0.0);
  return logprobs;
}

// Greedy tokens are the most likely ones, and probabilities are at most 1 together.
CheckResult greedy_is_most_likely(Deployment& deployment) {
  json::object body = completion(deployment);
  body["prompt"] = kPrompt;
  const Reply reply = ask(deployment, body);
  const std::vector<double> logprobs = logprobs_of(reply);
  const json::array* tops = array_at(reply.json, "/choices/0/logprobs/top_logprobs");
  if (tops == nullptr || tops->size() != logprobs.size()) skip("the endpoint names no most likely tokens");
  constexpr double kRounding = 1e-3;
  for (std::size_t i = 0; i < logprobs.size(); ++i) {
    const json::object* top = (*tops)[i].if_object();
    if (top == nullptr) continue;
    double sum = 0.0;
    double largest = -1e9;
    for (const auto& [name, number] : *top) {
      const double logprob = number.is_number() ? number.to_number<double>() : 1.0;
      expect(logprob <= kRounding, "token {}: expected log-probabilities of at most 0, found {}", i, logprob);
      sum += std::exp(logprob);
      largest = std::max(largest, logprob);
    }
    expect(sum <= 1.0 + kRounding, "token {}: expected probabilities of 1 together at most, found {}", i,
           sum);
    expect(logprobs[i] >= largest - rounding_of(deployment) - 1e-6,
           "token {} of a greedy answer: its log-probability is {}, that of another {}", i, logprobs[i],
           largest);
  }
  return {.reason = fmt::format("{} greedy tokens are the most likely ones, probabilities sum to at most 1",
                                logprobs.size())};
}

// Decoding and prefilling compute the same: what a token's log-probability was when it was said, it is when
// the whole is read again, in one piece, in two, or from the cache.
CheckResult reading_is_writing(Deployment& deployment) {
  json::object body = completion(deployment);
  body["prompt"] = kPrompt;
  const Reply said = ask(deployment, body);
  const std::vector<double> expected = logprobs_of(said);
  const std::string text = text_at(said.json, "/choices/0/text").value_or("");
  std::vector<int32_t> ids;
  if (deployment.is_ours()) {
    body["return_token_ids"] = true;
    const Reply with_ids = ask(deployment, body);
    ids = ids_at(with_ids.json, "/choices/0/prompt_token_ids");
    for (const int32_t id : ids_at(with_ids.json, "/choices/0/token_ids")) ids.push_back(id);
  } else {
    ids = deployment.encode(kPrompt + text);
  }
  body["prompt"] = json::array(ids.begin(), ids.end());
  body["echo"] = true;
  body["max_tokens"] = 1;
  double largest = 0.0;
  const char* const salts[] = {"verify-read-1", "verify-read-2", "verify-read-1"};  // the last is cached
  for (const char* salt : salts) {
    if (deployment.is_ours()) body["cache_salt"] = salt;
    const Reply read = ask(deployment, body);
    const std::vector<double> all = logprobs_of(read);
    if (all.size() < ids.size()) skip("the endpoint does not tell the log-probabilities of a prompt");
    const std::size_t first = ids.size() - std::min(ids.size(), expected.size());
    for (std::size_t i = 0; i < std::min(expected.size(), ids.size()); ++i) {
      const double distance = std::abs(all[first + i] - expected[i]);
      largest = std::max(largest, distance);
      expect(distance <= rounding_of(deployment),
             "token {}: log-probability {} when it was said, {} when it is read again", i, expected[i],
             all[first + i]);
    }
  }
  return {
      .reason = fmt::format("{} tokens have the same log-probabilities said, read and cached (within {:.2g})",
                            expected.size(), largest),
      .figures = {{"largest_distance", largest}}};
}

}  // namespace

std::vector<Check> golden_theme() {
  return {{"golden", "the deployment gives the golden log-probabilities", deployment_is_golden, 5.0},
          {"golden", "the checkpoint in f32 gives the golden log-probabilities", checkpoint_is_golden, 5.0},
          {"golden", "fast kernels give what the reference gives", kernels_are_the_reference, 10.0},
          {"golden", "greedy tokens are the most likely ones", greedy_is_most_likely, 1.0},
          {"golden", "reading gives what writing gave", reading_is_writing, 1.0}};
}

}  // namespace gossamer::apps
