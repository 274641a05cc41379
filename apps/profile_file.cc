#include "apps/profile_file.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <exception>
#include <fstream>
#include <utility>

#include "apps/text_files.h"
#include "base/profile_report.h"

namespace gossamer::apps {

void add_profile_options(CLI::App& command, ProfileOptions& options) {
  command
      .add_option("--profile", options.path,
                  "Write what ran when, on which thread, with bytes and FLOPs, to this file for Perfetto "
                  "(ui.perfetto.dev) or chrome://tracing, and a table of the operations on standard error. "
                  "Results do not depend on it")
      ->option_text("FILE");
  command
      .add_option("--profile-spans", options.spans,
                  "The most that --profile keeps of each thread, in the order of time: 24 to 48 bytes each. "
                  "The table counts everything")
      ->check(CLI::Range(int64_t{1}, int64_t{1} << 28))
      ->capture_default_str();
}

ProfileFile::ProfileFile(const ProfileOptions& options, std::string model, int num_threads)
    : path_(options.path),
      model_(std::move(model)),
      profiler_(num_threads, static_cast<std::size_t>(options.spans)) {
  check_output_path(path_);
}

ProfileFile::~ProfileFile() {
  try {
    write();
  } catch (const std::exception& error) {  // out of memory: the run itself stands
    fmt::print(stderr, "gossamer: --profile {}: {}\n", path_, error.what());
  }
}

void ProfileFile::write() const {
  const ProfileSummary summary = summarize(profiler_);
  std::ofstream file(path_, std::ios::binary);
  write_trace(profiler_, "gossamer " + model_, file);
  file.flush();
  fmt::print(stderr, "\ngossamer: profile of {} steps\n{}", summary.num_steps, to_text(summary));
  if (!file) {
    fmt::print(stderr, "gossamer: --profile {}: cannot write the file; the table above is all there is\n",
               path_);
    return;
  }
  fmt::print(stderr, "gossamer: {} spans in {}\n", summary.num_spans, path_);
  if (summary.num_dropped > 0) {
    fmt::print(stderr,
               "gossamer: {} more came when --profile-spans {} were full: the trace lacks them, the table "
               "counts them\n",
               summary.num_dropped, profiler_.spans_per_thread());
  }
}

}  // namespace gossamer::apps
