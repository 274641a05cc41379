#include "apps/served_session.h"

#include <CLI/CLI.hpp>
#include <filesystem>
#include <utility>

namespace gossamer::apps {

ServedModel served_model(Session& session, GrammarCache& grammars, std::vector<std::string> names) {
  if (names.empty()) {
    names = {session.options().model};
    const std::string folder = std::filesystem::weakly_canonical(session.path()).filename().string();
    if (!folder.empty() && folder != names.front()) names.push_back(folder);
  }
  return {.names = std::move(names),
          .tokenizer = &session.require_tokenizer(),
          .grammars = &grammars,
          .has_chat_form = session.has_chat_form(),
          .chat_template = session.chat_template(),
          .chat_template_problem = session.chat_template_problem(),
          .vocab_size = session.info().vocab_size,
          .max_model_len = session.engine().options().limits.max_model_len,
          .sampling = session.defaults().sampling,
          .eos_ids = session.defaults().eos_ids};
}

void add_served_names(CLI::App& command, std::vector<std::string>& names) {
  command
      .add_option("--served-model-name", names,
                  "What requests may write as their model; may be repeated. Default: MODEL, and its folder's "
                  "name. Other names get a 404")
      ->allow_extra_args(false);
}

}  // namespace gossamer::apps
