// Prompts in, answers and log lines out: what the inference tasks of both forms of run files share.
#include <fmt/format.h>

#include <algorithm>
#include <string>
#include <utility>

#include "apps/answer.h"
#include "apps/run/run_tasks.h"
#include "apps/run/timed_batch.h"
#include "base/error.h"

namespace gossamer::apps {
namespace {

constexpr double kMillis = 1e3;

PromptAnswer read_answer(const Session& session, const TimedBatch::Sequence& sequence) {
  const bool harmony = session.has_chat_form();
  AnswerReader reader(session.tokenizer(), harmony, {});
  PromptAnswer answer{.finish_reason = sequence.stopped ? "stop" : "length", .tokens = sequence.tokens};
  const auto take = [&](const std::vector<HarmonyDelta>& deltas) {
    for (const HarmonyDelta& delta : deltas)
      (delta.part == HarmonyPart::kReasoning ? answer.reasoning : answer.text) += delta.text;
  };
  for (std::size_t i = 0; i < sequence.tokens.size(); ++i) {
    // The token that ends a plain answer is no part of its text.
    const bool ends = sequence.stopped && i + 1 == sequence.tokens.size();
    if (!ends || harmony) take(reader.push(sequence.tokens[i]));
  }
  take(reader.flush());
  if (session.tokenizer() == nullptr) {
    for (const int32_t id : sequence.tokens)
      answer.text.append(answer.text.empty() ? "" : ", ").append(std::to_string(id));
  }
  return answer;
}

}  // namespace

void load_for(Session& session, CaseLog& log, const std::vector<Request>& requests, int64_t max_num_seqs) {
  const int64_t longest = session.longest();
  int64_t prompt = 0;
  int64_t whole = 0;
  for (const Request& request : requests) {
    const auto size = static_cast<int64_t>(request.prompt.size());
    prompt = std::max(prompt, size);
    whole = std::max(whole, size + request.max_new_tokens);
  }
  if (prompt + 1 > longest) {
    throw Error(
        "a prompt has {}, but at most {} fit: lower input_max_len, or raise MAX_SEQ_LEN or --max-model-len "
        "where the model allows it",
        count_tokens(prompt), longest - 1);
  }
  for (const Request& request : requests) {  // before loading: the engine would say so only afterwards
    if (const auto error = check_request(request, session.info(), longest)) throw Error("{}", error->message);
  }
  if (whole > longest) {
    log.warning(fmt::format("prompt and answer together may have {}, of which {} fit: answers end there",
                            count_tokens(whole), longest));
  }
  if (session.tokenizer() == nullptr) {
    log.warning(
        fmt::format("{}: there is no tokenizer.json: prompts are random tokens, answers are shown as ids",
                    session.path().string()));
  }
  const int64_t len = std::min(whole, longest);
  log.info("Try to load pretrained model in path: {}", session.path().string());
  // Every sequence computes one token while one of them has a chunk of its prompt.
  EngineLimits limits = session.limits(len, max_num_seqs, max_num_seqs);
  limits.max_batched_tokens = session.options().chunk_tokens + max_num_seqs;
  limits.prefix_cache = false;  // a prompt that comes twice is timed twice
  session.load(session.plan(limits));
  const std::string device = session.backend().describe();  // its first line; kernels are in the others
  log.info("Model loaded in {:.2f} s on {}", session.load_seconds(), device.substr(0, device.find('\n')));
}

std::vector<PromptAnswer> answer_prompts(Session& session, CaseLog& log, const std::string& name,
                                         const std::vector<Request>& requests) {
  for (const Request& request : requests) log.info("Prompt lens is : {}", request.prompt.size());
  const TimedBatch batch = run_timed_batch(session.engine(), requests);
  double sum = 0.0;
  std::size_t count = 0;
  bool in_first_phase = true;
  const auto say = [&](const char* stage, double seconds) {
    log.info("{} inference time cost of {} is {:.2f} ms", name, stage, kMillis * seconds);
    sum += seconds;
    ++count;
  };
  for (const TimedStep& step : batch.steps) {
    if (step.in_first_phase) continue;
    if (std::exchange(in_first_phase, false)) say("prefill", batch.first_forward_seconds());
    say("decode", step.record.forward_seconds);
  }
  if (in_first_phase) say("prefill", batch.first_forward_seconds());
  log.info("{} average inference time cost is {:.2f} ms", name, kMillis * sum / static_cast<double>(count));
  log.info("{} decode average inference time cost is {:.2f} ms", name,
           kMillis * batch.mean_next().forward_seconds);

  std::vector<PromptAnswer> answers;
  for (const TimedBatch::Sequence& sequence : batch.sequences) {
    PromptAnswer answer = read_answer(session, sequence);
    if (!answer.reasoning.empty()) log.info("Reasoning: \n{}", answer.reasoning);
    if (batch.sequences.size() == 1) {
      log.info("Inference decode result: \n{}", answer.text);
    } else {
      log.info("Inference decode result for batch {}: \n{}", answers.size(), answer.text);
    }
    if (answer.finish_reason == "length") {
      log.info("cut after {}{}", count_tokens(static_cast<int64_t>(answer.tokens.size())),
               session.has_chat_form() && answer.text.empty() ? ", while still reasoning" : "");
    }
    answers.push_back(std::move(answer));
  }
  return answers;
}

}  // namespace gossamer::apps
