#include "apps/verify/needle_run.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <numeric>

#include "base/error.h"

namespace gossamer::apps {
namespace {

// How many tokens a chat form adds to a message: what a short one takes beyond its own.
int64_t measure_form(Subject& subject, bool chat) {
  const std::string message = "Hello";
  const Result<CompletionAnswer> answer =
      subject.complete({.prompt = message, .chat = chat, .max_new_tokens = 1});
  if (!answer.ok()) throw Error("a first, short question was not answered: {}", answer.error().message);
  const auto own = static_cast<int64_t>(subject.encode(message).size());
  return std::max<int64_t>(answer.value().num_prompt_tokens - own, 0);
}

}  // namespace

std::size_t NeedleRun::num_asked() const {
  return static_cast<std::size_t>(
      std::count_if(cells.begin(), cells.end(), [](const NeedleCell& cell) { return cell.asked; }));
}

double NeedleRun::recall() const {
  const std::size_t asked = num_asked();
  double sum = 0.0;
  for (const NeedleCell& cell : cells) sum += cell.score;
  return asked == 0 ? 0.0 : sum / static_cast<double>(asked);
}

void check_needle_lengths(const std::vector<int64_t>& lengths, int64_t limit, const std::string& model) {
  const int64_t longest = *std::max_element(lengths.begin(), lengths.end());
  if (limit > 0 && longest > limit)
    throw Error("{} takes {} tokens, a length of {} was asked for: expected --max-context-len {} or less",
                model, limit, longest, limit);
}

NeedleRun run_needles(Subject& subject, const Haystack& hay, const NeedleOptions& options,
                      const std::function<void(const NeedleRun&)>& on_cell) {
  NeedleRun run{.chat = subject.has_chat_form()};
  for (const int64_t length : options.lengths) {
    for (const double depth : options.depths) run.cells.push_back({.length = length, .depth = depth});
  }
  std::vector<std::size_t> order(run.cells.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  if (options.share_prefixes) {  // the deepest first: its hay is the beginning of all others
    std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
      const NeedleCell& first = run.cells[a];
      const NeedleCell& second = run.cells[b];
      return first.length != second.length ? first.length < second.length : first.depth > second.depth;
    });
  }
  run.num_form_tokens = measure_form(subject, run.chat);
  const CountTokens count = [&subject](std::string_view text) {
    return static_cast<int64_t>(subject.encode(text).size());
  };
  const int64_t limit = subject.max_model_len();
  // A server may remember what an earlier run asked.
  const std::string salt =
      fmt::format("needle-{}-{}", std::chrono::system_clock::now().time_since_epoch().count(), getpid());
  int64_t guess = options.lengths.front() / 2;
  for (const std::size_t index : order) {
    NeedleCell& cell = run.cells[index];
    const NeedleQuestion question = make_needle_question(options.task, cell.length, cell.depth);
    cell.needle = question.insertions.front().text;
    cell.expected = question.expected;
    int64_t room = cell.length;
    if (limit > 0) room = std::min(room, limit - options.max_new_tokens);
    std::optional<HayPrompt> prompt =
        make_hay_prompt(hay, question.before, question.insertions, question.after(run.chat),
                        room - run.num_form_tokens, count, guess);
    if (!prompt) {
      throw Error(
          "a prompt of {} tokens has no room for hay beside needle, question and chat form: expected greater "
          "--lengths, or a smaller --max-tokens than {}",
          room, options.max_new_tokens);
    }
    guess = prompt->num_words;
    cell.placed = prompt->depth;
    run.hay_has_answer |= needle_score(hay.text(), cell.expected) >= 1.0;
    const Result<CompletionAnswer> answer =
        subject.complete({.prompt = std::move(prompt->text),
                          .chat = run.chat,
                          .max_new_tokens = options.max_new_tokens,
                          .stop_at_newline = !run.chat,
                          .cache_salt = options.share_prefixes ? salt : fmt::format("{}-{}", salt, index)});
    if (!answer.ok() && answer.error().kind == RequestErrorKind::kCancelled) return run;
    cell.asked = true;
    if (answer.ok()) {
      cell.answer = answer.value();
      cell.score = needle_score(cell.answer.text, cell.expected);
    } else {
      cell.error = answer.error().message;
    }
    run.complete = run.num_asked() == run.cells.size();
    if (on_cell) on_cell(run);
  }
  return run;
}

}  // namespace gossamer::apps
