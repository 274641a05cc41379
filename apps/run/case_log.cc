#include "apps/run/case_log.h"

#include <array>
#include <chrono>
#include <cstdio>
#include <ctime>

#include "apps/text_files.h"
#include "base/error.h"

namespace gossamer::apps {
namespace {

std::string local_time(const char* format) {
  const std::time_t now = std::time(nullptr);
  std::tm local{};
  localtime_r(&now, &local);
  std::array<char, 32> text{};
  return {text.data(), std::strftime(text.data(), text.size(), format, &local)};
}

}  // namespace

std::string date_stamp() { return local_time("%Y%m%d"); }
std::string time_stamp() { return local_time("%Y%m%d%H%M%S"); }

CaseLog::CaseLog(std::string path) : path_(std::move(path)) {
  check_output_path(path_);
  file_.open(path_, std::ios::binary);
  if (!file_) throw Error("{}: cannot write the file", path_);
}

void CaseLog::write(const char* level, const std::string& text) {
  using std::chrono::milliseconds;
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  const auto part = std::chrono::duration_cast<milliseconds>(now).count() % 1000;
  const std::string line = fmt::format("{},{:03} - {} - [LLM](gossamer): {}\n",
                                       local_time("%Y-%m-%d %H:%M:%S"), part, level, text);
  std::fputs(line.c_str(), stdout);
  std::fflush(stdout);
  file_ << line << std::flush;
  if (!file_) throw Error("{}: cannot write the file", path_);
}

}  // namespace gossamer::apps
