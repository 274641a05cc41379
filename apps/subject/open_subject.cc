#include "apps/subject/open_subject.h"

#include <cstddef>
#include <set>
#include <string>
#include <vector>

#include "apps/subject/engine_subject.h"
#include "apps/subject/http_subject.h"
#include "base/error.h"

namespace gossamer::apps {
namespace {

// A base class, so that the session is there before the subject and outlives it.
struct OpenSession {
  explicit OpenSession(const SubjectOptions& options)
      : session(options.model), plan(plan_serving(session, options.serving)) {}
  Session session;
  MemoryPlan plan;
};

class LocalSubject : private OpenSession, public EngineSubject {
 public:
  explicit LocalSubject(const SubjectOptions& options)
      : OpenSession(options), EngineSubject(session, options.chat, NotLoaded{}), serving_(options.serving) {}

  int64_t max_model_len() const override { return plan.limits.max_model_len; }
  void load() override {
    session.load(plan, serving_settings(serving_));
    begin();
  }

 private:
  ServingOptions serving_;
};

std::vector<const CLI::Option*> add_remote_options(CLI::App& command, SubjectOptions& options) {
  constexpr const char* kGroup = "Endpoints (MODEL_OR_URL is a URL)";
  const std::size_t num_earlier = command.get_options().size();
  command
      .add_option("--model-name", options.endpoint.model,
                  "The model's name there, where it has several models")
      ->group(kGroup);
  command
      .add_option("--tokenizer", options.tokenizer,
                  "A folder with the model's tokenizer, for endpoints without /tokenize")
      ->group(kGroup);
  command.add_option("--concurrency", options.concurrency, "Questions that are asked at once")
      ->check(CLI::Range(int64_t{1}, int64_t{4096}))
      ->capture_default_str()
      ->group(kGroup);
  add_endpoint_options(command, options.endpoint, kGroup);
  std::vector<const CLI::Option*> added;
  const std::vector<CLI::Option*> all = command.get_options();
  added.assign(all.begin() + static_cast<std::ptrdiff_t>(num_earlier), all.end());
  return added;
}

}  // namespace

void add_subject_options(CLI::App& command, SubjectOptions& options, const std::string& help) {
  std::set<const CLI::Option*> earlier;
  for (const CLI::Option* option : command.get_options()) earlier.insert(option);
  add_model_options(command, options.model,
                    "default: 16384, or the model's limit, or what fits; of a URL what the endpoint says");
  command.remove_option(command.get_option("MODEL"));
  add_serving_options(command, options.serving);
  add_chat_options(command, options.chat);
  std::vector<const CLI::Option*> local;
  for (const CLI::Option* option : command.get_options()) {
    const std::string name = option->get_name();
    const bool is_common = name == "--max-model-len" || name == "--system" || name == "--reasoning-effort";
    if (!earlier.contains(option) && !is_common) local.push_back(option);
  }
  const std::vector<const CLI::Option*> remote = add_remote_options(command, options);
  if (help.empty()) return;
  command.add_option("MODEL_OR_URL", options.model.model, help)->required();
  command.parse_complete_callback([&options, local, remote] {
    const bool is_remote = is_url(options.model.model);
    for (const CLI::Option* option : is_remote ? local : remote) {
      // A key in the environment may be meant for another command.
      if (option->count() == 0 || option->get_name() == "--api-key") continue;
      throw Error("{}: it belongs to {}, found {}", option->get_name(),
                  is_remote ? "a model that is loaded here" : "a URL", options.model.model);
    }
  });
}

bool is_url(std::string_view model_or_url) {
  return model_or_url.starts_with("http://") || model_or_url.starts_with("https://");
}

std::unique_ptr<Subject> open_subject_unloaded(const SubjectOptions& options) {
  if (is_url(options.model.model)) return std::make_unique<HttpSubject>(options);
  return std::make_unique<LocalSubject>(options);
}

std::unique_ptr<Subject> open_subject(const SubjectOptions& options) {
  std::unique_ptr<Subject> subject = open_subject_unloaded(options);
  subject->load();
  return subject;
}

}  // namespace gossamer::apps
