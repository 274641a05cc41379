// gossamer chat: a conversation in the terminal.
#include <fmt/format.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "apps/answer.h"
#include "apps/chat_form.h"
#include "apps/commands.h"
#include "apps/sampling_options.h"
#include "apps/serving_options.h"
#include "apps/session.h"
#include "apps/terminal.h"
#include "base/error.h"

namespace gossamer::apps {
namespace {

struct Options {
  ModelOptions model;
  SamplingOptions sampling;
  ChatOptions chat;
  int64_t max_new_tokens = 0;
  bool hide_reasoning = false;
};

// The conversation so far, in the form that the model takes.
class Conversation {
 public:
  Conversation(const Tokenizer& tokenizer, bool harmony, ChatOptions chat)
      : tokenizer_(tokenizer), harmony_(harmony), chat_(std::move(chat)) {
    opening_messages(chat_);  // a bad date is an error now, not at the first question
  }

  void reset() {
    turns_.clear();
    transcript_.clear();
  }
  void set_system(std::string text) { chat_.system = std::move(text); }

  std::vector<int32_t> prompt_for(const std::string& text) const {
    if (harmony_) {
      std::vector<HarmonyMessage> messages = opening_messages(chat_);
      messages.insert(messages.end(), turns_.begin(), turns_.end());
      messages.push_back(user_message(text));
      return render_prompt(tokenizer_, messages);
    }
    std::vector<int32_t> ids = transcript_;
    tokenizer_.encode(transcript_.empty() ? text : "\n" + text, {.parse_special = true}, ids);
    return ids;
  }

  // Keeps what was asked and answered. False when there is nothing to keep: an answer that was stopped while
  // the model was still thinking; the question is forgotten with it.
  bool add(const std::string& text, std::vector<int32_t> prompt, const Answer& answer) {
    if (!harmony_) {
      transcript_ = std::move(prompt);
      transcript_.insert(transcript_.end(), answer.token_ids.begin(), answer.token_ids.end());
      // An end token would tell the model that what follows is another text.
      if (answer.finish_reason == "stop" && tokenizer_.is_special(transcript_.back())) transcript_.pop_back();
      return true;
    }
    // Reasoning is for the answer that it led to; calls of tools that are not there lead nowhere.
    std::vector<HarmonyMessage> kept;
    for (const AnswerMessage& message : answer.messages) {
      if (message.part != HarmonyPart::kAnswer) continue;
      kept.push_back({.role = HarmonyRole::kAssistant,
                      .channel = message.channel.empty() ? "final" : message.channel,
                      .content = {message.text}});
    }
    if (kept.empty()) return false;
    turns_.push_back(user_message(text));
    turns_.insert(turns_.end(), kept.begin(), kept.end());
    return true;
  }

 private:
  const Tokenizer& tokenizer_;
  bool harmony_;
  ChatOptions chat_;
  std::vector<HarmonyMessage> turns_;
  std::vector<int32_t> transcript_;  // of a model without a chat form: all text so far
};

void say(const std::string& text) {
  const bool dim = is_terminal(STDERR_FILENO);
  fmt::print(stderr, "{}{}{}\n", dim ? "\033[2m" : "", text, dim ? "\033[0m" : "");
}

constexpr const char* kHelp =
    "/reset forgets the conversation, /system TEXT gives the model instructions (GPT-OSS), /quit or Ctrl-D "
    "ends.\n"
    "Ctrl-C stops an answer.";

class Chat {
 public:
  Chat(Options options, Session& session)
      : options_(std::move(options)),
        session_(session),
        conversation_(session.require_tokenizer(), session.has_chat_form(), options_.chat),
        sampling_(resolve_sampling(options_.sampling, session)),
        stop_ids_(resolve_stop_ids(options_.sampling, session)) {}

  void run() {
    const bool terminal = is_terminal(STDIN_FILENO);
    LineReader reader(interrupt_);
    std::string line;
    for (;;) {
      interrupt_.clear();
      if (terminal) fmt::print("> ");
      std::fflush(stdout);
      const LineReader::Status status = reader.read(line);
      if (status == LineReader::Status::kInterrupted) {
        fmt::print("\n");
        say("(Ctrl-D or /quit ends the chat)");
        continue;
      }
      if (status == LineReader::Status::kEnd) {
        if (terminal) fmt::print("\n");
        return;
      }
      if (!line.empty() && line.back() == '\r') line.pop_back();
      if (line.find_first_not_of(" \t") == std::string::npos) continue;
      if (line.front() == '/') {
        if (!command(line)) return;
      } else {
        answer(line);
      }
    }
  }

