// CallReport: how one call went, for the log and the metrics. Made by CallRun.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "server/call_response.h"

namespace gossamer {

struct CallReport {
  int status = 200;
  std::string error;  // message, where there was one
  bool disconnected = false;
  TokenUsage usage;
  CallTimes times;
  HarmonyRecoveryCounts recoveries;
  std::string finish_reason;                  // of the first choice
  std::optional<double> first_token_seconds;  // from the request's first byte
  double seconds = 0.0;                       // to the end, from there
};

}  // namespace gossamer
