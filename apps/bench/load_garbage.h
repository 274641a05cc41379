// Requests that no server should take: for `gossamer bench serve --garbage`.
#pragma once

#include <cstddef>
#include <string>

#include "apps/bench/load_plan.h"
#include "http/http_client.h"

namespace gossamer::apps {

struct GarbageRequest {
  const char* name = "";
  HttpCall call;
  // What is no HTTP, or does not arrive whole, may be answered by closing the connection alone.
  bool may_close = false;
};

inline constexpr std::size_t kNumGarbageKinds = 13;

// A request of each kind, by number.
GarbageRequest make_garbage(std::size_t kind, const LoadPlan& plan);

}  // namespace gossamer::apps
