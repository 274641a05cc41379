// What `--profile` costs: decoding with and without, turn by turn in one process, so that whatever else the
// machine does meets both.
//
//     profiler_bench FOLDER|ARCH[:LAYERS] [THREADS [PAIRS [STEPS]]]
//
// ARCH (gpt2, gpt-oss-20b, ... as `gossamer synth` has them) with random weights; of a pair each half runs
// STEPS steps (default: a quarter of a second of them).
#include <fmt/format.h>
#include <sys/resource.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <filesystem>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "backend/cpu/cpu_backend.h"
#include "base/profile_report.h"
#include "checkpoint/synth_architecture.h"
#include "checkpoint/synth_checkpoint.h"
#include "engine/engine.h"

namespace gossamer {
namespace {

struct Half {
  double wall = 0.0;  // seconds a step
  double user = 0.0;
  double fastest = std::numeric_limits<double>::infinity();  // of the steps
};

double user_seconds() {
  rusage usage = {};
  getrusage(RUSAGE_SELF, &usage);
  return static_cast<double>(usage.ru_utime.tv_sec) + 1e-6 * static_cast<double>(usage.ru_utime.tv_usec);
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

Half run_half(Engine& engine, int64_t steps) {
  using Clock = std::chrono::steady_clock;
  Half half;
  const double user = user_seconds();
  const Clock::time_point start = Clock::now();
  Clock::time_point last = start;
  for (int64_t i = 0; i < steps; ++i) {
    engine.step();
    const Clock::time_point now = Clock::now();
    half.fastest = std::min(half.fastest, std::chrono::duration<double>(now - last).count());
    last = now;
  }
  half.wall = std::chrono::duration<double>(last - start).count() / static_cast<double>(steps);
  half.user = (user_seconds() - user) / static_cast<double>(steps);
  return half;
}

int run(const std::string& model, int num_threads, int64_t num_pairs, int64_t steps) {
  constexpr int64_t kPrompt = 64;
  constexpr int64_t kMostSteps = 20000;
  const auto backend = create_cpu_backend(num_threads, "", {});
  ModelFolder folder = open(model);
  const int64_t longest = std::min(folder.model->info().max_positions, kPrompt + kMostSteps);
  Engine engine(load_model(std::move(folder), *backend), *backend,
                {.limits = {.max_model_len = longest,
                            .max_num_seqs = 1,
                            .max_batched_tokens = kPrompt,
                            .max_logit_rows = 1,
                            .prefix_cache = false}});
  const auto begin_sequence = [&] {
    Request request;
    for (int32_t i = 0; i < kPrompt; ++i) request.prompt.push_back(i);
    request.max_new_tokens = longest;
    request.sampling.temperature = 0.0F;
    if (!engine.submit(std::move(request)).ok()) std::abort();
    engine.step();
  };
  begin_sequence();
  run_half(engine, 3);
  if (steps == 0) steps = std::clamp<int64_t>(static_cast<int64_t>(0.25 / run_half(engine, 5).wall), 2, 1000);
  Profiler profiler(backend->num_host_threads(), std::size_t{1} << 21);
  const std::string_view kinds[] = {"off", "on"};
  std::vector<double> wall;
  std::vector<double> user;
  Half best[2];
  for (int64_t pair = 0; pair < num_pairs; ++pair) {
    // Every pair begins where the last one began: both halves see the same lengths.
    Half halves[2];
    for (int turn = 0; turn < 2; ++turn) {
      const int on = static_cast<int>((turn + pair) % 2);
      engine.cancel(static_cast<RequestId>(1 + 2 * pair + turn));
      while (!engine.idle()) engine.step();
      begin_sequence();
      backend->set_profiler(on != 0 ? &profiler : nullptr);
      halves[on] = run_half(engine, std::min(steps, longest - kPrompt - 2));
      backend->set_profiler(nullptr);
    }
    for (int on = 0; on < 2; ++on) best[on].fastest = std::min(best[on].fastest, halves[on].fastest);
    wall.push_back(halves[1].wall / halves[0].wall);
    user.push_back(halves[1].user / halves[0].user);
    fmt::print("pair {}: off {:.1f} us a step, on {:.1f}; wall x {:.4f}, user x {:.4f}\n", pair,
               halves[0].wall * 1e6, halves[1].wall * 1e6, wall.back(), user.back());
  }
  fmt::print(
      "{}, {} threads, {} pairs of {} steps: on / off, medians: wall {:.4f}, user CPU {:.4f}; fastest step "
      "{:.4f} ({:.1f} us {}, {:.1f} us {})\n",
      model, backend->num_host_threads(), num_pairs, steps, median(wall), median(user),
      best[1].fastest / best[0].fastest, best[0].fastest * 1e6, kinds[0], best[1].fastest * 1e6, kinds[1]);
  fmt::print("{}", to_text(summarize(profiler)));
  return 0;
}

}  // namespace
}  // namespace gossamer

int main(int argc, char** argv) {
  if (argc < 2) {
    std::fputs("profiler_bench FOLDER|ARCH[:LAYERS] [THREADS [PAIRS [STEPS]]]\n", stderr);
    return 2;
  }
  const auto number = [&](int at, long fallback) { return argc > at ? std::atol(argv[at]) : fallback; };
  try {
    return gossamer::run(argv[1], static_cast<int>(number(2, 1)), number(3, 15), number(4, 0));
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
}
