#include "backend/registry.h"

#include <fmt/ranges.h>

#include "backend/cpu/cpu_backend.h"
#include "backend/cpu/levels.h"
#include "backend/reference/reference_backend.h"
#include "base/error.h"

namespace gossamer {

std::vector<std::string> instruction_sets() { return cpu::available_levels(); }

std::vector<std::string> backend_names() { return {"cpu", "reference"}; }

std::unique_ptr<Backend> create_backend(const BackendOptions& options) {
  if (options.name == "cpu") {
    return create_cpu_backend(options.num_threads, options.instruction_set,
                              {.numa = options.numa, .pin = options.pin});
  }
  if (options.name == "reference") return create_reference_backend();
  throw Error("there is no backend \"{}\"; there are {}", options.name, fmt::join(backend_names(), ", "));
}

}  // namespace gossamer
