// gossamer generate: one prompt, one answer.
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "apps/answer.h"
#include "apps/chat_form.h"
#include "apps/commands.h"
#include "apps/sampling_options.h"
#include "apps/session.h"
#include "apps/terminal.h"
#include "apps/text_files.h"
#include "base/error.h"
#include "base/json.h"

namespace gossamer::apps {
namespace {

struct Options {
  ModelOptions model;
  SamplingOptions sampling;
  ChatOptions chat;
  std::optional<std::string> prompt;
  std::optional<std::string> prompt_file;
  std::optional<std::vector<int32_t>> token_ids;
  int64_t max_new_tokens = 512;
  bool raw = false;
  bool json = false;
  bool show_reasoning = false;
  bool hide_reasoning = false;
};

std::vector<int32_t> make_prompt(const Options& options, const Session& session, bool harmony) {
  if (options.token_ids) {
    for (const int32_t id : *options.token_ids) {
      if (id < 0 || id >= session.info().vocab_size)
        throw Error("--token-ids: expected 0 to {}, found {}", session.info().vocab_size - 1, id);
    }
    return *options.token_ids;
  }
  const std::string text =
      options.prompt ? *options.prompt : read_text_file("--prompt-file", *options.prompt_file);
  const Tokenizer& tokenizer = session.require_tokenizer();
  if (harmony) {
    std::vector<HarmonyMessage> messages = opening_messages(options.chat);
    messages.push_back(user_message(text));
    return render_prompt(tokenizer, messages);
  }
  if (const ChatTemplate* form = session.chat_template(); form != nullptr && !options.raw) {
    std::vector<ChatTurn> turns;
    if (!options.chat.system.empty()) turns.push_back({ChatTurnRole::kSystem, options.chat.system});
    turns.push_back({ChatTurnRole::kUser, text});
    Result<std::vector<int32_t>> ids = form->render(turns);
    if (!ids.ok()) throw Error("the model's chat_template refuses the conversation: {}", ids.error().message);
    return std::move(ids).value();
  }
  // The user's own text, to be continued as it is: it may name special tokens.
  std::vector<int32_t> ids = tokenizer.encode(text, {.parse_special = true});
  if (ids.empty()) throw Error("the prompt is empty: expected at least one token");
  return ids;
}

std::string json_number(std::optional<double> number) {
  return number ? fmt::format("{:.6g}", *number) : std::string("null");
}

void print_json(const std::vector<int32_t>& prompt, const Answer& answer, const AnswerReader& reader,
                bool has_text, uint64_t seed, double load_s) {
  const auto text = [&](HarmonyPart part) {
    return has_text ? to_ascii_json(answer.text_of(part)) : std::string("null");
  };
  std::string reasoning;
  if (reader.is_harmony()) {
    reasoning = fmt::format(", \"reasoning\": {}", text(HarmonyPart::kReasoning));
    std::vector<std::string> calls;
    for (const AnswerMessage& message : answer.messages) {
      if (message.part != HarmonyPart::kToolCall) continue;
      calls.push_back(fmt::format("{{\"recipient\": {}, \"arguments\": {}}}",
                                  to_ascii_json(message.recipient), to_ascii_json(message.text)));
    }
    if (!calls.empty()) reasoning += fmt::format(", \"tool_calls\": [{}]", fmt::join(calls, ", "));
  }
  fmt::print(
      "{{\"prompt_token_ids\": [{}], \"token_ids\": [{}], \"text\": {}{}, \"finish_reason\": \"{}\", "
      "\"prompt_tokens\": {}, \"completion_tokens\": {}, \"seed\": {}, \"timing\": {{\"load_s\": {:.6g}, "
      "\"prefill_s\": {:.6g}, \"decode_s\": {:.6g}, \"prefill_tokens_per_s\": {}, \"decode_tokens_per_s\": "
      "{}}}}}\n",
      fmt::join(prompt, ", "), fmt::join(answer.token_ids, ", "), text(HarmonyPart::kAnswer), reasoning,
      answer.finish_reason, prompt.size(), answer.token_ids.size(), seed, load_s, answer.prefill_s,
      answer.decode_s, json_number(answer.prefill_rate()), json_number(answer.decode_rate()));
}

void run(const Options& options) {
  const int num_prompts =
      (options.prompt ? 1 : 0) + (options.prompt_file ? 1 : 0) + (options.token_ids ? 1 : 0);
  if (num_prompts != 1) throw Error("generate needs one of --prompt, --prompt-file and --token-ids");
  if (options.show_reasoning && options.hide_reasoning)
    throw Error("--show-reasoning and --hide-reasoning: leave out one of the two");

  Session session(options.model);
  const bool harmony = session.has_chat_form() && !options.raw && !options.token_ids;
  const bool by_template = session.chat_template() != nullptr && !options.raw && !options.token_ids;
  const bool only_system = !options.chat.reasoning_effort && !options.chat.date;
  if (!harmony && options.chat.any() && !(by_template && only_system)) {
    throw Error(session.has_chat_form()
                    ? "--system, --reasoning-effort and --date do not go with --raw or --token-ids"
                    : "--system, --reasoning-effort and --date need a model with a chat form (GPT-OSS)");
  }
  if (!session.tokenizer() && !options.sampling.stop.empty()) session.require_tokenizer();
  const std::vector<int32_t> prompt = make_prompt(options, session, harmony);
  const auto num_prompt = static_cast<int64_t>(prompt.size());
  const int64_t longest = session.longest();
  if (num_prompt + 1 > longest) {  // before loading: the engine would say so only afterwards
    throw Error("the prompt has {}, but at most {} fit into {} of {}", count_tokens(num_prompt), longest - 1,
                options.model.max_model_len > 0 ? "the --max-model-len" : "the model's limit", longest);
  }
  Request request;
  request.prompt = prompt;
  request.max_new_tokens = options.max_new_tokens;
  request.sampling = resolve_sampling(options.sampling, session);
  request.stop_token_ids = resolve_stop_ids(options.sampling, session);
  const uint64_t seed = request.sampling.seed;
  session.note("seed {}, temperature {}", seed, request.sampling.temperature);

  // Without --max-model-len the cache is made for this one request.
  const int64_t max_model_len =
      options.model.max_model_len > 0 ? longest : std::min(longest, num_prompt + options.max_new_tokens);
  EngineLimits limits = session.limits(max_model_len, 1, 1);
  limits.max_batched_tokens = std::min(limits.max_batched_tokens, num_prompt);
  session.load(session.plan(limits));

  if (!session.tokenizer()) {
    fmt::print(stderr, "gossamer: {}: no tokenizer.json, so there is no text\n", session.path().string());
  }
  AnswerReader reader(session.tokenizer(), harmony, options.sampling.stop);
  AnswerPrinter printer(
      {.reasoning = options.show_reasoning || (!options.hide_reasoning && is_terminal(STDOUT_FILENO))});
  AnswerHooks hooks;
  if (!options.json) hooks.show = [&](const HarmonyDelta& delta) { printer.print(delta); };
  const Answer answer = run_answer(session.engine(), std::move(request), reader, hooks);

  if (options.json) {
    print_json(prompt, answer, reader, session.tokenizer() != nullptr, seed, session.load_seconds());
  } else if (!session.tokenizer()) {
    fmt::print("{}", fmt::join(answer.token_ids, ","));
  }
  if (options.json) {
    if (std::fflush(stdout) != 0) throw Error("cannot write to standard output");
  } else {
    printer.finish();
    if (answer.finish_reason == "length") {
      fmt::print(stderr, "gossamer: cut after {}{}\n",
                 count_tokens(static_cast<int64_t>(answer.token_ids.size())),
                 harmony && answer.text_of(HarmonyPart::kAnswer).empty() ? ", while still reasoning" : "");
    }
    fmt::print(stderr, "{}\n", answer.summary());
  }
}

}  // namespace

void add_generate(CLI::App& program) {
  CLI::App* command = program.add_subcommand("generate",
                                             "Answer a prompt. Models with a chat form (GPT-OSS) get it as a "
                                             "user message, others continue it. The answer "
                                             "streams to standard output; on a terminal a model's reasoning "
                                             "comes first, dimmed. A line with tokens per second "
                                             "follows on standard error.");
  auto options = std::make_shared<Options>();
  add_model_options(
      *command, options->model,
      "a longer prompt is an error. Default: what prompt and --max-new-tokens need, up to the model's "
      "limit");
  command->add_option("--prompt,-p", options->prompt, "The prompt");
  command->add_option("--prompt-file", options->prompt_file, "A file that holds it; - for standard input");
  command
      ->add_option("--token-ids", options->token_ids,
                   "The prompt as token ids, to be continued as it is: 1,2,3")
      ->delimiter(',')
      ->allow_extra_args(false);
  command
      ->add_option("--max-new-tokens,-n", options->max_new_tokens,
                   "The answer ends after so many tokens, if it has not ended before")
      ->check(CLI::Range(int64_t{1}, int64_t{1} << 31))
      ->capture_default_str();
  command->add_flag(
      "--raw", options->raw,
      "Continue the prompt as it is, also with a model that has a chat form. Special tokens may be written "
      "in it, and are shown in the answer");
  command->add_flag("--json", options->json,
                    "Print one JSON object: prompt_token_ids, token_ids, text, reasoning (with a chat form), "
                    "finish_reason (stop, length), prompt_tokens, completion_tokens, seed, timing");
  command->add_flag("--show-reasoning", options->show_reasoning,
                    "Print reasoning also where output is no terminal");
  command->add_flag("--hide-reasoning", options->hide_reasoning, "Never print it");
  add_chat_options(*command, options->chat);
  add_sampling_options(*command, options->sampling);
  command->callback([options] { run(*options); });
}

}  // namespace gossamer::apps
