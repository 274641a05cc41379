// What batch and serve make of a session: the model as the endpoints see it.
#pragma once

#include <string>
#include <vector>

#include "apps/session.h"
#include "server/served_model.h"

namespace gossamer::apps {

// Of a loaded session, which outlives it. `names`: what requests may call the model; none: the argument
// itself, and the folder's name.
ServedModel served_model(Session& session, std::vector<std::string> names);

}  // namespace gossamer::apps
