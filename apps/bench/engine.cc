// gossamer bench engine: what the engine makes of many requests at once. A synthetic trace: arrivals,
// lengths, shared prefixes, text that repeats itself.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cmath>
#include <fstream>
#include <limits>
#include <map>
#include <memory>
#include <numeric>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "apps/bench/bench.h"
#include "apps/serving_options.h"
#include "apps/session.h"
#include "apps/terminal.h"
#include "apps/text_files.h"
#include "base/error.h"
#include "base/json.h"
#include "base/system_memory.h"

namespace gossamer::apps {
namespace {

struct Options {
  ModelOptions model;
  ServingOptions serving;
  int64_t num_requests = 64;
  double request_rate = 0.0;
  int64_t input_tokens = 256;
  int64_t output_tokens = 64;
  std::string lengths;
  int64_t num_prefixes = 0;
  int64_t prefix_tokens = 0;
  int64_t period = 0;
  double temperature = 1.0;
  uint64_t seed = 0;
  std::string json;
};

struct Arrival {
  double seconds = 0.0;  // since the beginning
  Request request;
};

struct Lengths {
  int64_t input = 0;
  int64_t output = 0;
};

// Lines of two numbers: tokens in, tokens out.
std::vector<Lengths> read_lengths(const std::string& path) {
  std::ifstream file(path);
  if (!file) throw Error("--lengths {}: cannot be read", path);
  std::vector<Lengths> lengths;
  std::string line;
  for (int number = 1; std::getline(file, line); ++number) {
    std::istringstream words(line);
    Lengths one;
    std::string rest;
    if (line.find_first_not_of(" \t\r") == std::string::npos) continue;
    if (!(words >> one.input >> one.output) || words >> rest || one.input < 1 || one.output < 1) {
      throw Error("{}:{}: expected two numbers from 1 on, tokens in and tokens out, found \"{}\"", path,
                  number, line);
    }
    lengths.push_back(one);
  }
  if (lengths.empty()) throw Error("--lengths {}: expected lines of two numbers, found none", path);
  return lengths;
}

std::vector<Arrival> make_trace(const Options& options, int64_t num_ids) {
  std::mt19937_64 random(options.seed);
  std::uniform_int_distribution<int32_t> id(0, static_cast<int32_t>(num_ids - 1));
  const auto random_ids = [&](int64_t count) {
    std::vector<int32_t> ids(static_cast<std::size_t>(count));
    std::generate(ids.begin(), ids.end(), [&] { return id(random); });
    return ids;
  };
  std::vector<std::vector<int32_t>> prefixes;
  for (int64_t i = 0; i < options.num_prefixes; ++i) prefixes.push_back(random_ids(options.prefix_tokens));
  const std::vector<Lengths> lengths =
      options.lengths.empty() ? std::vector<Lengths>{{options.input_tokens, options.output_tokens}}
                              : read_lengths(options.lengths);
  std::vector<Arrival> trace;
  double seconds = 0.0;
  for (int64_t i = 0; i < options.num_requests; ++i) {
    Arrival arrival;
    if (options.request_rate > 0.0) {  // Poisson
      seconds += std::exponential_distribution<double>(options.request_rate)(random);
      arrival.seconds = seconds;
    }
    const Lengths& length = lengths[static_cast<std::size_t>(i) % lengths.size()];
    std::vector<int32_t>& prompt = arrival.request.prompt;
    if (!prefixes.empty()) {
      prompt = prefixes[std::uniform_int_distribution<std::size_t>(0, prefixes.size() - 1)(random)];
      prompt.resize(std::min(prompt.size(), static_cast<std::size_t>(length.input)));
    }
    const int64_t rest = length.input - static_cast<int64_t>(prompt.size());
    const std::vector<int32_t> text = random_ids(options.period > 0 ? std::min(options.period, rest) : rest);
    for (int64_t j = 0; j < rest; ++j) prompt.push_back(text[static_cast<std::size_t>(j) % text.size()]);
    arrival.request.max_new_tokens = length.output;
    arrival.request.sampling.temperature = static_cast<float>(options.temperature);
    arrival.request.sampling.seed = options.seed + static_cast<uint64_t>(i);
    trace.push_back(std::move(arrival));
  }
  return trace;
}

// Of one request, in seconds.
struct Latency {
  double first_token = 0.0;  // since it arrived
  double per_token = 0.0;    // after the first
};

struct Measured {
  double seconds = 0.0;
  std::vector<Latency> latencies;
  int64_t steps = 0;
  double prepare_seconds = 0.0;
  double forward_seconds = 0.0;
  double finish_seconds = 0.0;
  std::vector<double> overheads;  // of steps that ran as many sequences as may run
  EngineLoad load;
  std::size_t resident_half_way = 0;
  std::size_t resident_at_end = 0;
};

Measured run_trace(Engine& engine, std::vector<Arrival> trace) {
  Measured measured;
  std::map<RequestId, double> arrived;
  std::map<RequestId, int64_t> tokens;
  const Clock::time_point start = Clock::now();
  const std::size_t total = trace.size();
  ProgressLine line("requests");
  std::size_t next = 0;
  while (measured.latencies.size() < total) {
    while (next < total && trace[next].seconds <= seconds_since(start)) {
      const double seconds = trace[next].seconds;
      const Result<RequestId> id = engine.submit(std::move(trace[next].request));
      if (!id.ok()) throw Error("request {}: {}", next, id.error().message);
      arrived[id.value()] = seconds;
      ++next;
    }
    if (engine.idle()) {
      std::this_thread::sleep_for(std::chrono::microseconds(200));
      continue;
    }
    StepRecord record;
    const std::vector<Output> outputs = engine.step(&record);
    if (record.num_tokens > 0) ++measured.steps;
    measured.prepare_seconds += record.prepare_seconds;
    measured.forward_seconds += record.forward_seconds;
    measured.finish_seconds += record.finish_seconds;
    if (engine.load().running_sequences == engine.options().limits.max_num_seqs) {
      measured.overheads.push_back(record.prepare_seconds + record.finish_seconds);
    }
    for (const Output& output : outputs) {
      if (output.finish_reason == FinishReason::kError)
        throw Error("request {}: {}", output.id, output.error);
      if (output.token) ++tokens[output.id];
      if (!output.finish_reason) continue;
      const int64_t count = tokens[output.id];
      const RequestTimes& times = output.times;
      measured.latencies.push_back(
          {.first_token = times.queue_seconds + times.prefill_seconds,
           .per_token = count > 1 ? times.decode_seconds / static_cast<double>(count - 1) : 0.0});
      arrived.erase(output.id);
      tokens.erase(output.id);
      if (measured.latencies.size() == total / 2) measured.resident_half_way = resident_bytes();
      line.show(measured.latencies.size(), total);
    }
  }
  measured.seconds = seconds_since(start);
  measured.load = engine.load();
  measured.resident_at_end = resident_bytes();
  return measured;
}

double quantile(std::vector<double> values, double part) {
  if (values.empty()) return 0.0;
  std::sort(values.begin(), values.end());
  return values[static_cast<std::size_t>(std::llround(part * static_cast<double>(values.size() - 1)))];
}

struct Summary {
  double mean = 0.0;
  double p50 = 0.0;
  double p99 = 0.0;
};

Summary summarize(const std::vector<double>& values) {
  const double sum = std::accumulate(values.begin(), values.end(), 0.0);
  return {.mean = values.empty() ? 0.0 : sum / static_cast<double>(values.size()),
          .p50 = quantile(values, 0.5),
          .p99 = quantile(values, 0.99)};
}

json::object to_json(const Summary& summary) {
  return {{"mean", summary.mean}, {"p50", summary.p50}, {"p99", summary.p99}};
}

void report(const Options& options, const Measured& measured) {
  std::vector<double> first;
  std::vector<double> per_token;
  for (const Latency& latency : measured.latencies) {
    first.push_back(latency.first_token);
    per_token.push_back(latency.per_token);
  }
  const Summary ttft = summarize(first);
  const Summary tpot = summarize(per_token);
  const Summary overhead = summarize(measured.overheads);
  const EngineLoad& load = measured.load;
  const auto per_second = [&](int64_t count) { return static_cast<double>(count) / measured.seconds; };
  const auto percent = [](int64_t part, int64_t whole) {
    return whole > 0 ? 100.0 * static_cast<double>(part) / static_cast<double>(whole) : 0.0;
  };
  fmt::print("{} requests in {:.2f} s: {:.2f} requests/s, {:.1f} new tokens/s, {:.1f} prompt tokens/s\n",
             measured.latencies.size(), measured.seconds,
             per_second(static_cast<int64_t>(measured.latencies.size())), per_second(load.new_tokens),
             per_second(load.prompt_tokens));
  fmt::print("time to first token   mean {:.1f} ms, median {:.1f}, p99 {:.1f}\n", ttft.mean * 1e3,
             ttft.p50 * 1e3, ttft.p99 * 1e3);
  fmt::print("time per token        mean {:.2f} ms, median {:.2f}, p99 {:.2f}\n", tpot.mean * 1e3,
             tpot.p50 * 1e3, tpot.p99 * 1e3);
  fmt::print("steps                 {}, {:.1f} % of the time in the forward pass\n", measured.steps,
             100.0 * measured.forward_seconds / measured.seconds);
  fmt::print(
      "overhead of a step    median {:.1f} us, p99 {:.1f} us beside the forward pass, at {} sequences "
      "({} steps)\n",
      overhead.p50 * 1e6, overhead.p99 * 1e6, options.serving.max_num_seqs, measured.overheads.size());
  fmt::print("prefix cache          {} of {} prompt tokens ({:.1f} %)\n", load.cached_tokens,
             load.prompt_tokens, percent(load.cached_tokens, load.prompt_tokens));
  fmt::print("speculation           {} of {} drafted tokens accepted ({:.1f} %)\n", load.accepted_tokens,
             load.drafted_tokens, percent(load.accepted_tokens, load.drafted_tokens));
  fmt::print("preemptions           {}\n", load.preemptions);
  fmt::print("pages                 {} of {} held at the end, {} kept for prefixes\n", load.used_pages,
             load.total_pages, load.cached_pages);
  fmt::print("resident memory       {} half-way, {} at the end\n", format_bytes(measured.resident_half_way),
             format_bytes(measured.resident_at_end));
  if (options.json.empty()) return;
  const json::object object = {{"model", options.model.model},
                               {"requests", measured.latencies.size()},
                               {"seconds", measured.seconds},
                               {"new_tokens", load.new_tokens},
                               {"prompt_tokens", load.prompt_tokens},
                               {"cached_tokens", load.cached_tokens},
                               {"drafted_tokens", load.drafted_tokens},
                               {"accepted_tokens", load.accepted_tokens},
                               {"preemptions", load.preemptions},
                               {"steps", measured.steps},
                               {"prepare_seconds", measured.prepare_seconds},
                               {"forward_seconds", measured.forward_seconds},
                               {"finish_seconds", measured.finish_seconds},
                               {"time_to_first_token_s", to_json(ttft)},
                               {"time_per_token_s", to_json(tpot)},
                               {"step_overhead_s", to_json(overhead)},
                               {"pages_held_at_end", load.used_pages},
                               {"resident_bytes_half_way", measured.resident_half_way},
                               {"resident_bytes_at_end", measured.resident_at_end}};
  write_text_file(options.json, json::serialize(object) + "\n");
}

void run(const Options& options) {
  check_output_path(options.json);
  Session session(options.model);
  const int64_t num_ids =
      session.tokenizer() != nullptr ? session.tokenizer()->vocab_size() : session.info().vocab_size;
  std::vector<Arrival> trace = make_trace(options, num_ids);
  int64_t needed = 0;
  for (const Arrival& arrival : trace) {
    needed = std::max(needed,
                      static_cast<int64_t>(arrival.request.prompt.size()) + arrival.request.max_new_tokens);
  }
  if (needed > session.longest()) {
    throw Error("requests of up to {} tokens, prompt and answer: at most {} fit", needed, session.longest());
  }
  session.load(session.plan(serving_limits(options.serving, session, needed)),
               serving_settings(options.serving));
  report(options, run_trace(session.engine(), std::move(trace)));
}

}  // namespace

void add_bench_engine(CLI::App& bench) {
  CLI::App* command = bench.add_subcommand(
      "engine",
      "Many requests at once, in process: throughput, time to the first and to each further token, what a "
      "step "
      "costs beside the forward pass, what prefix cache and speculation gain. Prompts are random tokens");
  auto options = std::make_shared<Options>();
  constexpr int64_t kLongest = int64_t{1} << 24;
  add_model_options(*command, options->model, "a limit on the trace. Default: the model's");
  add_serving_options(*command, options->serving);
  command->add_option("--requests", options->num_requests, "How many")
      ->check(CLI::Range(int64_t{1}, kLongest))
      ->capture_default_str();
  command
      ->add_option("--request-rate", options->request_rate,
                   "Requests a second on average, as a Poisson process. 0: all at once")
      ->check(CLI::Range(0.0, 1e6))
      ->capture_default_str();
  command->add_option("--input-tokens", options->input_tokens, "Tokens of each prompt")
      ->check(CLI::Range(int64_t{1}, kLongest))
      ->capture_default_str();
  command->add_option("--output-tokens", options->output_tokens, "Tokens of each answer")
      ->check(CLI::Range(int64_t{1}, kLongest))
      ->capture_default_str();
  command->add_option("--lengths", options->lengths,
                      "A file with a line for each request, its tokens in and out, instead of the two above; "
                      "repeated where --requests is more");
  command
      ->add_option("--prefixes", options->num_prefixes,
                   "Each prompt begins with one of so many. 0: with none")
      ->check(CLI::Range(int64_t{0}, kLongest))
      ->capture_default_str();
  command->add_option("--prefix-tokens", options->prefix_tokens, "Tokens of each of them")
      ->check(CLI::Range(int64_t{0}, kLongest))
      ->capture_default_str();
  command
      ->add_option("--period", options->period,
                   "Prompts repeat themselves after so many tokens, which speculation finds. 0: they do not")
      ->check(CLI::Range(int64_t{0}, kLongest))
      ->capture_default_str();
  command->add_option("--temperature", options->temperature, "Of the sampling; 0: greedy")
      ->check(CLI::Range(0.0, 100.0))
      ->capture_default_str();
  command->add_option("--seed", options->seed, "Of trace and sampling")->capture_default_str();
  command->add_option("--json", options->json, "Write the figures to this file");
  command->callback([options] { run(*options); });
}

}  // namespace gossamer::apps