 private:
  // False: the chat is over.
  bool command(const std::string& line) {
    const std::size_t space = std::min(line.find(' '), line.size());
    const std::string name = line.substr(0, space);
    const std::string rest = line.substr(std::min(space + 1, line.size()));
    if (name == "/quit" || name == "/exit") return false;
    if (name == "/reset") {
      conversation_.reset();
      say("(forgotten)");
    } else if (name == "/system") {
      if (session_.has_chat_form()) {
        conversation_.set_system(rest);
        say(rest.empty() ? "(no instructions)" : "(instructions set)");
      } else {
        say("(this model has no chat form: it takes no instructions)");
      }
    } else {
      say(name == "/help" ? kHelp : fmt::format("(there is no command {})\n{}", name, kHelp));
    }
    return true;
  }

  void answer(const std::string& line) {
    std::vector<int32_t> prompt = conversation_.prompt_for(line);
    const int64_t left =
        session_.engine().options().limits.max_model_len - static_cast<int64_t>(prompt.size());
    if (left < 1) {
      say(fmt::format(
          "(the conversation would have {}, but only {} fit: /reset begins a new one, --max-model-len makes "
          "room for longer ones)",
          count_tokens(static_cast<int64_t>(prompt.size())),
          session_.engine().options().limits.max_model_len - 1));
      return;
    }
    Request request;
    request.prompt = prompt;
    request.max_new_tokens = options_.max_new_tokens > 0 ? options_.max_new_tokens : left;
    request.sampling = sampling_;
    request.sampling.seed += num_answers_++;  // else the same question would always get the same answer
    request.stop_token_ids = stop_ids_;
    const bool harmony = session_.has_chat_form();
    AnswerPrinter printer({.reasoning = !options_.hide_reasoning, .fold = true});
    const Answer answer = run_answer(session_.engine(), std::move(request),
                                     AnswerReader(session_.tokenizer(), harmony, options_.sampling.stop),
                                     {.show = [&](const HarmonyDelta& delta) { printer.print(delta); },
                                      .interrupted = [this] { return interrupt_.is_set(); }});
    printer.finish();
    const bool kept = conversation_.add(line, std::move(prompt), answer);
    if (answer.finish_reason == "cancelled") say(kept ? "(stopped)" : "(stopped; the question is forgotten)");
    if (answer.finish_reason == "length") say("(cut: the limit on tokens was reached)");
    if (options_.model.verbose) say(answer.summary());
  }

  Options options_;
  Session& session_;
  Conversation conversation_;
  SamplingParams sampling_;
  std::vector<int32_t> stop_ids_;
  uint64_t num_answers_ = 0;
  InterruptFlag interrupt_;
};

MemoryPlan plan_chat(const Session& session) {
  return plan_default_len(session, [&](int64_t max_model_len) {
    EngineLimits limits = session.limits(max_model_len, 1, 1);
    limits.prefix_cache = true;  // every turn begins with the turns before
    return session.plan(limits);
  });
}

void run(const Options& options) {
  Session session(options.model);
  session.require_tokenizer();
  if (!session.has_chat_form() && options.chat.any())
    throw Error("--system, --reasoning-effort and --date need a model with a chat form (GPT-OSS)");
  resolve_sampling(options.sampling, session);  // a bad flag is an error before loading
  resolve_stop_ids(options.sampling, session);
  opening_messages(options.chat);
  session.load(plan_chat(session));
  Chat chat(options, session);
  if (is_terminal(STDIN_FILENO)) {
    if (!session.has_chat_form()) say("(this model has no chat form: it continues what you write)");
    say(kHelp);
  }
  chat.run();
}

}  // namespace

void add_chat(CLI::App& program) {
  CLI::App* command =
      program.add_subcommand("chat",
                             "Talk with a model in the terminal. Its reasoning is dimmed. Commands: /reset, "
                             "/system TEXT, /help, /quit; Ctrl-C "
                             "stops the answer. A model without a chat form continues what was written.");
  auto options = std::make_shared<Options>();
  add_model_options(*command, options->model,
                    "a longer conversation is refused. Default: 16384, or the model's limit, or what fits");
  command
      ->add_option("--max-new-tokens,-n", options->max_new_tokens,
                   "An answer ends after so many tokens. Default: what --max-model-len leaves")
      ->check(CLI::Range(int64_t{1}, int64_t{1} << 31));
  command->add_flag("--hide-reasoning", options->hide_reasoning, "Fold reasoning to one line");
  add_chat_options(*command, options->chat);
  add_sampling_options(*command, options->sampling);
  command->callback([options] { run(*options); });
}

}  // namespace gossamer::apps
