// gossamer verify, speed: what share of this machine's memory and arithmetic the model gets, by the runs of
// `gossamer bench model`. For models of this process; of other machines nobody knows the ceilings.
#include <algorithm>
#include <string>

#include "apps/bench/bench.h"
#include "apps/bench/model_runs.h"
#include "apps/verify/check.h"
#include "apps/verify/deployment.h"
#include "backend/registry.h"
#include "base/cpu_info.h"
#include "base/error.h"

namespace gossamer::apps {
namespace {

// Shares of the ceiling that a sound build on a quiet machine is well above (README: 0.6 and more); a build
// without its kernels is far below.
constexpr double kLeastDecode = 0.25;
constexpr double kLeastPrefill = 0.15;
// Below so many bytes of weights a step is too short for its ceiling to mean anything: they lie in the
// caches.
constexpr double kJudgedBytes = 64e6;

struct Speed {
  ModelResult prefill;
  ModelResult decode;
  double weight_bytes = 0.0;
};

Speed measure(const ModelOptions& model) {
  ModelBenchOptions options = {.model = model, .new_tokens = 32, .repeat = 3};
  options.model.max_model_len = 0;
  Session session(options.model);
  const int64_t prompt = std::min<int64_t>(512, session.longest() / 2);
  options.prompts = {prompt};
  options.sequences = {1};
  const CostModel cost(session.folder(), session.backend());
  const std::string level = model.instruction_set.empty() ? instruction_sets().back() : model.instruction_set;
  const DType activation = session.folder().precision.weights.int8_activations
                               ? DType::kI8
                               : session.folder().precision.activation;
  EngineLimits limits = session.limits(needed_model_len(options), 1, 1);
  limits.kv_cache_tokens = limits.max_model_len;
  session.load(session.plan(limits));
  ThreadPool pool(threads_or_default(model.num_threads));
  peak::MemoryReader memory;
  const std::vector<peak::Instruction> instructions = peak::available_instructions();
  const peak::Instruction* dot_product = peak::best_instruction(instructions, level, operand_of(activation));
  if (dot_product == nullptr) skip("no ceiling is known for {} on {}", dtype_label(activation), level);
  ModelBench bench(session, cost, *dot_product, pool, memory, options);
  return {
      .prefill = bench.prefill(prompt), .decode = bench.decode(1, 0), .weight_bytes = cost.weight_bytes()};
}

CheckResult machine_is_used(Deployment& deployment) {
  if (deployment.local() == nullptr)
    skip("the model is not in this process: its machine's ceilings are not known");
  if (deployment.local()->backend != "cpu") skip("ceilings are known for the cpu backend only");
  Speed speed;
  try {
    speed = measure(*deployment.local());
  } catch (const Error& error) {
    skip("it does not fit a second time, alone: {}", error.what());
  }
  const double decode = speed.decode.share_of_limit.median;
  const double prefill = speed.prefill.share_of_limit.median;
  CheckResult result = {
      .reason = fmt::format("decode {:.0f} tokens/s, {:.0f} % of what memory gives; prefill {:.0f} tokens/s, "
                            "{:.0f} % of what arithmetic gives",
                            speed.decode.tokens_per_s.median, 100.0 * decode,
                            speed.prefill.tokens_per_s.median, 100.0 * prefill),
      .figures = {{"decode_tokens_per_s", speed.decode.tokens_per_s.median},
                  {"decode_share", decode},
                  {"prefill_tokens_per_s", speed.prefill.tokens_per_s.median},
                  {"prefill_share", prefill}}};
  if (speed.weight_bytes < kJudgedBytes) {
    result.verdict = Verdict::kSkip;
    result.reason += "; a model this small is not judged by it";
  } else if (decode < kLeastDecode || prefill < kLeastPrefill) {
    result.verdict = Verdict::kFail;
    result.reason = fmt::format("expected at least {:.0f} % and {:.0f} %: {}", 100.0 * kLeastDecode,
                                100.0 * kLeastPrefill, result.reason);
  }
  return result;
}

}  // namespace

std::vector<Check> speed_theme() {
  return {{"speed", "decode and prefill against this machine's ceilings", machine_is_used, 15.0}};
}

}  // namespace gossamer::apps
