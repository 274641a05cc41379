#include "server/server_metrics.h"

#include <prometheus/collectable.h>
#include <prometheus/counter.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>
#include <prometheus/text_serializer.h>

#include <chrono>
#include <utility>
#include <vector>

#include "base/system_memory.h"
#include "text/harmony_recovery.h"

namespace gossamer {
namespace {

using prometheus::ClientMetric;
using prometheus::MetricFamily;
using prometheus::MetricType;

using Buckets = prometheus::Histogram::BucketBoundaries;

// From a prefix-cache hit on a small model to a long prompt on a large one.
const Buckets kLatencyBuckets = {0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5,
                                 1.0,   2.5,    5.0,   10.0, 25.0,  50.0, 100, 250,  500};
const Buckets kTokenTimeBuckets = {0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01,
                                   0.025,  0.05,    0.1,    0.25,  0.5,    1.0,   2.5};
const Buckets kTokenCountBuckets = {1, 4, 16, 64, 256, 1024, 4096, 16384, 65536};

// One family with one value for each of the given labels.
class FamilyBuilder {
 public:
  FamilyBuilder(std::string name, std::string help, MetricType type) {
    family_.name = std::move(name);
    family_.help = std::move(help);
    family_.type = type;
  }
  FamilyBuilder&& add(double value, const std::vector<std::pair<std::string, std::string>>& labels = {}) && {
    ClientMetric metric;
    for (const auto& [name, text] : labels) metric.label.push_back({name, text});
    (family_.type == MetricType::Counter ? metric.counter.value : metric.gauge.value) = value;
    family_.metric.push_back(std::move(metric));
    return std::move(*this);
  }
  MetricFamily take() && { return std::move(family_); }

 private:
  MetricFamily family_;
};

MetricFamily gauge(std::string name, std::string help, double value) {
  return FamilyBuilder(std::move(name), std::move(help), MetricType::Gauge).add(value).take();
}

MetricFamily counter(std::string name, std::string help, int64_t value) {
  return FamilyBuilder(std::move(name), std::move(help), MetricType::Counter)
      .add(static_cast<double>(value))
      .take();
}

void add_engine(const ServedEngine& served, std::vector<MetricFamily>& out) {
  const EngineLoad load = served.engine->load();
  const EngineHeartbeat heartbeat = served.thread->heartbeat();
  const int64_t free_pages = load.total_pages - load.used_pages - load.cached_pages;
  out.push_back(FamilyBuilder("gossamer_model_info", "The model that is served.", MetricType::Gauge)
                    .add(1.0, {{"model", served.model.names.front()}})
                    .take());
  out.push_back(gauge("gossamer_sequences_running", "Sequences that have steps.",
                      static_cast<double>(load.running_sequences)));
  out.push_back(gauge("gossamer_requests_waiting", "Requests in the engine's queue.",
                      static_cast<double>(load.waiting_requests)));
  out.push_back(gauge("gossamer_prompt_tokens_waiting", "Tokens of their prompts.",
                      static_cast<double>(load.waiting_tokens)));
  out.push_back(FamilyBuilder("gossamer_kv_pages",
                              "Pages of the KV cache, of the layers that keep everything.", MetricType::Gauge)
                    .add(static_cast<double>(load.used_pages), {{"state", "used"}})
                    .add(static_cast<double>(load.cached_pages), {{"state", "cached"}})
                    .add(static_cast<double>(free_pages), {{"state", "free"}})
                    .take());
  out.push_back(gauge("gossamer_seconds_since_engine_step", "Since a step of the engine ended last.",
                      heartbeat.seconds_since_step));
  out.push_back(counter("gossamer_engine_steps_total", "Steps of the engine.", load.steps));
  out.push_back(
      counter("gossamer_prompt_tokens_total", "Tokens of prompts that began to run.", load.prompt_tokens));
  out.push_back(
      counter("gossamer_cached_prompt_tokens_total", "Those found in the prefix cache.", load.cached_tokens));
  out.push_back(counter("gossamer_generated_tokens_total", "Tokens that were sampled.", load.new_tokens));
  out.push_back(counter("gossamer_preemptions_total", "Sequences whose pages were given to older ones.",
                        load.preemptions));
  out.push_back(
      counter("gossamer_drafted_tokens_total", "Tokens that speculation proposed.", load.drafted_tokens));
  out.push_back(
      counter("gossamer_accepted_draft_tokens_total", "Those that were right.", load.accepted_tokens));
}

}  // namespace

class ServerMetrics::Impl {
 public:
  Impl(const ModelHost& host, const std::string& version) : host_(host), version_(version) {}

