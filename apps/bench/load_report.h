// What `gossamer bench serve` found, as text and JSON (here) and as a page with plots (load_page.cc).
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "apps/bench/load_plan.h"
#include "apps/bench/load_run.h"
#include "base/json.h"

namespace gossamer::apps {

// In milliseconds.
struct LatencySummary {
  double mean = 0.0;
  double p50 = 0.0;
  double p90 = 0.0;
  double p99 = 0.0;
  double least = 0.0;
  double most = 0.0;
  std::vector<double> curve;  // p0, p5, ... p100; empty: nothing was measured
};

// `values` with how much each counts.
struct Weighted {
  double value = 0.0;
  double weight = 1.0;
};
LatencySummary summarize(std::vector<Weighted> values);

// One level in figures. Latencies are those of the answers that were whole.
struct LoadSummary {
  LoadLevel level;
  double seconds = 0.0;
  int64_t completed = 0;
  int64_t failed = 0;
  std::array<int64_t, kNumLoadErrors> errors = {};
  int64_t vanished = 0;
  GarbageCounts garbage;
  int64_t server_errors = 0;
  int64_t too_many = 0;
  int64_t prompt_tokens = 0;
  int64_t tokens = 0;
  int64_t uncounted = 0;  // answers whose tokens the server did not count: events were
  double coalesced_share = 0.0;
  LatencySummary ttft;
  LatencySummary tpot;
  LatencySummary itl;
  LatencySummary e2e;
  int64_t good = 0;           // within the limits
  double client_share = 0.0;  // of one core
  int64_t events = 0;
  double cpu_seconds = 0.0;
  int64_t most_at_once = 0;
  int64_t connections = 0;
  bool is_interrupted = false;
  std::map<std::string, int64_t> complaints;

  double qps() const { return seconds > 0.0 ? static_cast<double>(completed) / seconds : 0.0; }
  double tokens_per_s() const { return seconds > 0.0 ? static_cast<double>(tokens) / seconds : 0.0; }
  double prompt_tokens_per_s() const {
    return seconds > 0.0 ? static_cast<double>(prompt_tokens) / seconds : 0.0;
  }
  double goodput() const { return seconds > 0.0 ? static_cast<double>(good) / seconds : 0.0; }
};

LoadSummary summarize(const LoadResult& result, const LoadOptions& options);

struct LoadReport {
  LoadOptions options;
  std::string url;  // of the endpoint
  std::string model;
  std::string about_prompts;
  std::vector<LoadSummary> levels;
};

// "concurrency 16", "2.5 requests/s".
std::string level_name(const LoadLevel& level);
bool has_limits(const LoadOptions& options);

// One level, and the table of all.
void print_level(const LoadSummary& summary, const LoadOptions& options);
void print_sweep(const LoadReport& report);

// Why the run as a whole is a failure; empty where it is none.
std::string verdict(const LoadReport& report);

json::object to_json(const LoadReport& report);
std::string to_html(const LoadReport& report);

}  // namespace gossamer::apps
