// The backends built into this program. Only this registry and apps/ name concrete backends.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "backend/backend.h"

namespace gossamer {

struct BackendOptions {
  std::string name = "cpu";  // "cpu" or "reference"
  int num_threads = 0;       // 0: the physical cores allowed to this process
  std::string
      instruction_set;  // cpu only: "" = the best one here; else "portable", "avx2", "avx512", "amx", "neon"
  // cpu only (backend/cpu/placement.h says what they mean): "auto", "interleave", "replicate", "off"; "auto",
  // "node", "core", "off"
  std::string numa = "auto";
  std::string pin = "auto";
};

// Throws Error, naming what there is, when the name is unknown or the machine lacks the instruction set.
std::unique_ptr<Backend> create_backend(const BackendOptions& options);

// Instruction sets that create_backend takes for "cpu" on this machine, weakest first.
std::vector<std::string> instruction_sets();

// Names that create_backend takes.
std::vector<std::string> backend_names();

}  // namespace gossamer
