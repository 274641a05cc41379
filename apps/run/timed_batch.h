// A batch of requests through an engine, step by step, with the time of every step: what `gossamer run` says
// about speed comes from here.
#pragma once

#include <cstdint>
#include <vector>

#include "engine/engine.h"

namespace gossamer::apps {

// A step that computed something. The first phase lasts until every sequence has its first token: with
// several sequences the earliest may have more by then.
struct TimedStep {
  bool in_first_phase = false;
  StepRecord record;
};

struct TimedBatch {
  struct Sequence {
    std::vector<int32_t> tokens;  // a stop token included
    bool stopped = false;         // by a stop token; else max_new_tokens were reached
  };
  std::vector<Sequence> sequences;  // as the requests
  std::vector<TimedStep> steps;
  double seconds = 0.0;  // from the first submission to the last token

  double first_forward_seconds() const;  // of all steps of the first phase
  // Means over the steps behind it, of those that ran every sequence where there are such; 0 where there are
  // none at all.
  StepRecord mean_next() const;
};

// Throws Error when the engine refuses or fails a request.
TimedBatch run_timed_batch(Engine& engine, std::vector<Request> requests);

}  // namespace gossamer::apps
