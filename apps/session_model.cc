#include "apps/session_model.h"

#include <fmt/ranges.h>

#include <ctime>
#include <sstream>
#include <tuple>
#include <utility>

#include "apps/served_session.h"
#include "base/system_memory.h"
#include "server/grammar_cache.h"

namespace gossamer::apps {
namespace {

std::optional<std::string> date_of(const std::string& option) {
  if (option == "none") return std::nullopt;
  if (option != "today") return option;
  const std::time_t now = std::time(nullptr);
  std::tm local = {};
  localtime_r(&now, &local);
  return fmt::format("{:04}-{:02}-{:02}", local.tm_year + 1900, local.tm_mon + 1, local.tm_mday);
}

}  // namespace

SessionModel::SessionModel(const ModelOptions& model, const SessionModelOptions& options, ServerLog& log)
    : options_(options), log_(log), session_(std::make_shared<Session>(model)) {
  (void)session_->require_tokenizer();
  const Precision& precision = session_->folder().precision;
  for (const ResolvedMatrix& matrix : session_->folder().matrices) {
    formats_.emplace(format_info(precision.format_of(matrix)).name);
    activations_.emplace(dtype_name(precision.activation_of(matrix)));
  }
  kv_cache_ = dtype_name(precision.kv_cache);
}

std::shared_ptr<ServedEngine> SessionModel::load(const LoadProgressSink& progress) {
  if (!plan_) plan();
  const MemoryPlan plan = *plan_;
  EngineSettings settings = serving_settings(options_.serving);
  settings.max_waiting_requests = options_.max_waiting_requests;
  settings.max_waiting_tokens = options_.max_waiting_tokens;
  session_->load(plan, settings, progress);
  auto served = std::make_shared<ServedEngine>();
  auto owner = std::make_shared<std::pair<std::shared_ptr<Session>, GrammarCache>>(
      std::piecewise_construct, std::forward_as_tuple(session_),
      std::forward_as_tuple(session_->require_tokenizer()));
  owner->second.warm();
  served->model = served_model(*session_, owner->second, options_.served_names);
  served->model.date = date_of(options_.current_date);
  served->engine = &session_->engine();
  served->created = static_cast<int64_t>(std::time(nullptr));
  describe(plan, *served);
  served->owner = owner;
  served->thread = std::make_unique<EngineThread>(*served->engine);
  return served;
}

void SessionModel::describe(const MemoryPlan& plan, const ServedEngine& served) const {
  const EngineLimits& limits = plan.limits;
  log_.note(fmt::format("model: {} ({}), called {}, loaded in {:.1f} s", name(),
                        session_->info().architecture, fmt::join(served.model.names, ", "),
                        session_->load_seconds()));
  log_.note(fmt::format("formats: weights {}; activations {}, KV cache {}", fmt::join(formats_, ", "),
                        fmt::join(activations_, ", "), kv_cache_));
  // A line for the machine, then one for each format; those that this model has.
  std::istringstream kernels(session_->backend().describe());
  std::string line;
  for (bool is_first = true; std::getline(kernels, line); is_first = false) {
    std::string format;
    std::istringstream(line) >> format;
    if (is_first || formats_.contains(format)) log_.note("kernels: " + line);
  }
  log_.note(fmt::format("memory: weights {}, KV cache {} for {}, workspace {}", format_bytes(plan.weights),
                        format_bytes(plan.kv), count_tokens(limits.kv_cache_tokens),
                        format_bytes(plan.workspace)));
  log_.note(fmt::format("limits: {} a sequence, {} sequences at once, {} requests waiting",
                        count_tokens(limits.max_model_len), limits.max_num_seqs,
                        options_.max_waiting_requests));
}

}  // namespace gossamer::apps
