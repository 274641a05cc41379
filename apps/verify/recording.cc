#include "apps/verify/recording.h"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <exception>
#include <functional>
#include <mutex>
#include <thread>
#include <utility>

#include "apps/terminal.h"
#include "apps/token_lists.h"
#include "base/error.h"
#include "engine/logprobs.h"

namespace gossamer::apps {
namespace {

// Runs work(0) to work(count - 1) on so many threads; rethrows what the first of them threw.
void run_each(const std::string& what, std::size_t count, std::size_t num_threads,
              const std::function<void(std::size_t)>& work) {
  ProgressLine progress(what);
  std::atomic<std::size_t> next = 0;
  std::size_t num_done = 0;
  std::mutex mutex;
  std::exception_ptr failure;
  const auto run = [&] {
    for (std::size_t i = next++; i < count; i = next++) {
      try {
        work(i);
        const std::lock_guard lock(mutex);
        progress.show(++num_done, count);
      } catch (...) {
        const std::lock_guard lock(mutex);
        if (!failure) failure = std::current_exception();
        next = count;
      }
    }
  };
  std::vector<std::thread> threads;
  for (std::size_t i = 0; i < std::min(num_threads, count); ++i) threads.emplace_back(run);
  for (std::thread& thread : threads) thread.join();
  if (failure) std::rethrow_exception(failure);
}

void ask_all(Subject& subject, Recording& recording, std::size_t concurrency) {
  run_each("asking", recording.answers.size(), concurrency, [&](std::size_t i) {
    RecordedAnswer& answer = recording.answers[i];
    Result<CompletionAnswer> asked = subject.complete(
        {.prompt = answer.prompt, .chat = answer.chat, .max_new_tokens = recording.max_new_tokens});
    if (!asked.ok()) throw Error("prompt {}: {}", i, asked.error().message);
    CompletionAnswer said = std::move(asked).value();
    answer.prompt_ids = std::move(said.prompt_ids);
    answer.answer_ids = std::move(said.token_ids);
    answer.answer = said.reasoning.empty() ? said.text : said.reasoning + "\n" + said.text;
    answer.finish_reason = said.finish_reason;
  });
}

void note_first(std::string& gap, const std::string& text, const std::string& message) {
  if (gap.empty()) gap = fmt::format("{}: {}", text, message);
}

// The prompt with its answer, as the model saw and said them where it tells; else their text, tokenised
// again.
RecordedText text_of(const Subject& subject, const RecordedAnswer& answer, std::string name) {
  RecordedText text{.name = std::move(name), .ids = answer.prompt_ids};
  if (text.ids.empty()) text.ids = subject.encode(answer.prompt);
  text.num_given = text.ids.size();
  if (!answer.answer_ids.empty()) {
    text.ids.insert(text.ids.end(), answer.answer_ids.begin(), answer.answer_ids.end());
  } else {
    text.ids = subject.encode(answer.prompt + answer.answer);
  }
  const std::size_t most_given = std::max<std::size_t>(text.ids.size(), 2) - 1;
  text.num_given = std::clamp<std::size_t>(text.num_given, 1, most_given);
  return text;
}

void add_texts(const Subject& subject, const RecordingPrompts& set, Recording& recording,
               RecordingGaps& gaps) {
  const auto add = [&](RecordedText text) {
    if (text.ids.size() >= 2) recording.texts.push_back(std::move(text));
  };
  try {
    for (std::size_t i = 0; i < recording.answers.size(); ++i)
      add(text_of(subject, recording.answers[i], fmt::format("answer {}", i)));
    const auto piece = static_cast<std::size_t>(std::min(kPieceTokens, subject.max_model_len()));
    for (std::size_t i = 0; i < set.texts.size(); ++i) {
      const std::vector<int32_t> ids = subject.encode(set.texts[i]);
      for (std::size_t begin = 0; begin < ids.size(); begin += piece) {
        const std::span<const int32_t> part =
            std::span(ids).subspan(begin, std::min(piece, ids.size() - begin));
        add({.name = fmt::format("text {}{}", i, begin == 0 ? "" : fmt::format(", from token {}", begin)),
             .ids = {part.begin(), part.end()}});
      }
    }
  } catch (const Error& error) {  // an endpoint without /tokenize
    note_first(gaps.scores, "tokens of texts", error.what());
    note_first(gaps.hidden, "tokens of texts", error.what());
  }
}

RecordedToken to_recorded(const TokenLogprobs& logprobs) {
  RecordedToken token{.logprob = logprobs.token.logprob, .top = {}};
  for (const TokenLogprobs::Entry& entry : logprobs.top)
    token.top.push_back({.id = entry.id, .logprob = entry.logprob});
  return token;
}

void take_hidden(RecordedText& text, std::vector<float> hidden) {
  text.hidden_checksum = hidden_checksum(hidden);
  text.hidden = std::move(hidden);
}

void read_here(Subject& subject, RecordedText& text, int num_top,
               const std::function<void(std::size_t, std::span<const float>)>& sink) {
  std::exception_ptr failure;  // the engine's thread takes none
  const auto error = subject.read_logits(
      text.ids, [&](int64_t position, std::span<const float> logits, std::span<const float> hidden) {
        const auto next = static_cast<std::size_t>(position) + 1;
        if (failure) return;
        if (!std::all_of(logits.begin(), logits.end(), [](float x) { return std::isfinite(x); })) {
          failure = std::make_exception_ptr(
              Error("{}: non-finite logits at position {}: the weights or the activation type overflow (try "
                    "--dtype f32)",
                    text.name, position));
          return;
        }
        if (next == text.ids.size()) return take_hidden(text, {hidden.begin(), hidden.end()});
        if (next < text.num_given) return;
        try {
          text.tokens.push_back(to_recorded(compute_logprobs(logits, text.ids[next], num_top)));
          if (sink) sink(text.tokens.size() - 1, logits);
        } catch (...) {
          failure = std::current_exception();
        }
      });
  if (failure) std::rethrow_exception(failure);
  if (error) throw Error("{}: {}", text.name, error->message);
}

void read_there(Subject& subject, RecordedText& text, int num_top, RecordingGaps& gaps, std::mutex& mutex) {
  const auto take_gap = [&](std::string& gap, const RequestError& error) {
    // What an endpoint does not offer (kOverloaded, see subject.h) or refuses is a gap; the rest is a
    // failure.
    if (error.kind != RequestErrorKind::kInvalid && error.kind != RequestErrorKind::kOverloaded)
      throw Error("{}: {}", text.name, error.message);
    const std::lock_guard lock(mutex);
    note_first(gap, text.name, error.message);
  };
  if (const auto scores = subject.score_tokens(text.ids, num_top); scores.ok()) {
    if (scores.value().size() + 1 != text.ids.size()) {
      throw Error("{}: expected log-probabilities of {} tokens, found {}", text.name, text.ids.size() - 1,
                  scores.value().size());
    }
    for (const TokenLogprobs& logprobs : std::span(scores.value()).subspan(text.num_given - 1))
      text.tokens.push_back(to_recorded(logprobs));
  } else {
    take_gap(gaps.scores, scores.error());
  }
  if (auto hidden = subject.last_hidden(text.ids); hidden.ok()) {
    take_hidden(text, std::move(hidden).value());
  } else {
    take_gap(gaps.hidden, hidden.error());
  }
}

}  // namespace

std::size_t questions_at_once(const SubjectOptions& options) {
  return static_cast<std::size_t>(is_url(options.model.model) ? options.concurrency
                                                              : 2 * options.serving.max_num_seqs);
}

Recording record_answers(Subject& subject, const RecordingPrompts& set, const RecordingSettings& settings,
                         RecordingGaps& gaps) {
  Recording recording{
      .identity = subject.identity(), .max_new_tokens = settings.max_new_tokens, .num_top = settings.num_top};
  for (const RecordingPrompts::Prompt& prompt : set.prompts)
    recording.answers.push_back(
        {.prompt = prompt.text, .chat = prompt.chat.value_or(subject.has_chat_form())});
  ask_all(subject, recording, settings.concurrency);
  add_texts(subject, set, recording, gaps);
  return recording;
}

Recording repeat_answers(Subject& subject, const Recording& expected, std::size_t concurrency) {
  Recording recording{
      .identity = subject.identity(), .max_new_tokens = expected.max_new_tokens, .num_top = expected.num_top};
  for (const RecordedAnswer& answer : expected.answers)
    recording.answers.push_back({.prompt = answer.prompt, .chat = answer.chat});
  ask_all(subject, recording, concurrency);
  for (const RecordedText& text : expected.texts)
    recording.texts.push_back({.name = text.name, .ids = text.ids, .num_given = text.num_given});
  return recording;
}

void record_texts(Subject& subject, Recording& recording, std::size_t concurrency, const PredictionSink& sink,
                  RecordingGaps& gaps) {
  std::mutex mutex;  // of the gaps
  run_each("reading", recording.texts.size(), sink ? 1 : concurrency, [&](std::size_t i) {
    RecordedText& text = recording.texts[i];
    if (!subject.gives_logits()) return read_there(subject, text, recording.num_top, gaps, mutex);
    read_here(subject, text, recording.num_top, [&](std::size_t index, std::span<const float> logits) {
      if (sink) sink(i, index, logits);
    });
  });
}

}  // namespace gossamer::apps
