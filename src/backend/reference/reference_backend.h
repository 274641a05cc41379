// The reference backend: plain loops in double precision, one thread, no cleverness. It defines what is
// correct; every other backend is tested against it. Intermediate tensors are stored in the dtypes of the
// contract (backend.h).
#pragma once

#include <memory>

#include "backend/backend.h"

namespace gossamer {

std::unique_ptr<Backend> create_reference_backend();

}  // namespace gossamer
