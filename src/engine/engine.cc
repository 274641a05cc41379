#include "engine/engine.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "base/profiler.h"
#include "engine/logprobs.h"

namespace gossamer {
namespace {

EngineOptions resolve(EngineOptions options, const ModelInfo& info) {
  EngineLimits& limits = options.limits;
  GOSSAMER_CHECK(limits.max_model_len > 0 && limits.max_model_len <= info.max_positions);
  GOSSAMER_CHECK(limits.max_num_seqs > 0 && limits.max_batched_tokens >= limits.max_num_seqs);
  GOSSAMER_CHECK_GE(limits.max_logit_rows, limits.max_num_seqs);
  if (options.num_sampled_ids == 0) options.num_sampled_ids = info.vocab_size;
  if (options.chunk_tokens == 0) options.chunk_tokens = limits.max_batched_tokens;
  options.chunk_tokens = std::min(options.chunk_tokens, limits.max_batched_tokens);
  return options;
}

double seconds_between(EngineClock::time_point from, EngineClock::time_point to) {
  return std::chrono::duration<double>(to - from).count();
}

bool contains(const std::vector<int32_t>& ids, int32_t id) {
  return std::find(ids.begin(), ids.end(), id) != ids.end();
}

}  // namespace

Engine::Engine(LoadedModel model, Backend& backend, const EngineOptions& options)
    : model_(std::move(model)),
      backend_(backend),
      options_(resolve(options, info())),
      pages_(kv_pool_config(info(), model_.precision.kv_cache, options_.limits).kinds,
             options_.limits.prefix_cache),
      pool_(backend.create_kv_pool(kv_pool_config(info(), model_.precision.kv_cache, options_.limits))),
      workspace_(info(), backend, model_.precision.activation, options_.limits.max_batched_tokens,
                 options_.limits.max_logit_rows),
      scheduler_({.max_batched_tokens = options_.limits.max_batched_tokens,
                  .max_num_seqs = options_.limits.max_num_seqs,
                  .max_logit_rows = options_.limits.max_logit_rows,
                  .chunk_tokens = options_.chunk_tokens},
                 pages_),
      mask_worker_(info().vocab_size) {
  for (int thread = 0; thread < backend.num_host_threads(); ++thread) {
    samplers_.emplace_back(info().vocab_size, options_.num_sampled_ids);
  }
  backend_.reserve(step_limits(info(), options_.limits));
  update_load({});
}

Engine::~Engine() = default;

Result<RequestId> Engine::submit(Request request) {
  if (auto error = check_request(request, info(), options_.limits.max_model_len)) return *std::move(error);
  const auto prompt_size = static_cast<int64_t>(request.prompt.size());
  request.max_new_tokens = std::min(request.max_new_tokens, options_.limits.max_model_len - prompt_size);
  request.min_new_tokens = std::min(request.min_new_tokens, request.max_new_tokens);
  const EngineClock::time_point now = EngineClock::now();

  std::vector<std::unique_ptr<Sequence>> sequences;
  const std::vector<int32_t> prompt = std::move(request.prompt);
  const auto shared = std::make_shared<const Request>(std::move(request));
  for (int index = 0; index < shared->num_sequences; ++index) {
    auto sequence = std::make_unique<Sequence>();
    sequence->index = index;
    sequence->request = shared;
    sequence->rank.due = now + shared->priority * kPrioritySeconds;
    sequence->seed = shared->sampling.seed + static_cast<uint64_t>(index);
    sequence->tokens = prompt;
    sequence->prompt_size = prompt_size;
    sequence->submitted = now;
    if (shared->make_constraint) sequence->constraint = shared->make_constraint();
    sequences.push_back(std::move(sequence));
  }

  const std::lock_guard<std::mutex> lock(mutex_);
  if (options_.max_waiting_requests > 0 && load_.waiting_requests >= options_.max_waiting_requests) {
    return RequestError{
        RequestErrorKind::kOverloaded,
        fmt::format("{} requests are waiting, which is the most: try again later", load_.waiting_requests)};
  }
  // Whoever comes to an empty queue may wait, however long the prompt.
  if (options_.max_waiting_tokens > 0 && load_.waiting_requests > 0 &&
      load_.waiting_tokens + prompt_size > options_.max_waiting_tokens) {
    return RequestError{
        RequestErrorKind::kOverloaded,
        fmt::format("prompts of {} tokens are waiting, and with this one's {} they would be more "
                    "than {}: try again later",
                    load_.waiting_tokens, prompt_size, options_.max_waiting_tokens)};
  }
  const RequestId id = inbox_.next_id++;
  for (auto& sequence : sequences) {
    sequence->id = id;
    sequence->rank.serial = inbox_.next_serial++;
  }
  ++load_.waiting_requests;
  load_.waiting_tokens += prompt_size;
  has_work_ = true;
  inbox_.submitted.push_back(std::move(sequences));
  return id;
}

void Engine::cancel(RequestId id, std::optional<int> index) {
  const std::lock_guard<std::mutex> lock(mutex_);
  inbox_.cancelled.emplace_back(id, index);
}

bool Engine::idle() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return !has_work_;
}

