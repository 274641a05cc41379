// gossamer verify, needle: a sentence is found beyond the window of 128 tokens, beyond 4,096 and beyond
// 32,768.
#include <string>

#include "apps/subject/subject.h"
#include "apps/verify/check.h"
#include "apps/verify/deployment.h"
#include "apps/verify/needle_run.h"
#include "base/error.h"

namespace gossamer::apps {
namespace {

constexpr int64_t kNewTokens = 256;

NeedleRun ask(Deployment& deployment, int64_t length, const std::vector<double>& depths) {
  const int64_t limit = deployment.max_model_len();
  if (limit > 0 && length + kNewTokens > limit)
    skip("{} tokens and an answer are longer than the {} of a sequence here", length, limit);
  NeedleOptions options = {.lengths = {length}, .depths = depths, .max_new_tokens = kNewTokens};
  options.task.random_codes = true;
  const NeedleRun run = run_needles(deployment.subject(), own_haystack(), options);
  for (const NeedleCell& cell : run.cells)
    if (!cell.error.empty()) skip("{} tokens: {}", cell.length, cell.error);
  return run;
}

std::string seen(const NeedleRun& run) {
  std::string text;
  for (const NeedleCell& cell : run.cells)
    text += fmt::format("{}{:.0f} %: {}", text.empty() ? "" : ", ", 100.0 * cell.depth,
                        cell.found() ? "found" : "\"" + shown(cell.answer.text) + "\"");
  return text;
}

// A model that does not find it in the shortest of texts was never taught to.
void expect_it_can(Deployment& deployment) {
  constexpr int64_t kShortest = 256;
  const NeedleRun run = ask(deployment, kShortest, {0.5});
  if (run.recall() < 1.0)
    skip("the model does not find a needle in {} tokens either ({}): it was not taught to", kShortest,
         seen(run));
}

CheckResult needle_in(Deployment& deployment, int64_t length) {
  if (const int64_t most = deployment.needle_tokens(); most > 0 && length > most)
    skip("the model was taught to find it in up to {} tokens, says verify.json in its folder", most);
  expect_it_can(deployment);
  const NeedleRun run = ask(deployment, length, {0.0, 0.5, 1.0});
  return {.verdict = run.recall() < 1.0 ? Verdict::kFail : Verdict::kPass,
          .reason = fmt::format("{} tokens: {}", length, seen(run)),
          .figures = {{"tokens", length}, {"recall", run.recall()}}};
}

}  // namespace

std::vector<Check> needle_theme() {
  constexpr int64_t kBeyondWindow = 512;
  constexpr int64_t kBeyond4K = 4608;
  constexpr int64_t kBeyond32K = kLongestNeedle - 1024;
  const auto check = [](int64_t length, const char* beyond, double seconds) {
    return Check{"needle", fmt::format("it is found beyond {} tokens", beyond),
                 [length](Deployment& deployment) { return needle_in(deployment, length); }, seconds};
  };
  return {check(kBeyondWindow, "128", 3.0), check(kBeyond4K, "4,096", 20.0),
          check(kBeyond32K, "32,768", 120.0)};
}

}  // namespace gossamer::apps
