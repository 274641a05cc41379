// Logging: spdlog on standard error. Components log through these names so that the sink is set up once, in
// apps/.
#pragma once

#include <spdlog/spdlog.h>

namespace gossamer {

namespace log = spdlog;

}  // namespace gossamer