EngineLoad Engine::load() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return load_;
}

void Engine::skip_prompts(bool skip) {
  GOSSAMER_CHECK(!pages_.keeps_prefixes());
  skip_prompts_ = skip;
}

void Engine::take_inbox(std::vector<Output>& outputs) {
  std::vector<std::vector<std::unique_ptr<Sequence>>> submitted;
  std::vector<std::pair<RequestId, std::optional<int>>> cancelled;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    submitted.swap(inbox_.submitted);
    cancelled.swap(inbox_.cancelled);
  }
  for (auto& sequences : submitted) {
    const RequestId id = sequences.front()->id;
    ActiveRequest& active = requests_[id];
    active.num_left = static_cast<int>(sequences.size());
    const Deadlines& deadlines = sequences.front()->request->deadlines;
    const auto watch = [&](const std::optional<EngineClock::time_point>& time, const char* what) {
      if (time) active.deadlines.push_back(deadlines_.emplace(*time, std::pair(id, what)));
    };
    watch(deadlines.start, kStartDeadline);
    watch(deadlines.first_token, kFirstTokenDeadline);
    watch(deadlines.end, kEndDeadline);
    for (auto& sequence : sequences) {
      sequence->skips_prompt = skip_prompts_;
      scheduler_.add(*sequence);
    }
    active.sequences = std::move(sequences);
  }
  for (const auto& [id, index] : cancelled) end(id, index, FinishReason::kCancelled, {}, outputs);
}

void Engine::expire(EngineClock::time_point now, std::vector<Output>& outputs) {
  while (!deadlines_.empty() && deadlines_.begin()->first <= now) {
    const auto [id, what] = deadlines_.begin()->second;
    ActiveRequest& active = requests_.at(id);
    std::erase(active.deadlines, deadlines_.begin());
    deadlines_.erase(deadlines_.begin());
    const std::vector<std::unique_ptr<Sequence>>& sequences = active.sequences;
    for (std::size_t index = 0; index < sequences.size(); ++index) {
      const Sequence* sequence = sequences[index].get();
      if (sequence == nullptr || (what == kStartDeadline && sequence->has_begun()) ||
          (what == kFirstTokenDeadline && sequence->num_output() > 0)) {
        continue;
      }
      const bool last = active.num_left == 1;
      end(id, static_cast<int>(index), FinishReason::kDeadline,
          fmt::format("{} deadline passed after {:.3f} s, with {} tokens computed and {} given", what,
                      seconds_between(sequence->submitted, now), sequence->num_computed,
                      sequence->num_output()),
          outputs);
      if (last) break;  // the request is gone
    }
  }
}

