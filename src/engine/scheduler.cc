#include "engine/scheduler.h"

#include <algorithm>
#include <functional>

#include "base/check.h"

namespace gossamer {
namespace {

// How many that wait are looked at in a step, when those before them wait for a prefix that another sequence
// is computing.
constexpr int kLookAhead = 16;

constexpr int kRetrySteps = 16;

// Of a step's tokens at most this part are drafts.
constexpr int64_t kDraftPart = 4;

// Rows of logits that a chunk of `num_tokens` needs.
int64_t count_logit_rows(const Sequence& sequence, int64_t num_tokens, int64_t num_drafts) {
  const int64_t end = sequence.num_computed + num_tokens;
  int64_t rows = num_drafts + (end - num_drafts == sequence.num_known() ? 1 : 0);
  if (sequence.wants_prompt_logits()) {
    const int64_t first = std::max(sequence.num_computed, sequence.num_prompt_scored);
    rows += std::max<int64_t>(0, std::min(end, sequence.prompt_size) - first);
    if (end - num_drafts == sequence.num_known() && sequence.num_known() == sequence.prompt_size &&
        first < sequence.prompt_size) {
      --rows;  // the last prompt position's serves both
    }
  }
  return rows;
}

}  // namespace

void Scheduler::remove(Sequence& sequence) {
  if (sequence.is_running) {
    running_.erase(std::find(running_.begin(), running_.end(), &sequence));
    pages_.release(sequence.pages);
    sequence.is_running = false;
  } else {
    waiting_.erase(&sequence);
  }
}

void Scheduler::commit(Sequence& sequence, int64_t num_tokens) {
  sequence.num_computed += num_tokens;
  GOSSAMER_CHECK_LE(sequence.num_computed, sequence.num_known());
  pages_.publish(std::span(sequence.tokens).first(static_cast<std::size_t>(sequence.num_computed)),
                 sequence.request->cache_salt, sequence.pages);
}

StepPlan Scheduler::plan() {
  StepPlan plan;
  Budget budget{.tokens = limits_.max_batched_tokens,
                .logit_rows = limits_.max_logit_rows,
                .drafts = std::min(limits_.max_batched_tokens / kDraftPart,
                                   limits_.max_logit_rows - static_cast<int64_t>(running_.size()))};
  const int64_t preemptions_before = num_preemptions_;
  for (const bool decoding : {true, false}) {
    for (std::size_t i = 0; i < running_.size(); ++i) {  // preemption shortens the list behind i
      if ((running_[i]->num_to_run() == 1) == decoding) schedule(*running_[i], plan, budget);
    }
  }
  if (num_preemptions_ == preemptions_before) admit(plan, budget);
  std::sort(plan.entries.begin(), plan.entries.end(), [](const StepPlan::Entry& a, const StepPlan::Entry& b) {
    return a.sequence->rank < b.sequence->rank;
  });
  return plan;
}

void Scheduler::schedule(Sequence& sequence, StepPlan& plan, Budget& budget) {
  const int64_t to_run = sequence.num_to_run();
  int64_t drafts = 0;
  if (to_run == 1) {
    drafts = std::min({static_cast<int64_t>(sequence.draft.size()), budget.drafts, budget.tokens - 1});
    drafts = std::max<int64_t>(drafts, 0);
  }
  int64_t num_tokens = std::min({to_run, limits_.chunk_tokens, budget.tokens});
  while (num_tokens > 0 && count_logit_rows(sequence, num_tokens, 0) > budget.logit_rows) {
    // Only prompts whose every position is wanted are cut here.
    num_tokens = sequence.wants_prompt_logits() ? std::min(num_tokens - 1, budget.logit_rows) : 0;
  }
  if (num_tokens <= 0) return;
  pages_.slide(sequence.pages, sequence.num_computed, sequence.prompt_size);
  if (drafts > 0 && !pages_.extend(sequence.pages, sequence.num_computed, sequence.num_known() + drafts)) {
    drafts = 0;
  }
  if (!make_resident(sequence, num_tokens, plan, budget)) return;
  plan.entries.push_back({.sequence = &sequence, .num_tokens = num_tokens + drafts, .num_drafts = drafts});
  budget.tokens -= num_tokens + drafts;
  budget.drafts -= drafts;
  budget.logit_rows -= count_logit_rows(sequence, num_tokens + drafts, drafts);
}

bool Scheduler::make_resident(Sequence& sequence, int64_t num_tokens, StepPlan& plan, Budget& budget) {
  const int64_t begin = sequence.num_computed;
  while (!pages_.extend(sequence.pages, begin, begin + num_tokens)) {
    Sequence& youngest = *running_.back();
    if (&youngest == &sequence) {
      // Older ones hold the pages and will end. Alone, it would have them all.
      GOSSAMER_CHECK_GT(running_.size(), std::size_t{1});
      return false;
    }
    const auto planned =
        std::find_if(plan.entries.begin(), plan.entries.end(),
                     [&](const StepPlan::Entry& entry) { return entry.sequence == &youngest; });
    if (planned != plan.entries.end()) {
      budget.tokens += planned->num_tokens;
      budget.logit_rows += count_logit_rows(youngest, planned->num_tokens, planned->num_drafts);
      plan.entries.erase(planned);
    }
    preempt(youngest);
  }
  return true;
}

void Scheduler::preempt(Sequence& sequence) {
  running_.pop_back();
  pages_.release(sequence.pages);
  sequence.is_running = false;
  sequence.num_computed = 0;
  sequence.draft.clear();
  ++sequence.times.preemptions;
  ++num_preemptions_;
  waiting_.insert(&sequence);
}

void Scheduler::admit(StepPlan& plan, Budget& budget) {
  int looked_at = 0;
  for (auto next = waiting_.begin(); next != waiting_.end() && looked_at < kLookAhead; ++looked_at) {
    if (static_cast<int64_t>(running_.size()) == limits_.max_num_seqs || budget.tokens <= 0 ||
        budget.logit_rows <= 0) {
      return;
    }
    Sequence& sequence = **next;
    if (waits_for_prefix(sequence)) {
      ++next;
      continue;
    }
    if (!begin(sequence)) return;  // nobody overtakes a sequence that waits for pages
    next = waiting_.erase(next);
    schedule(sequence, plan, budget);
  }
}

bool Scheduler::begin(Sequence& sequence) {
  const std::size_t num_kinds = pages_.kinds().size();
  std::vector<int64_t> left = pages_still_needed();
  for (std::size_t kind = 0; kind < num_kinds; ++kind) left[kind] = pages_.num_available(kind) - left[kind];
  const auto suffices = [&](const std::vector<int64_t>& needed) {
    return std::equal(needed.begin(), needed.end(), left.begin(), std::less_equal<>());
  };
  if (refused_.sequence == &sequence && !suffices(refused_.needed) && ++refused_.steps < kRetrySteps)
    return false;

  // At least one token is left to compute: its logits are wanted.
  auto reusable = std::span<const int32_t>(sequence.tokens).first(sequence.tokens.size() - 1);
  if (sequence.wants_prompt_logits()) reusable = {};
  const std::string& salt = sequence.request->cache_salt;
  const KvPages::Match match = pages_.match(reusable, salt);
  const int64_t matched_pages = match.num_tokens / kPageTokens;
  std::vector<int64_t> needed;
  for (std::size_t kind = 0; kind < num_kinds; ++kind) {
    const KvKind& of_kind = pages_.kinds()[kind];
    const int64_t most = KvPages::pages_needed(of_kind, sequence.num_to_hold(), limits_.chunk_tokens);
    // Matched pages that others hold cost nothing; kept ones are no longer available.
    const int64_t held =
        matched_pages - KvPages::first_seen_page(of_kind, matched_pages) - match.kept_pages[kind];
    needed.push_back(std::max<int64_t>(0, most - held));
  }
  if (!suffices(needed)) {
    refused_ = {.sequence = &sequence, .needed = std::move(needed)};
    return false;
  }
  refused_ = {};
  sequence.num_computed = pages_.attach(reusable, salt, sequence.pages);
  if (sequence.skips_prompt) skip_prompt(sequence);
  if (sequence.times.preemptions == 0) sequence.times.cached_tokens = sequence.num_computed;
  sequence.is_running = true;
  running_.insert(std::upper_bound(running_.begin(), running_.end(), &sequence, ByRank()), &sequence);
  return true;
}

// Takes the pages that computing it would.
void Scheduler::skip_prompt(Sequence& sequence) {
  const int64_t end = sequence.prompt_size - 1;
  while (sequence.num_computed < end) {
    const int64_t next = std::min(end, sequence.num_computed + limits_.chunk_tokens);
    pages_.slide(sequence.pages, sequence.num_computed, sequence.prompt_size);
    GOSSAMER_CHECK(pages_.extend(sequence.pages, sequence.num_computed, next));
    sequence.num_computed = next;
  }
}

// What the running sequences will still take for the tokens they have: their prompts were let in on it.
std::vector<int64_t> Scheduler::pages_still_needed() const {
  std::vector<int64_t> needed(pages_.kinds().size(), 0);
  for (const Sequence* sequence : running_) {
    for (std::size_t kind = 0; kind < needed.size(); ++kind) {
      const KvKind& of_kind = pages_.kinds()[kind];
      const int64_t held =
          sequence->pages.by_kind.empty()
              ? 0
              : static_cast<int64_t>(sequence->pages.by_kind[kind].size()) - sequence->pages.slid[kind];
      const int64_t most = KvPages::pages_needed(of_kind, sequence->num_to_hold(), limits_.chunk_tokens);
      needed[kind] += std::max<int64_t>(0, most - held);
    }
  }
  return needed;
}

// Whether a running sequence is computing tokens that this one begins with too: soon they are there.
bool Scheduler::waits_for_prefix(const Sequence& sequence) const {
  if (!pages_.keeps_prefixes() || sequence.wants_prompt_logits()) return false;
  const auto reusable = static_cast<int64_t>(sequence.tokens.size()) - 1;
  return std::any_of(running_.begin(), running_.end(), [&](const Sequence* other) {
    if (other->num_to_run() == 1 || other->request->cache_salt != sequence.request->cache_salt) return false;
    const int64_t begin = other->num_computed / kPageTokens * kPageTokens;  // of the page in progress
    const int64_t end = begin + kPageTokens;
    if (end > reusable || end > other->num_known()) return false;
    // The page in progress first: it tells most strangers apart.
    return std::equal(other->tokens.begin() + begin, other->tokens.begin() + end,
                      sequence.tokens.begin() + begin) &&
           std::equal(other->tokens.begin(), other->tokens.begin() + begin, sequence.tokens.begin());
  });
}

}  // namespace gossamer
