// ProfileFile: `--profile FILE`. Records while a session's engine runs, and when the session ends writes the
// trace into the file and the table of operations on standard error.
#pragma once

#include <cstdint>
#include <string>

#include "base/profiler.h"

namespace CLI {
class App;
}  // namespace CLI

namespace gossamer::apps {

struct ProfileOptions {
  std::string path;         // empty: off
  int64_t spans = 1 << 18;  // kept of each thread
};

// --profile, --profile-spans
void add_profile_options(CLI::App& command, ProfileOptions& options);

class ProfileFile {
 public:
  // `model`: what the trace calls its process. Throws Error when the file cannot be written.
  ProfileFile(const ProfileOptions& options, std::string model, int num_threads);
  // Nothing records any more. What cannot be written is told on standard error.
  ~ProfileFile();
  ProfileFile(const ProfileFile&) = delete;
  ProfileFile& operator=(const ProfileFile&) = delete;

  Profiler& profiler() { return profiler_; }

 private:
  void write() const;

  std::string path_;
  std::string model_;
  Profiler profiler_;
};

}  // namespace gossamer::apps