void Engine::end(RequestId id, std::optional<int> index, FinishReason reason, const std::string& error,
                 std::vector<Output>& outputs) {
  const auto found = requests_.find(id);
  if (found == requests_.end()) return;
  const auto count = static_cast<int>(found->second.sequences.size());
  const int first = index.value_or(0);
  const int last = index ? std::min(*index + 1, count) : count;
  std::vector<Sequence*> ending;
  for (int i = first; i < last; ++i) {
    if (auto& sequence = found->second.sequences[static_cast<std::size_t>(i)])
      ending.push_back(sequence.get());
  }
  for (Sequence* sequence : ending) {
    outputs.push_back({.id = id,
                       .index = sequence->index,
                       .finish_reason = reason,
                       .error = error,
                       .times = final_times(*sequence)});
    forget(*sequence);
  }
}

RequestTimes Engine::final_times(const Sequence& sequence) {
  RequestTimes times = sequence.times;
  const EngineClock::time_point now = EngineClock::now();
  const bool has_token = sequence.num_output() > 0;
  times.queue_seconds = seconds_between(sequence.submitted, sequence.has_begun() ? sequence.started : now);
  if (sequence.has_begun()) {
    times.prefill_seconds = seconds_between(sequence.started, has_token ? sequence.first_token : now);
  }
  if (has_token) times.decode_seconds = seconds_between(sequence.first_token, now);
  return times;
}

void Engine::forget(Sequence& sequence) {
  const RequestId id = sequence.id;
  const bool waited = !sequence.has_begun();
  const int64_t prompt_size = sequence.prompt_size;
  const bool is_first = sequence.index == 0;
  scheduler_.remove(sequence);
  const auto found = requests_.find(id);
  found->second.sequences[static_cast<std::size_t>(sequence.index)].reset();
  if (--found->second.num_left == 0) {
    for (const DeadlineQueue::iterator& deadline : found->second.deadlines) deadlines_.erase(deadline);
    requests_.erase(found);
  }
  if (waited && is_first) leave_queue(prompt_size);
}

void Engine::leave_queue(int64_t prompt_size) {
  const std::lock_guard<std::mutex> lock(mutex_);
  --load_.waiting_requests;
  load_.waiting_tokens -= prompt_size;
}

std::vector<Output> Engine::step(StepRecord* record) {
  std::vector<Output> outputs;
  const EngineClock::time_point start = EngineClock::now();
  take_inbox(outputs);
  expire(start, outputs);
  propose_drafts();
  const StepPlan plan = scheduler_.plan();
  if (plan.entries.empty()) {
    update_load({});
    return outputs;
  }
  ForwardBatch batch;
  std::vector<StepSequence> steps = prepare(plan, start, batch);
  start_masks(steps);
  const ProfileSpan step_span(backend_.profiler(), Profiler::kStep, batch.num_tokens(), start);
  ProfileSpan(backend_.profiler(), Profiler::kPrepare, 0, start).end();

  const EngineClock::time_point prepared = EngineClock::now();
  forward(batch, record);
  const auto num_rows = static_cast<int64_t>(batch.logit_rows.size());
  const StepLogits logits{.num_rows = num_rows,
                          .logits = host_rows(workspace_.logits(num_rows), host_logits_),
                          .maxima = host_rows(workspace_.logit_maxima(num_rows), host_maxima_)};
  mask_worker_.wait();

  const EngineClock::time_point computed = EngineClock::now();
  if (std::any_of(steps.begin(), steps.end(), [](const StepSequence& step) {
        return step.entry.sequence->request->on_prompt_logits != nullptr;
      })) {
    const std::span<const float> hidden = host_rows(workspace_.last_hidden(num_rows), host_hidden_);
    for (StepSequence& step : steps) show_prompt_logits(step, logits.logits, hidden);
  }
  backend_.run_on_host(static_cast<int64_t>(steps.size()), [&](int64_t task, int thread) {
    advance(steps[static_cast<std::size_t>(task)], logits, samplers_[static_cast<std::size_t>(thread)]);
  });
  if (options_.max_draft_tokens > 0) observe_drafts(steps, seconds_between(start, EngineClock::now()));
  const ProfileSpan finish_span(backend_.profiler(), Profiler::kFinish);
  const EngineLoad added = finish(steps, outputs);
  if (record != nullptr) {
    record->prepare_seconds = seconds_between(start, prepared);
    record->forward_seconds = seconds_between(prepared, computed);
    record->finish_seconds = seconds_between(computed, EngineClock::now());
    record->num_tokens = batch.num_tokens();
    record->num_logit_rows = num_rows;
  }
  update_load(added);
#ifndef NDEBUG
  check_integrity();
#endif
  return outputs;
}

