// ServerMetrics: what Prometheus is told at /metrics. Names follow its conventions; docs/server.md lists
// them.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "server/call_report.h"
#include "server/model_host.h"

namespace gossamer {

class ServerMetrics {
 public:
  // `host` outlives this: what its engine counts is read when somebody asks.
  ServerMetrics(const ModelHost& host, const std::string& version);
  ~ServerMetrics();

  // Any request that was answered. `route`: a route's pattern, never what a client made up.
  void count_response(std::string_view route, int status);
  // A call that ran, or was refused by the engine.
  void count_call(const CallReport& report);

  // In the text format 0.0.4.
  std::string text() const;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace gossamer
