// --task inference of an INI file: a warm-up, then questions and answers one by one.
#include <utility>

#include "apps/run/run_tasks.h"

namespace gossamer::apps {

void run_inference(const RunOptions& options, const ModelOptions& model, const SdkSettings& settings,
                   CaseLog& log) {
  PromptSet prompts = settings.prompt_file.empty()
                          ? find_prompts("default", {std::filesystem::path(options.dataset_path)}, 1)
                          : read_prompt_file(settings.prompt_file);
  log.info("prompts of {}", prompts.source);
  Session session(model);
  std::vector<Request> requests;
  for (const std::string& text : prompts.texts) {
    Request request;
    request.prompt = encode_prompt(session, prompts, text, {.max_new_tokens = settings.max_new_tokens});
    request.max_new_tokens = settings.max_new_tokens;
    request.sampling.temperature = 0.0F;
    request.stop_token_ids = session.defaults().eos_ids;
    requests.push_back(std::move(request));
  }
  load_for(session, log, requests, 1);
  const std::string name = session.info().architecture;
  log.info("---------------warm-up---------------");
  answer_prompts(session, log, name, {requests.front()});
  log.info("---------------inference---------------");
  for (std::size_t i = 0; i < requests.size(); ++i) {
    log.info("question: {}", prompts.texts[i]);
    answer_prompts(session, log, name, {requests[i]});
  }
  log.info("model run success");
}

}  // namespace gossamer::apps
