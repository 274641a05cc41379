#include "apps/subject/open_subject.h"

#include "apps/subject/engine_subject.h"
#include "base/error.h"

namespace gossamer::apps {
namespace {

// A base class, so that the session is there before the subject and outlives it.
struct LoadedSession {
  explicit LoadedSession(const SubjectOptions& options) : session(options.model) {
    session.require_tokenizer();
    session.load(plan_serving(session, options.serving), serving_settings(options.serving));
  }
  Session session;
};

class LocalSubject : private LoadedSession, public EngineSubject {
 public:
  explicit LocalSubject(const SubjectOptions& options)
      : LoadedSession(options), EngineSubject(session, options.chat) {}
};

}  // namespace

bool is_url(std::string_view model_or_url) {
  return model_or_url.starts_with("http://") || model_or_url.starts_with("https://");
}

std::unique_ptr<Subject> open_subject(const SubjectOptions& options) {
  return std::make_unique<LocalSubject>(options);
}

}  // namespace gossamer::apps
