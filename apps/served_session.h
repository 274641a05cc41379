// What batch and serve make of a session: the model as the endpoints see it.
#pragma once

#include <string>
#include <vector>

#include "apps/session.h"
#include "server/grammar_cache.h"
#include "server/served_model.h"

namespace CLI {
class App;
}  // namespace CLI

namespace gossamer::apps {

// Of a loaded session; it and `grammars` outlive the result. `names`: what requests may call the model; none:
// the argument itself, and the folder's name.
ServedModel served_model(Session& session, GrammarCache& grammars, std::vector<std::string> names);

// --served-model-name
void add_served_names(CLI::App& command, std::vector<std::string>& names);

}  // namespace gossamer::apps
