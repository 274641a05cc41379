// What an INI run file asks for: config.ini of atb_speed_sdk, with the tasks inference, precision and
// performance. Called by sdk_run.cc.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "apps/run/run_file.h"

namespace gossamer::apps {

// Tokens of a prompt and of its answer.
struct PerformanceCase {
  int64_t input = 0;
  int64_t output = 0;
};

struct SdkSettings {
  std::string model_path;
  std::string log_dir = ".";
  bool bind_cpu = true;

  // [inference], which is ours: the SDK's demo has its questions in its program.
  std::string prompt_file;
  int64_t max_new_tokens = 64;

  struct Precision {
    std::string mode = "ceval";  // or boolq
    std::string work_dir;
    int64_t batch = 1;
    int64_t shot = 5;
  };
  Precision precision;

  struct Performance {
    std::string model_name;
    std::vector<int64_t> batch_sizes = {1};
    std::vector<PerformanceCase> cases;
    std::string cases_where;
    std::string save_file_name;
    bool detail = false;
    bool skip_decode = true;
  };
  Performance performance;
};

// Takes every key of the file, also of tasks that do not run now. Throws Error naming file and line.
SdkSettings read_sdk(RunFile& file);

}  // namespace gossamer::apps
