// What eval and verify question, from a MODEL_OR_URL argument: a model folder, loaded into an engine of this
// process, or the address of an OpenAI-compatible endpoint.
#pragma once

#include <CLI/CLI.hpp>
#include <memory>
#include <string>
#include <string_view>

#include "apps/chat_form.h"
#include "apps/endpoint.h"
#include "apps/serving_options.h"
#include "apps/session.h"
#include "apps/subject/subject.h"

namespace gossamer::apps {

// "http://..." or "https://...".
bool is_url(std::string_view model_or_url);

struct SubjectOptions {
  ModelOptions model;      // ::model is the argument, a URL too
  ServingOptions serving;  // of a folder
  ChatOptions chat;

  // Of a URL.
  EndpointOptions endpoint;  // but ::url
  std::string tokenizer;     // a folder with the model's tokenizer; empty: the endpoint's /tokenize is asked
  int64_t concurrency = 16;  // questions at once
};

// `help`: what the argument MODEL_OR_URL says of itself; empty: there is none, for commands whose subjects
// are named otherwise. With the argument, options that its kind has no use for are an Error.
void add_subject_options(CLI::App& command, SubjectOptions& options, const std::string& help);

// Loads the model, showing progress, or asks the endpoint what it serves. Throws Error.
std::unique_ptr<Subject> open_subject(const SubjectOptions& options);

// The same without Subject::load(): for those who may find that there is nothing to ask.
std::unique_ptr<Subject> open_subject_unloaded(const SubjectOptions& options);

}  // namespace gossamer::apps
