// gossamer bench serve: the load benchmark of any OpenAI-compatible server, and the hostile clients that a
// server must bear.
#include <fmt/format.h>
#include <sys/resource.h>

#include <algorithm>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "apps/bench/bench.h"
#include "apps/bench/load_plan.h"
#include "apps/bench/load_report.h"
#include "apps/bench/load_run.h"
#include "apps/terminal.h"
#include "apps/text_files.h"
#include "base/error.h"

namespace gossamer::apps {
namespace {

// Thousands of streams need as many descriptors; the usual limit is 1024, and may be raised.
void raise_descriptor_limit() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur == limit.rlim_max) return;
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
}

std::vector<LoadLevel> levels_of(const LoadOptions& options) {
  std::vector<LoadLevel> levels;
  if (options.request_rates.empty()) {
    for (const int64_t concurrency : options.concurrency) levels.push_back({.concurrency = concurrency});
    if (levels.empty()) levels.push_back({});
    return levels;
  }
  if (options.concurrency.size() > 1) {
    throw Error(
        "--concurrency: expected at most one number beside --request-rate, how many requests may run at "
        "once; found {}",
        options.concurrency.size());
  }
  const int64_t most = options.concurrency.empty() ? 0 : options.concurrency.front();
  for (const double rate : options.request_rates) levels.push_back({.concurrency = most, .rate = rate});
  return levels;
}

void check_options(LoadOptions& options) {
  for (const std::string& path : {options.json, options.html}) check_output_path(path);
  if (options.num_requests == 0 && options.duration_seconds <= 0.0) options.num_requests = 100;
  if (options.vanish + options.garbage > 1.0)
    throw Error("--vanish {} and --garbage {}: expected shares that are together at most 1", options.vanish,
                options.garbage);
}

// A server that answers nothing is told of before the measurement, not after.
void warm_up(HttpClient& client, LoadPlan& plan, const LoadOptions& options, const InterruptFlag& interrupt) {
  if (options.warmup == 0) return;
  const LoadResult result = run_load(
      client, plan,
      {.level = {.concurrency = std::min<int64_t>(options.warmup, 16)}, .num_requests = options.warmup},
      nullptr, interrupt);
  for (const LoadRecord& record : result.records) {
    if (!record.failure) return;
  }
  if (result.is_interrupted) return;
  throw Error(
      "{}: expected an answer to warm up with, found {} failures; the first: {}: {} (--warmup 0 goes on "
      "nevertheless)",
      plan.endpoint_url(), result.records.size(), load_error_name(result.records.front().failure->kind),
      result.records.front().failure->message);
}

// Each prompt's answer while nothing else is asked: what every other must equal.
FirstAnswers solo_answers(HttpClient& client, LoadPlan& plan, const InterruptFlag& interrupt) {
  FirstAnswers answers;
  const auto count = static_cast<int64_t>(plan.num_prompts());
  const LoadResult result =
      run_load(client, plan, {.level = {.concurrency = 1}, .num_requests = count}, &answers, interrupt);
  for (const LoadRecord& record : result.records) {
    if (record.failure)
      throw Error("prompt {} alone: expected an answer, found {}", record.prompt, record.failure->message);
  }
  return answers;
}

void write_reports(const LoadReport& report) {
  if (!report.options.json.empty())
    write_text_file(report.options.json, json::serialize(to_json(report)) + "\n");
  if (!report.options.html.empty()) write_text_file(report.options.html, to_html(report));
}

void run(LoadOptions options) {
  check_options(options);
  const std::vector<LoadLevel> levels = levels_of(options);
  raise_descriptor_limit();
  HttpClient client(client_options(options.server));
  LoadPlan plan(options, client);
  LoadReport report = {.options = options,
                       .url = plan.endpoint_url(),
                       .model = plan.model(),
                       .about_prompts = plan.about_prompts()};
  fmt::print("{}, {}\n{}, at most {} tokens out\n", report.url, report.model, report.about_prompts,
             options.max_tokens);
  std::fflush(stdout);
  const InterruptFlag interrupt(InterruptFlag::kAndTermination);
  warm_up(client, plan, options, interrupt);
  FirstAnswers answers;
  if (options.check_repeat) answers = solo_answers(client, plan, interrupt);
  for (const LoadLevel& level : levels) {
    if (interrupt.is_set()) break;
    const LoadShape shape = {.level = level,
                             .num_requests = options.num_requests,
                             .duration_seconds = options.duration_seconds,
                             .vanish = options.vanish,
                             .garbage = options.garbage,
                             .seed = options.seed + report.levels.size()};
    const LoadResult result =
        run_load(client, plan, shape, options.check_repeat ? &answers : nullptr, interrupt);
    report.levels.push_back(summarize(result, options));
    print_level(report.levels.back(), options);
    write_reports(report);  // what there is survives an interruption
  }
  if (report.levels.size() > 1) print_sweep(report);
  if (report.levels.empty()) throw Error("interrupted before anything was measured");
  if (const std::string why = verdict(report); !why.empty()) throw Error("bench serve failed: {}", why);
}

