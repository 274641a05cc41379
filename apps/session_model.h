// SessionModel: a session as the model that a server answers for: opened and checked, its memory planned,
// loaded when the host asks for it. Used by serve, and by verify for the server inside its process.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "apps/serving_options.h"
#include "apps/session.h"
#include "server/model_host.h"
#include "server/server_log.h"

namespace gossamer::apps {

struct SessionModelOptions {
  ServingOptions serving;
  std::vector<std::string> served_names;
  int64_t max_waiting_requests = 1024;
  int64_t max_waiting_tokens = 4'000'000;
  std::string current_date = "none";  // "today", "YYYY-MM-DD"
};

// load() plans the memory that is there by then, unless plan() has.
class SessionModel final : public OpenedModel {
 public:
  // Opens and checks; throws Error. `log` outlives this.
  SessionModel(const ModelOptions& model, const SessionModelOptions& options, ServerLog& log);

  std::string name() const override { return session_->options().model; }
  // Until load() the opened folder is there; afterwards the served engine owns it.
  const Session& session() const { return *session_; }

  // Throws Error when the model does not fit into the memory that is there now.
  void plan() { plan_ = plan_serving(*session_, options_.serving); }

  std::shared_ptr<ServedEngine> load(const LoadProgressSink& progress) override;

 private:
  void describe(const MemoryPlan& plan, const ServedEngine& served) const;

  SessionModelOptions options_;
  ServerLog& log_;
  std::shared_ptr<Session> session_;
  std::set<std::string, std::less<>> formats_;  // of the weights
  std::set<std::string, std::less<>> activations_;
  std::string kv_cache_;
  std::optional<MemoryPlan> plan_;
};

}  // namespace gossamer::apps
