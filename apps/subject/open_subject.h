// What eval and verify question, from a MODEL_OR_URL argument: a model folder, loaded into an engine of this
// process, or the address of an OpenAI-compatible endpoint.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "apps/chat_form.h"
#include "apps/serving_options.h"
#include "apps/session.h"
#include "apps/subject/subject.h"

namespace gossamer::apps {

// "http://..." or "https://...".
bool is_url(std::string_view model_or_url);

struct SubjectOptions {
  ModelOptions model;  // ::model is the argument, a URL too
  ServingOptions serving;
  ChatOptions chat;
};

// Loads the model, showing progress, or asks the endpoint what it serves. Throws Error.
std::unique_ptr<Subject> open_subject(const SubjectOptions& options);

}  // namespace gossamer::apps
