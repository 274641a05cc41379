// ObservingBackend: another backend that shows somebody what goes through its products. For calibration and
// error reports (`gossamer calibrate`, `gossamer quality`); the numbers computed are the other's, bit for
// bit.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "backend/backend.h"

namespace gossamer {

// Rows of floats on the host; valid during the call. [num_rows, dim]
struct ObservedRows {
  const float* numbers = nullptr;
  int64_t num_rows = 0;
  int64_t dim = 0;
};

// Each may be empty. `name` is WeightSource::name. Of the expert feed-forward, which is one operation, the
// input belongs to gate_up's name and the output to down's.
struct ProductObserver {
  std::function<void(const WeightSource& source)> on_prepare;  // before the source is read
  std::function<void(const std::string& name, const ObservedRows& x)> on_input;
  // What a product adds to its `inout`, or its `out`.
  std::function<void(const std::string& name, const ObservedRows& y)> on_output;
};

std::unique_ptr<Backend> create_observing_backend(std::unique_ptr<Backend> backend, ProductObserver observer);

}  // namespace gossamer