  void count_response(std::string_view route, int status) {
    responses_.Add({{"route", std::string(route)}, {"status", std::to_string(status)}}).Increment();
  }

  void count_call(const CallReport& report) {
    for (std::size_t i = 0; i < kNumHarmonyRecoveries; ++i) {
      const auto kind = static_cast<HarmonyRecovery>(i);
      if (const uint64_t count = report.recoveries.of(kind); count > 0)
        recoveries_.Add({{"kind", std::string(to_string(kind))}}).Increment(static_cast<double>(count));
    }
    if (report.disconnected) disconnects_.Increment();
    if (report.status != 200 || report.disconnected) return;  // half an answer has no latencies
    queue_.Observe(report.times.queue_seconds);
    end_to_end_.Observe(report.seconds);
    prompt_tokens_.Observe(static_cast<double>(report.usage.prompt_tokens));
    completion_tokens_.Observe(static_cast<double>(report.usage.completion_tokens));
    if (!report.first_token_seconds) return;
    first_token_.Observe(*report.first_token_seconds);
    if (report.usage.completion_tokens > 1) {
      token_time_.Observe((report.seconds - *report.first_token_seconds) /
                          static_cast<double>(report.usage.completion_tokens - 1));
    }
  }

  std::string text() const {
    std::vector<MetricFamily> families = registry_.Collect();
    families.push_back(FamilyBuilder("gossamer_build_info", "The program's version.", MetricType::Gauge)
                           .add(1.0, {{"version", version_}})
                           .take());
    families.push_back(
        gauge("process_start_time_seconds", "When this process began, in seconds since 1970.", start_));
    families.push_back(gauge("process_resident_memory_bytes", "Resident memory of this process.",
                             static_cast<double>(resident_bytes())));
    const std::shared_ptr<ServedEngine> served = host_.current();
    families.push_back(gauge("gossamer_ready", "1: a model is loaded and answers.", served ? 1.0 : 0.0));
    if (served) add_engine(*served, families);
    return prometheus::TextSerializer().Serialize(families);
  }

 private:
  prometheus::Histogram& histogram(const std::string& name, const std::string& help, const Buckets& buckets) {
    return prometheus::BuildHistogram().Name(name).Help(help).Register(registry_).Add({}, buckets);
  }

  const ModelHost& host_;
  std::string version_;
  double start_ = std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
  prometheus::Registry registry_;
  prometheus::Family<prometheus::Counter>& responses_ =
      prometheus::BuildCounter()
          .Name("gossamer_http_responses_total")
          .Help("Answered HTTP requests, by route and status.")
          .Register(registry_);
  prometheus::Family<prometheus::Counter>& recoveries_ =
      prometheus::BuildCounter()
          .Name("gossamer_harmony_recoveries_total")
          .Help("Places where a model broke the Harmony format and was understood all the same.")
          .Register(registry_);
  prometheus::Counter& disconnects_ = prometheus::BuildCounter()
                                          .Name("gossamer_client_disconnects_total")
                                          .Help("Calls whose client went before the answer was complete.")
                                          .Register(registry_)
                                          .Add({});
  prometheus::Histogram& queue_ =
      histogram("gossamer_queue_seconds", "From the engine's queue to the first step.", kLatencyBuckets);
  prometheus::Histogram& first_token_ =
      histogram("gossamer_time_to_first_token_seconds", "From a request's first byte to its first token.",
                kLatencyBuckets);
  prometheus::Histogram& token_time_ =
      histogram("gossamer_time_per_output_token_seconds",
                "Of the tokens behind the first, the mean of a request.", kTokenTimeBuckets);
  prometheus::Histogram& end_to_end_ = histogram(
      "gossamer_request_seconds", "From a request's first byte to its last token.", kLatencyBuckets);
  prometheus::Histogram& prompt_tokens_ =
      histogram("gossamer_request_prompt_tokens", "Prompt tokens of a request.", kTokenCountBuckets);
  prometheus::Histogram& completion_tokens_ =
      histogram("gossamer_request_completion_tokens", "Tokens of an answer.", kTokenCountBuckets);
};

ServerMetrics::ServerMetrics(const ModelHost& host, const std::string& version)
    : impl_(std::make_unique<Impl>(host, version)) {}
ServerMetrics::~ServerMetrics() = default;

void ServerMetrics::count_response(std::string_view route, int status) {
  impl_->count_response(route, status);
}
void ServerMetrics::count_call(const CallReport& report) { impl_->count_call(report); }
std::string ServerMetrics::text() const { return impl_->text(); }

}  // namespace gossamer