void Engine::propose_drafts() {
  if (options_.max_draft_tokens == 0) return;
  const bool pays = draft_gain_.pays();
  for (Sequence* sequence : scheduler_.running()) {
    sequence->draft.clear();
    if (!pays) continue;
    if (sequence->num_to_run() != 1 || sequence->num_output() == 0) continue;
    const int64_t left = sequence->request->max_new_tokens - sequence->num_output() - 1;
    if (left <= 0) continue;
    const int most = static_cast<int>(std::min<int64_t>(options_.max_draft_tokens, left));
    if (const int length = sequence->draft_length.next(most); length > 0) {
      sequence->draft = sequence->ngrams.propose(sequence->tokens, length);
    }
  }
}

// Steps with prompts in them say nothing about drafts.
void Engine::observe_drafts(const std::vector<StepSequence>& steps, double seconds) {
  int64_t drafted = 0;
  int64_t given = 0;
  for (const StepSequence& step : steps) {
    if (step.entry.num_tokens != 1 + step.entry.num_drafts) return;
    drafted += step.entry.num_drafts;
    given += step.num_computed;
  }
  draft_gain_.observe(static_cast<int64_t>(steps.size()), drafted, given, seconds);
}

void Engine::begin(Sequence& sequence, EngineClock::time_point now) {
  sequence.started = now;
  if (sequence.index == 0) leave_queue(sequence.prompt_size);
  const std::lock_guard<std::mutex> lock(mutex_);
  load_.prompt_tokens += sequence.prompt_size;
  load_.cached_tokens += sequence.times.cached_tokens;
}

std::vector<Engine::StepSequence> Engine::prepare(const StepPlan& plan, EngineClock::time_point now,
                                                  ForwardBatch& batch) {
  std::vector<StepSequence> steps;
  steps.reserve(plan.entries.size());
  batch.page_tables.resize(pool_->config().kinds.size());
  batch.sequence_offsets.push_back(0);
  for (PageTables& tables : batch.page_tables) tables.offsets.push_back(0);
  for (const StepPlan::Entry& entry : plan.entries) {
    Sequence& sequence = *entry.sequence;
    if (!sequence.has_begun()) begin(sequence, now);
    StepSequence step{.entry = entry, .first_row = static_cast<int64_t>(batch.logit_rows.size())};
    const int64_t begin = sequence.num_computed;
    const int64_t end = begin + entry.num_tokens;
    const int64_t num_known = sequence.num_known();
    for (int64_t position = begin; position < end; ++position) {
      const bool wanted = position + 1 >= num_known ||
                          (sequence.wants_prompt_logits() && position >= sequence.num_prompt_scored &&
                           position < sequence.prompt_size);
      if (wanted) {
        if (step.num_rows++ == 0) step.first_position = position;
        batch.logit_rows.push_back(static_cast<int32_t>(batch.ids.size()));
      }
      batch.ids.push_back(position < num_known
                              ? sequence.tokens[static_cast<std::size_t>(position)]
                              : sequence.draft[static_cast<std::size_t>(position - num_known)]);
      batch.positions.push_back(static_cast<int32_t>(position));
    }
    batch.sequence_offsets.push_back(static_cast<int32_t>(batch.ids.size()));
    for (std::size_t kind = 0; kind < batch.page_tables.size(); ++kind) {
      PageTables& tables = batch.page_tables[kind];
      const std::vector<int32_t>& pages = sequence.pages.by_kind[kind];
      tables.pages.insert(tables.pages.end(), pages.begin(), pages.end());
      tables.offsets.push_back(static_cast<int32_t>(tables.pages.size()));
    }
    steps.push_back(std::move(step));
  }
  return steps;
}

