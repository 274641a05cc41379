#include "apps/bench/load_report.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <utility>

namespace gossamer::apps {
namespace {

constexpr double kBusyShare = 0.8;

// The value below which `part` of the weight lies; between two values of weight one, on the line from one to
// the other, as numpy has it.
double quantile(const std::vector<Weighted>& sorted, double total, double part) {
  const double target = part * (total - sorted.front().weight / 2 - sorted.back().weight / 2);
  double position = 0.0;
  for (std::size_t i = 0; i + 1 < sorted.size(); ++i) {
    const double step = (sorted[i].weight + sorted[i + 1].weight) / 2;
    if (position + step >= target) {
      const double share = step > 0.0 ? (target - position) / step : 0.0;
      return sorted[i].value + std::clamp(share, 0.0, 1.0) * (sorted[i + 1].value - sorted[i].value);
    }
    position += step;
  }
  return sorted.back().value;
}

bool is_good(const LoadRecord& record, const LoadOptions& options) {
  const auto within = [](double seconds, double limit_ms) {
    return limit_ms <= 0.0 || seconds * 1e3 <= limit_ms;
  };
  return within(record.to_first_token(), options.slo_ttft_ms) &&
         within(record.per_token(), options.slo_tpot_ms) && within(record.end_to_end(), options.slo_e2e_ms);
}

json::object to_json(const LatencySummary& summary) {
  if (summary.curve.empty()) return {};
  return {{"mean", summary.mean}, {"p50", summary.p50},   {"p90", summary.p90},
          {"p99", summary.p99},   {"min", summary.least}, {"max", summary.most}};
}

json::object to_json(const LoadSummary& summary, const LoadOptions& options) {
  json::object errors;
  for (std::size_t i = 0; i < kNumLoadErrors; ++i) {
    if (summary.errors[i] > 0) errors[load_error_name(static_cast<LoadError>(i))] = summary.errors[i];
  }
  json::object complaints;
  for (const auto& [text, count] : summary.complaints) complaints[text] = count;
  json::object object = {{"duration_s", summary.seconds},
                         {"completed", summary.completed},
                         {"failed", summary.failed},
                         {"errors", std::move(errors)},
                         {"status_5xx", summary.server_errors},
                         {"status_429", summary.too_many},
                         {"vanished", summary.vanished},
                         {"garbage",
                          {{"sent", summary.garbage.sent},
                           {"refused", summary.garbage.refused},
                           {"closed", summary.garbage.closed},
                           {"taken", summary.garbage.taken}}},
                         {"qps", summary.qps()},
                         {"throughput_tokens_per_s", summary.tokens_per_s()},
                         {"prompt_tokens_per_s", summary.prompt_tokens_per_s()},
                         {"output_tokens", summary.tokens},
                         {"prompt_tokens", summary.prompt_tokens},
                         {"answers_counted_by_events", summary.uncounted},
                         {"coalesced_share", summary.coalesced_share},
                         {"ttft_ms", to_json(summary.ttft)},
                         {"tpot_ms", to_json(summary.tpot)},
                         {"itl_ms", to_json(summary.itl)},
                         {"e2e_ms", to_json(summary.e2e)},
                         {"most_at_once", summary.most_at_once},
                         {"connections", summary.connections},
                         {"client_events", summary.events},
                         {"client_cpu_s", summary.cpu_seconds},
                         {"client_cpu_share", summary.client_share},
                         {"complaints", std::move(complaints)},
                         {"interrupted", summary.is_interrupted}};
  if (summary.level.rate > 0.0) object["request_rate"] = summary.level.rate;
  if (summary.level.rate <= 0.0 || summary.level.concurrency > 0)
    object["concurrency"] = summary.level.concurrency;
  if (has_limits(options)) {
    object["good"] = summary.good;
    object["goodput_qps"] = summary.goodput();
  }
  return object;
}

void print_latency(const char* name, const LatencySummary& summary) {
  if (summary.curve.empty()) return;
  fmt::print("  {:<24}{:>10.2f}{:>10.2f}{:>10.2f}{:>10.2f}\n", name, summary.mean, summary.p50, summary.p90,
             summary.p99);
}

std::string share_text(int64_t part, int64_t whole) {
  return fmt::format("{:.1f} %",
                     whole > 0 ? 100.0 * static_cast<double>(part) / static_cast<double>(whole) : 0.0);
}

void print_failures(const LoadSummary& summary) {
  if (summary.failed > 0) {
    std::string kinds;
    for (std::size_t i = 0; i < kNumLoadErrors; ++i) {
      if (summary.errors[i] == 0) continue;
      kinds += fmt::format("{}{} {}", kinds.empty() ? "" : ", ", summary.errors[i],
                           load_error_name(static_cast<LoadError>(i)));
    }
    fmt::print("  failed: {}; 5xx: {}, 429: {}\n", kinds, summary.server_errors, summary.too_many);
  }
  if (summary.vanished > 0) fmt::print("  {} clients vanished\n", summary.vanished);
  const GarbageCounts& garbage = summary.garbage;
  if (garbage.sent > 0) {
    fmt::print("  {} broken requests: {} refused with 4xx, {} connections closed, {} taken\n", garbage.sent,
               garbage.refused, garbage.closed, garbage.taken);
  }
  std::vector<std::pair<int64_t, std::string>> complaints;
  for (const auto& [text, count] : summary.complaints) complaints.emplace_back(count, text);
  std::sort(complaints.rbegin(), complaints.rend());
  constexpr std::size_t kShown = 5;
  for (std::size_t i = 0; i < std::min(kShown, complaints.size()); ++i)
    fmt::print("    {} x {}\n", complaints[i].first, complaints[i].second);
  if (complaints.size() > kShown)
    fmt::print("    and {} others (--json has them)\n", complaints.size() - kShown);
}

}  // namespace

LatencySummary summarize(std::vector<Weighted> values) {
  LatencySummary summary;
  std::erase_if(values, [](const Weighted& one) { return one.weight <= 0.0; });
  if (values.empty()) return summary;
  std::sort(values.begin(), values.end(), [](const auto& a, const auto& b) { return a.value < b.value; });
  double total = 0.0;
  double sum = 0.0;
  for (const Weighted& one : values) {
    total += one.weight;
    sum += one.weight * one.value;
  }
  summary.mean = sum / total;
  summary.p50 = quantile(values, total, 0.5);
  summary.p90 = quantile(values, total, 0.9);
  summary.p99 = quantile(values, total, 0.99);
  summary.least = values.front().value;
  summary.most = values.back().value;
  for (int i = 0; i <= 20; ++i) summary.curve.push_back(quantile(values, total, i / 20.0));
  return summary;
}

LoadSummary summarize(const LoadResult& result, const LoadOptions& options) {
  LoadSummary summary = {.level = result.level,
                         .seconds = result.seconds,
                         .vanished = result.vanished,
                         .garbage = result.garbage,
                         .server_errors = result.server_errors,
                         .too_many = result.too_many,
                         .events = result.events,
                         .cpu_seconds = result.cpu_seconds,
                         .most_at_once = result.most_at_once,
                         .connections = result.connections,
                         .is_interrupted = result.is_interrupted,
                         .complaints = result.complaints};
  std::vector<Weighted> ttft;
  std::vector<Weighted> tpot;
  std::vector<Weighted> itl;
  std::vector<Weighted> e2e;
  int64_t coalesced = 0;
  for (const LoadRecord& record : result.records) {
    if (record.failure) {
      ++summary.failed;
      ++summary.errors[static_cast<std::size_t>(record.failure->kind)];
      continue;
    }
    ++summary.completed;
    summary.tokens += record.tokens;
    summary.prompt_tokens += record.prompt_tokens;
    coalesced += record.coalesced_tokens;
    if (!record.is_counted) ++summary.uncounted;
    if (is_good(record, options)) ++summary.good;
    ttft.push_back({record.to_first_token() * 1e3});
    e2e.push_back({record.end_to_end() * 1e3});
    if (record.tokens > 1) tpot.push_back({record.per_token() * 1e3});
    for (const TokenGap& gap : record.gaps)
      itl.push_back({static_cast<double>(gap.seconds) * 1e3, gap.tokens});
  }
  summary.ttft = summarize(std::move(ttft));
  summary.tpot = summarize(std::move(tpot));
  summary.itl = summarize(std::move(itl));
  summary.e2e = summarize(std::move(e2e));
  if (summary.tokens > 0)
    summary.coalesced_share = static_cast<double>(coalesced) / static_cast<double>(summary.tokens);
  if (result.seconds > 0.0) summary.client_share = result.cpu_seconds / result.seconds;
  return summary;
}

std::string level_name(const LoadLevel& level) {
  return level.rate > 0.0 ? fmt::format("{:g} requests/s", level.rate)
                          : fmt::format("concurrency {}", level.concurrency);
}

bool has_limits(const LoadOptions& options) {
  return options.slo_ttft_ms > 0.0 || options.slo_tpot_ms > 0.0 || options.slo_e2e_ms > 0.0;
}

void print_level(const LoadSummary& summary, const LoadOptions& options) {
  fmt::print("\n{}: {} answers in {:.2f} s{}\n", level_name(summary.level), summary.completed,
             summary.seconds, summary.is_interrupted ? ", interrupted" : "");
  print_failures(summary);
  if (summary.completed == 0) {
    std::fflush(stdout);
    return;
  }
  fmt::print("  {:.3f} requests/s, {:.1f} tokens/s out, {:.1f} in; {} at once at most\n", summary.qps(),
             summary.tokens_per_s(), summary.prompt_tokens_per_s(), summary.most_at_once);
  if (has_limits(options)) {
    fmt::print("  goodput {:.3f} requests/s: {} of the answers within the limits\n", summary.goodput(),
               share_text(summary.good, summary.completed));
  }
  fmt::print("  {:<24}{:>10}{:>10}{:>10}{:>10}\n", "ms", "mean", "p50", "p90", "p99");
  print_latency("to the first token", summary.ttft);
  print_latency("per token after it", summary.tpot);
  print_latency("between tokens", summary.itl);
  print_latency("end to end", summary.e2e);
  if (summary.coalesced_share > 0.01) {
    fmt::print(
        "  {:.0f} % of the tokens came along with another, or have no text: times are spread over them\n",
        100 * summary.coalesced_share);
  }
  if (summary.uncounted > 0) {
    fmt::print("  {} answers without a usage: every event with text is taken for a token\n",
               summary.uncounted);
  }
  if (summary.client_share > kBusyShare) {
    fmt::print("  this client was busy for {:.0f} % of the time: it may be what was measured\n",
               100 * summary.client_share);
  }
  std::fflush(stdout);
}

void print_sweep(const LoadReport& report) {
  fmt::print("\n{:<18}{:>8}{:>8}{:>10}{:>10}{:>11}{:>11}{:>11}{:>11}{:>11}{:>11}", "", "answers", "failed",
             "QPS", "tokens/s", "TTFT mean", "TTFT p99", "TPOT mean", "TPOT p99", "E2E mean", "E2E p99");
  fmt::print("{}\n", has_limits(report.options) ? "   goodput" : "");
  for (const LoadSummary& summary : report.levels) {
    fmt::print("{:<18}{:>8}{:>8}{:>10.3f}{:>10.1f}{:>11.2f}{:>11.2f}{:>11.2f}{:>11.2f}{:>11.1f}{:>11.1f}",
               level_name(summary.level), summary.completed, summary.failed, summary.qps(),
               summary.tokens_per_s(), summary.ttft.mean, summary.ttft.p99, summary.tpot.mean,
               summary.tpot.p99, summary.e2e.mean, summary.e2e.p99);
    if (has_limits(report.options)) fmt::print("{:>10.3f}", summary.goodput());
    fmt::print("\n");
  }
}

std::string verdict(const LoadReport& report) {
  int64_t completed = 0;
  int64_t server_errors = 0;
  int64_t mismatches = 0;
  int64_t taken = 0;
  int64_t others = 0;
  for (const LoadSummary& summary : report.levels) {
    const auto errors = [&](LoadError kind) { return summary.errors[static_cast<std::size_t>(kind)]; };
    completed += summary.completed + summary.garbage.refused + summary.vanished;
    server_errors += summary.server_errors + errors(LoadError::kErrorEvent);
    mismatches += errors(LoadError::kMismatch);
    taken += summary.garbage.taken;
    others += summary.failed - errors(LoadError::kMismatch) - errors(LoadError::kErrorEvent) -
              errors(LoadError::kStatus);
  }
  std::string text;
  const auto add = [&](int64_t count, const char* what) {
    if (count > 0) text += fmt::format("{}{} {}", text.empty() ? "" : ", ", count, what);
  };
  add(mismatches, "answers that differ from the first of their prompt");
  add(server_errors, "server errors (5xx, or as an event in a stream)");
  add(taken, "broken requests that were not refused");
  // A run that checks answers is to show that nothing goes wrong; a benchmark may overload.
  if (report.options.check_repeat) add(others, "other failures");
  if (text.empty() && completed == 0) text = "not one answer was whole";
  return text;
}

json::object to_json(const LoadReport& report) {
  json::array results;
  for (const LoadSummary& summary : report.levels) results.push_back(to_json(summary, report.options));
  const LoadOptions& options = report.options;
  json::object asked = {{"max_tokens", options.max_tokens},
                        {"num_requests", options.num_requests},
                        {"duration_s", options.duration_seconds},
                        {"warmup", options.warmup},
                        {"seed", options.seed},
                        {"ignore_eos", options.ignore_eos},
                        {"vanish", options.vanish},
                        {"garbage", options.garbage},
                        {"check_repeat", options.check_repeat},
                        {"slo_ttft_ms", options.slo_ttft_ms},
                        {"slo_tpot_ms", options.slo_tpot_ms},
                        {"slo_e2e_ms", options.slo_e2e_ms}};
  if (options.prompts.empty()) asked["input_len"] = options.input_tokens;
  if (options.temperature) asked["temperature"] = *options.temperature;
  return {{"url", report.url},
          {"endpoint", options.endpoint},
          {"model", report.model},
          {"prompts", report.about_prompts},
          {"options", std::move(asked)},
          {"verdict", verdict(report)},
          {"results", std::move(results)}};
}

}  // namespace gossamer::apps
