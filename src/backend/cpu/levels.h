// The instruction sets this build has kernels for, and the choice among them.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "backend/cpu/kernel_table.h"

namespace gossamer::cpu {

// Levels that this processor and operating system can run, weakest first; never empty.
std::vector<std::string> available_levels();

// The kernels of `level`, or of the best level when it is empty. Throws Error naming the available ones when
// this machine cannot run it.
const KernelTable& choose_kernels(std::string_view level);

}  // namespace gossamer::cpu