void Engine::start_masks(std::vector<StepSequence>& steps) {
  masks_.clear();
  for (StepSequence& step : steps) {
    const Sequence& sequence = *step.entry.sequence;
    const bool samples = sequence.num_computed + step.entry.num_tokens >= sequence.num_known();
    if (!samples || !sequence.constraint) continue;
    const auto num_drafts = static_cast<std::size_t>(step.entry.num_drafts);
    if (num_drafts == 0 && !sequence.constraint->is_active(sequence.output())) continue;
    step.mask = static_cast<int64_t>(masks_.size());
    const std::span<const int32_t> output = sequence.output();
    MaskWorker::Job& job = masks_.emplace_back();
    job.constraint = sequence.constraint.get();
    job.num_drafts = num_drafts;
    job.output.reserve(output.size() + num_drafts);
    job.output.assign(output.begin(), output.end());
    job.output.insert(job.output.end(), sequence.draft.begin(),
                      sequence.draft.begin() + static_cast<std::ptrdiff_t>(num_drafts));
  }
  mask_worker_.start(masks_);
}

void Engine::forward(const ForwardBatch& batch, StepRecord* record) {
  const int num_layers = info().num_layers;
  if (record == nullptr || !record->count_experts || info().num_experts == 0) {
    model_.model->forward(batch, backend_, *pool_, workspace_, {.begin = 0, .end = num_layers});
  } else {
    record->experts_touched = 0;
    for (int layer = 0; layer < num_layers; ++layer) {
      model_.model->forward(batch, backend_, *pool_, workspace_, {.begin = layer, .end = layer + 1});
      record->experts_touched += count_experts(batch.num_tokens());
    }
  }
  backend_.synchronize();
}

int64_t Engine::count_experts(int64_t num_tokens) {
  const Tensor chosen = workspace_.experts(num_tokens);
  std::vector<int32_t> experts(static_cast<std::size_t>(chosen.shape().num_elements()));
  backend_.download(chosen, Tensor(experts.data(), DType::kI32, chosen.shape()));
  std::sort(experts.begin(), experts.end());
  return std::unique(experts.begin(), experts.end()) - experts.begin();
}

std::span<const float> Engine::host_rows(const Tensor& rows, std::vector<float>& copy) {
  const auto size = static_cast<std::size_t>(rows.shape().num_elements());
  if (const std::byte* view = backend_.host_view(rows)) return {reinterpret_cast<const float*>(view), size};
  copy.resize(size);
  if (size > 0) backend_.download(rows, Tensor(copy.data(), DType::kF32, rows.shape()));
  return copy;
}

void Engine::show_prompt_logits(StepSequence& step, std::span<const float> logits,
                                std::span<const float> hidden) {
  const Sequence& sequence = *step.entry.sequence;
  if (!sequence.request->on_prompt_logits) return;
  const auto row_of = [](std::span<const float> rows, int64_t row, int64_t dim) {
    return rows.subspan(static_cast<std::size_t>(row * dim), static_cast<std::size_t>(dim));
  };
  for (int64_t row = 0; row < step.num_rows; ++row) {
    const int64_t position = step.first_position + row;
    if (position < sequence.num_prompt_scored || position >= sequence.prompt_size) continue;
    sequence.request->on_prompt_logits(position, row_of(logits, step.first_row + row, info().vocab_size),
                                       row_of(hidden, step.first_row + row, info().hidden_dim));
  }
}

