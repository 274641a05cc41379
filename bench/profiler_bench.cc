// What `--profile` costs: decoding with and without, step by step in turn, so that whatever else the machine
// does meets both; by wall clock and by the processor's time, which leaves out when others had it.
//
//     profiler_bench FOLDER|ARCH[:LAYERS] [THREADS [PAIRS]]
//
// ARCH (gpt2, gpt-oss-20b, ... as `gossamer synth` has them) with random weights; a pair is a step with and
// one without.
#include <fmt/format.h>
#include <time.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "backend/cpu/cpu_backend.h"
#include "base/error.h"
#include "base/profile_report.h"
#include "checkpoint/synth_architecture.h"
#include "checkpoint/synth_checkpoint.h"
#include "engine/engine.h"

namespace gossamer {
namespace {

// Of one step, in seconds.
struct StepTimes {
  double wall = 0.0;
  double processor = 0.0;  // of all threads
};

double seconds_of(clockid_t clock) {
  timespec time = {};
  clock_gettime(clock, &time);
  return static_cast<double>(time.tv_sec) + 1e-9 * static_cast<double>(time.tv_nsec);
}

StepTimes timed_step(Engine& engine) {
  const double processor = seconds_of(CLOCK_PROCESS_CPUTIME_ID);
  const double wall = seconds_of(CLOCK_MONOTONIC);
  engine.step();
  return {.wall = seconds_of(CLOCK_MONOTONIC) - wall,
          .processor = seconds_of(CLOCK_PROCESS_CPUTIME_ID) - processor};
}

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

ModelFolder open(const std::string& model) {
  if (std::filesystem::is_directory(model)) return ModelFolder::open(model, {});
  const std::size_t colon = model.find(':');
  std::optional<int64_t> layers;
  if (colon != std::string::npos) layers = std::stoll(model.substr(colon + 1));
  return ModelFolder::open(
      make_synth_checkpoint(describe_synth_architecture(model.substr(0, colon), layers), model), {});
}

// One time of all steps with the profiler against those without.
void report(const char* what, const std::vector<StepTimes>& off, const std::vector<StepTimes>& on,
            double StepTimes::*time) {
  std::vector<double> ratios;
  std::vector<double> of_off;
  std::vector<double> of_on;
  for (std::size_t i = 0; i < off.size(); ++i) {
    ratios.push_back(on[i].*time / (off[i].*time));
    of_off.push_back(off[i].*time);
    of_on.push_back(on[i].*time);
  }
  const double fastest_off = *std::min_element(of_off.begin(), of_off.end());
  const double fastest_on = *std::min_element(of_on.begin(), of_on.end());
  fmt::print(
      "{:<15} on / off: median of pairs {:.4f}, medians {:.4f} ({:.1f} us off), fastest {:.4f} ({:.1f} us)\n",
      what, median(ratios), median(of_on) / median(of_off), median(of_off) * 1e6, fastest_on / fastest_off,
      fastest_off * 1e6);
}

int run(const std::string& model, int num_threads, int64_t num_pairs) {
  constexpr int64_t kPrompt = 16;
  const auto backend = create_cpu_backend(num_threads, "", {});
  ModelFolder folder = open(model);
  const int64_t longest = std::min(folder.model->info().max_positions, kPrompt + 2 * num_pairs + 8);
  num_pairs = std::min(num_pairs, (longest - kPrompt - 8) / 2);
  Engine engine(
      load_model(std::move(folder), *backend), *backend,
      {.limits = {
           .max_model_len = longest, .max_num_seqs = 1, .max_batched_tokens = kPrompt, .max_logit_rows = 1}});
  Request request;
  for (int32_t i = 0; i < kPrompt; ++i) request.prompt.push_back(i);
  request.max_new_tokens = longest;
  request.sampling.temperature = 0.0F;
  if (!engine.submit(std::move(request)).ok()) throw Error("the engine refused the request");
  for (int i = 0; i < 4; ++i) engine.step();
  Profiler profiler(backend->num_host_threads(), std::size_t{1} << 20);
  std::vector<StepTimes> times[2];
  for (int64_t pair = 0; pair < num_pairs; ++pair) {
    for (int64_t turn = 0; turn < 2; ++turn) {
      const bool on = (turn + pair) % 2 == 1;
      backend->set_profiler(on ? &profiler : nullptr);
      times[on ? 1 : 0].push_back(timed_step(engine));
    }
  }
  backend->set_profiler(nullptr);
  fmt::print("{}, {} threads, {} pairs of steps\n", model, backend->num_host_threads(), num_pairs);
  report("wall clock", times[0], times[1], &StepTimes::wall);
  report("processor time", times[0], times[1], &StepTimes::processor);
  fmt::print("spans of a step: {:.1f}\n{}",
             static_cast<double>(profiler.track(0).num_spans) / static_cast<double>(num_pairs),
             to_text(summarize(profiler)));
  return 0;
}

}  // namespace
}  // namespace gossamer

int main(int argc, char** argv) {
  if (argc < 2) {
    std::fputs("profiler_bench FOLDER|ARCH[:LAYERS] [THREADS [PAIRS]]\n", stderr);
    return 2;
  }
  const auto number = [&](int at, long fallback) { return argc > at ? std::atol(argv[at]) : fallback; };
  try {
    return gossamer::run(argv[1], static_cast<int>(number(2, 1)), number(3, 400));
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
}
