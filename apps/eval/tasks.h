// Evaluations as functions, for commands other than `gossamer eval` that run them (`gossamer run`).
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "apps/eval/eval_run.h"

namespace gossamer::apps {

struct CevalOptions {
  EvalOptions common;
  std::string split = "val";
  std::size_t num_examples = 5;
  std::vector<std::string> subjects;  // empty: all
  bool chat = false;
  int64_t max_new_tokens = 4096;
};

struct BoolqOptions {
  EvalOptions common;
  std::string file;
  bool chat = false;
  int64_t max_new_tokens = 2048;
};

// Throw Error.
void run_ceval(const CevalOptions& options);
void run_boolq(const BoolqOptions& options);

}  // namespace gossamer::apps