// What a step's logits mean for one sequence. Runs beside others': touches nothing but the sequence.
void Engine::advance(StepSequence& step, const StepLogits& step_logits, Sampler& sampler) {
  Sequence& sequence = *step.entry.sequence;
  const Request& request = *sequence.request;
  const auto of_position = [&](std::span<const float> rows, int64_t position) {
    const auto size = static_cast<std::size_t>(static_cast<int64_t>(rows.size()) / step_logits.num_rows);
    return rows.subspan(static_cast<std::size_t>(step.first_row + position - step.first_position) * size,
                        size);
  };
  const auto row_of = [&](int64_t position) { return of_position(step_logits.logits, position); };
  const int64_t begin = sequence.num_computed;
  const int64_t num_known = sequence.num_known();
  step.num_computed = step.entry.num_tokens - step.entry.num_drafts;
  const int64_t end = begin + step.num_computed;

  if (sequence.wants_prompt_logits()) {
    const int64_t scored = std::min(end, sequence.prompt_size);
    Output scores{.id = sequence.id, .index = sequence.index};
    for (int64_t position = std::max(begin, sequence.num_prompt_scored);
         request.prompt_logprobs >= 0 && position < std::min(scored, sequence.prompt_size - 1); ++position) {
      if (auto error = check_logits(row_of(position), position)) return fail(step, std::move(error->message));
      scores.prompt_logprobs.push_back(
          compute_logprobs(row_of(position), sequence.tokens[static_cast<std::size_t>(position) + 1],
                           request.prompt_logprobs));
    }
    sequence.num_prompt_scored = std::max(sequence.num_prompt_scored, scored);
    if (!scores.prompt_logprobs.empty()) step.outputs.push_back(std::move(scores));
  }
  if (end < num_known) return;  // a prompt whose next chunk comes in another step

  if (request.max_new_tokens == 0) {
    step.outputs.push_back(
        {.id = sequence.id, .index = sequence.index, .finish_reason = FinishReason::kLength});
    return;
  }
  const MaskWorker::Job* masks = step.mask >= 0 ? &masks_[static_cast<std::size_t>(step.mask)] : nullptr;
  for (int64_t accepted = 0;; ++accepted) {
    const std::span<const float> row = row_of(num_known - 1 + accepted);
    std::span<const uint64_t> mask;
    if (masks != nullptr) {
      // A draft token that its mask forbids is never sampled: only an error can end the masks before.
      if (static_cast<std::size_t>(accepted) >= masks->masks.size()) return fail(step, masks->error);
      mask = masks->masks[static_cast<std::size_t>(accepted)];
    }
    // Where a grammar has come to its end there is nothing else to say.
    const bool too_early = sequence.num_output() < request.min_new_tokens &&
                           (mask.empty() || allows_other(mask, request.stop_token_ids));
    const Result<int32_t> sampled =
        sampler.sample({.logits = row,
                        .maxima = of_position(step_logits.maxima, num_known - 1 + accepted),
                        .params = request.sampling,
                        .seed = sequence.seed,
                        .index = static_cast<uint64_t>(sequence.num_output()),
                        .prompt = sequence.prompt(),
                        .output = sequence.output(),
                        .mask = mask,
                        .forbidden = too_early ? std::span<const int32_t>(request.stop_token_ids)
                                               : std::span<const int32_t>()});
    if (!sampled.ok()) return fail(step, sampled.error().message);
    std::optional<TokenLogprobs> logprobs;
    if (request.top_logprobs >= 0) {
      if (auto error = check_logits(row, num_known - 1 + accepted))
        return fail(step, std::move(error->message));
      logprobs = compute_logprobs(row, sampled.value(), request.top_logprobs);
    }
    const bool goes_on = append(sequence, sampled.value(), std::move(logprobs), step.outputs);
    if (!goes_on || accepted == step.entry.num_drafts ||
        sampled.value() != sequence.draft[static_cast<std::size_t>(accepted)] ||
        sequence.num_known() != num_known + accepted + 1) {  // tokens were forced upon it
      return;
    }
    ++step.num_computed;  // the draft token was right: its keys and values stand
  }
}