void add_server_options(CLI::App& command, LoadOptions& options) {
  command
      .add_option("--url,--api-url", options.server.url,
                  "The server: with or without /v1, or the whole path of its endpoint")
      ->capture_default_str();
  command.add_option("--endpoint", options.endpoint, "chat or completions")
      ->check(CLI::IsMember({"chat", "completions"}))
      ->capture_default_str();
  command.add_option("--model", options.server.model, "Its name there. Default: the first of /v1/models");
  add_endpoint_options(command, options.server);
}

void add_prompt_options(CLI::App& command, LoadOptions& options) {
  constexpr int64_t kMost = int64_t{1} << 30;
  command
      .add_option(
          "--prompts", options.prompts,
          "Prompts from a file: lines of {\"prompt\"} or {\"messages\"}, or ShareGPT's JSON (its first "
          "user turns); in turn, and again from the beginning")
      ->check(CLI::ExistingFile);
  command
      .add_option("--input-len", options.input_tokens,
                  "Otherwise random words, so many tokens by the server's own count")
      ->check(CLI::Range(int64_t{1}, int64_t{1} << 24))
      ->capture_default_str();
  command
      .add_option("--num-prompts", options.num_prompts,
                  "How many different ones. Default: no two are the same; with --check-repeat 16")
      ->check(CLI::Range(int64_t{1}, kMost));
  command.add_option("--max-tokens", options.max_tokens, "Tokens of an answer, at most")
      ->check(CLI::Range(int64_t{1}, kMost))
      ->capture_default_str();
  command
      .add_option("--temperature", options.temperature,
                  "Of the sampling. Default: the server's; with --check-repeat 0")
      ->check(CLI::Range(0.0, 100.0));
  command.add_flag("--ignore-eos", options.ignore_eos,
                   "Every answer gets --max-tokens tokens (servers that know ignore_eos)");
  command.add_option("--extra-body", options.extra_body,
                     "A JSON object: more fields of each request, {\"reasoning_effort\": \"low\"}");
  command.add_option("--seed", options.seed, "Of prompts, arrivals and bad manners")->capture_default_str();
}

void add_load_options(CLI::App& command, LoadOptions& options) {
  constexpr int64_t kMost = int64_t{1} << 30;
  add_list_option(
      command, "-c,--concurrency", options.concurrency,
      "Closed loop: so many clients, each asking again when it has its answer; a list is measured one "
      "after the other. Default: 1",
      1, 65536);
  command
      .add_option(
          "--request-rate", options.request_rates,
          "Open loop: so many requests a second on average, as a Poisson process; a list is measured one "
          "after the other. Their time runs from when they were due")
      ->delimiter(',')
      ->allow_extra_args(false)
      ->check(CLI::Range(1e-3, 1e6));
  command
      .add_option("-n,--num-requests", options.num_requests,
                  "Requests at each level. Default: 100, or what --duration allows")
      ->check(CLI::Range(int64_t{1}, kMost));
  command
      .add_option("--duration", options.duration_seconds,
                  "Seconds at each level: no request begins after them")
      ->check(CLI::Range(0.001, 1e7));
  command.add_option("--warmup", options.warmup, "Requests before the first level, not measured")
      ->check(CLI::Range(int64_t{0}, kMost))
      ->capture_default_str();
  for (const auto& [name, value, what] :
       {std::tuple{"--slo-ttft", &options.slo_ttft_ms, "to the first token"},
        std::tuple{"--slo-tpot", &options.slo_tpot_ms, "per token after it"},
        std::tuple{"--slo-e2e", &options.slo_e2e_ms, "end to end"}}) {
    command
        .add_option(name, *value, fmt::format("Goodput counts answers within so many milliseconds {}", what))
        ->check(CLI::Range(0.001, 1e9));
  }
}

void add_soak_options(CLI::App& command, LoadOptions& options) {
  command
      .add_option("--vanish", options.vanish,
                  "The share of requests whose client closes the connection at a random moment")
      ->check(CLI::Range(0.0, 1.0));
  command
      .add_option("--garbage", options.garbage,
                  "The share of requests that are broken, as JSON or as HTTP: 4xx is expected")
      ->check(CLI::Range(0.0, 1.0));
  command.add_flag(
      "--check-repeat", options.check_repeat,
      "Greedy, few prompts, each first alone: every answer must equal its prompt's first. Any failure "
      "but a refusal then fails the run");
}

}  // namespace

void add_bench_serve(CLI::App& bench) {
  CLI::App* command = bench.add_subcommand(
      "serve",
      "Load on any OpenAI-compatible server: time to the first token, per token and end to end, throughput, "
      "failures by kind. Fails (exit code 1) after a 5xx, an answer that differs, a broken request that was "
      "taken, "
      "or when no answer was whole");
  auto options = std::make_shared<LoadOptions>();
  add_server_options(*command, *options);
  add_prompt_options(*command, *options);
  add_load_options(*command, *options);
  add_soak_options(*command, *options);
  command->add_option("--json,--output", options->json, "Write everything to this file");
  command->add_option("--html", options->html, "Write a page with tables and plots to this file");
  command->callback([options] { run(*options); });
}

}  // namespace gossamer::apps
