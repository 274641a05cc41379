// ServedEngine: a loaded model with the engine and the thread that answer for it. Made by apps/, kept by
// ModelHost, held by every call that runs on it.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "engine/engine_thread.h"
#include "server/served_model.h"

namespace gossamer {

struct ServedEngine {
  std::shared_ptr<void> owner;  // of everything below: goes last
  ServedModel model;
  Engine* engine = nullptr;
  std::unique_ptr<EngineThread> thread;
  int64_t created = 0;  // seconds since 1970
};

}  // namespace gossamer