void Engine::fail(StepSequence& step, std::string error) {
  step.outputs.push_back({.id = step.entry.sequence->id,
                          .index = step.entry.sequence->index,
                          .finish_reason = FinishReason::kError,
                          .error = std::move(error)});
}

// Adds a sampled token. False: the sequence ends.
bool Engine::append(Sequence& sequence, int32_t token, std::optional<TokenLogprobs> logprobs,
                    std::vector<Output>& outputs) {
  const Request& request = *sequence.request;
  sequence.tokens.push_back(token);
  Output output{.id = sequence.id, .index = sequence.index, .token = token, .logprobs = std::move(logprobs)};
  if (sequence.num_output() == request.max_new_tokens) output.finish_reason = FinishReason::kLength;
  if (contains(request.stop_token_ids, token)) output.finish_reason = FinishReason::kStop;
  outputs.push_back(std::move(output));
  return !outputs.back().finish_reason;
}

// Takes over what advance() found. Returns what this step adds to the counts of load().
EngineLoad Engine::finish(std::vector<StepSequence>& steps, std::vector<Output>& outputs) {
  const EngineClock::time_point now = EngineClock::now();
  EngineLoad added;
  for (StepSequence& step : steps) {
    Sequence& sequence = *step.entry.sequence;
    if (const int64_t drafted = step.entry.num_drafts; drafted > 0) {
      const int64_t accepted = step.num_computed - 1;
      sequence.draft_length.observe(drafted, accepted);
      sequence.times.drafted_tokens += drafted;
      sequence.times.accepted_tokens += accepted;
      added.drafted_tokens += drafted;
      added.accepted_tokens += accepted;
    }
    scheduler_.commit(sequence, step.num_computed);
    bool ended = false;
    for (Output& output : step.outputs) {
      if (output.token) {
        ++added.new_tokens;
        if (sequence.first_token == EngineClock::time_point()) sequence.first_token = now;
      }
      if (output.finish_reason) {
        ended = true;
        output.times = final_times(sequence);
      }
      outputs.push_back(std::move(output));
    }
    if (ended) forget(sequence);
  }
  ++added.steps;
  return added;
}

void Engine::update_load(const EngineLoad& added) {
  const auto& kinds = pages_.kinds();
  std::size_t full = 0;
  for (std::size_t kind = 0; kind < kinds.size(); ++kind) {
    if (kinds[kind].window == 0) full = kind;
  }
  const std::lock_guard<std::mutex> lock(mutex_);
  load_.running_sequences = static_cast<int64_t>(scheduler_.running().size());
  load_.total_pages = kinds[full].num_pages;
  load_.used_pages = kinds[full].num_pages - pages_.num_available(full);
  load_.cached_pages = pages_.num_kept(full);
  load_.preemptions = scheduler_.num_preemptions();
  load_.steps += added.steps;
  load_.new_tokens += added.new_tokens;
  load_.drafted_tokens += added.drafted_tokens;
  load_.accepted_tokens += added.accepted_tokens;
  has_work_ = !requests_.empty() || !inbox_.submitted.empty();
}

void Engine::check_integrity() const {
  std::vector<const SequencePages*> owners;
  for (const auto& [id, active] : requests_) {
    for (const auto& sequence : active.sequences) {
      if (sequence) owners.push_back(&sequence->pages);
    }
  }
  pages_.check_integrity(owners);
}

}  // namespace gossamer
