#include "apps/run/case_log.h"

#include <array>
#include <chrono>
#include <cstdio>
#include <ctime>

#include "apps/text_files.h"
#include "base/error.h"

namespace gossamer::apps {
namespace {

std::string local_time(std::time_t time, const char* format) {
  std::tm local{};
  localtime_r(&time, &local);
  std::array<char, 32> text{};
  return {text.data(), std::strftime(text.data(), text.size(), format, &local)};
}

}  // namespace

std::string date_stamp() { return local_time(std::time(nullptr), "%Y%m%d"); }
std::string time_stamp() { return local_time(std::time(nullptr), "%Y%m%d%H%M%S"); }

CaseLog::CaseLog(std::string path) : path_(std::move(path)) {
  check_output_path(path_);
  file_.open(path_, std::ios::binary);
  if (!file_) throw Error("{}: cannot write the file", path_);
}

void CaseLog::write(const char* level, const std::string& text) {
  using std::chrono::milliseconds;
  using std::chrono::system_clock;
  const system_clock::time_point now = system_clock::now();
  const auto part = std::chrono::duration_cast<milliseconds>(now.time_since_epoch()).count() % 1000;
  const std::string line =
      fmt::format("{},{:03} - {} - [LLM](gossamer): {}\n",
                  local_time(system_clock::to_time_t(now), "%Y-%m-%d %H:%M:%S"), part, level, text);
  std::fputs(line.c_str(), stdout);
  std::fflush(stdout);
  file_ << line << std::flush;
  if (!file_) throw Error("{}: cannot write the file", path_);
}

}  // namespace gossamer::apps
