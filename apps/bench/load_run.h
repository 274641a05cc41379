// One level of `gossamer bench serve`: its requests sent, in a closed or an open loop, and what came of them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "apps/bench/load_plan.h"
#include "apps/bench/load_stream.h"
#include "apps/terminal.h"
#include "http/http_client.h"

namespace gossamer::apps {

struct LoadLevel {
  int64_t concurrency = 1;  // 0: any number
  double rate = 0.0;        // requests a second; 0: a closed loop
};

// What one run sends.
struct LoadShape {
  LoadLevel level;
  int64_t num_requests = 0;       // 0: until the time is over
  double duration_seconds = 0.0;  // 0: until the requests are over
  double vanish = 0.0;
  double garbage = 0.0;
  uint64_t seed = 0;
};

// By what the server said to broken requests.
struct GarbageCounts {
  int64_t sent = 0;
  int64_t refused = 0;  // 4xx
  int64_t closed = 0;   // the connection, without a word, where that will do
  int64_t taken = 0;    // anything else
};

struct LoadResult {
  LoadLevel level;
  double seconds = 0.0;             // from the first request to the last end
  std::vector<LoadRecord> records;  // those whose client stayed; without their answers
  int64_t vanished = 0;
  GarbageCounts garbage;
  int64_t server_errors = 0;  // 5xx, whoever got it
  int64_t too_many = 0;       // 429
  int64_t events = 0;
  int64_t most_at_once = 0;
  int64_t connections = 0;   // opened
  double cpu_seconds = 0.0;  // of this program
  bool is_interrupted = false;
  std::map<std::string, int64_t> complaints;  // what went wrong in words, at most some tens of different ones
};

// The first answer that each prompt got: from then on, every other must be the same.
using FirstAnswers = std::map<std::size_t, std::string>;

// `answers`: compared with, and added to; nothing: answers may differ.
LoadResult run_load(HttpClient& client, LoadPlan& plan, const LoadShape& shape, FirstAnswers* answers,
                    const InterruptFlag& interrupt);

}  // namespace gossamer::apps
