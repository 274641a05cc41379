// The sub-commands of `gossamer verify`, one file each, and what they share.
#pragma once

#include <CLI/CLI.hpp>

namespace gossamer::apps {

void add_verify_needle(CLI::App& verify);
void add_verify_precision(CLI::App& verify);
void add_verify_record(CLI::App& verify);

// Ends a command whose checks were made and did not pass: main() returns 2, where 1 is an error that kept it
// from checking.
inline constexpr int kVerdictFailed = 2;
[[noreturn]] inline void exit_with_failed_verdict() { throw CLI::RuntimeError(kVerdictFailed); }

}  // namespace gossamer::apps
