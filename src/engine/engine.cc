#include "engine/engine.h"

#include <algorithm>
#include <chrono>
#include <limits>
#include <utility>

namespace gossamer {

struct Engine::Sequence {
  RequestId id = 0;
  Request request;
  std::vector<int32_t> output;
  int64_t num_computed = 0;
  bool admitted = false;
  bool finished = false;
  SequencePages pages;

  int64_t num_known() const { return static_cast<int64_t>(request.prompt.size() + output.size()); }
  int32_t token(int64_t position) const {
    const auto index = static_cast<std::size_t>(position);
    return index < request.prompt.size() ? request.prompt[index] : output[index - request.prompt.size()];
  }
};

namespace {

using Clock = std::chrono::steady_clock;

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

RequestError invalid(std::string message) { return {RequestErrorKind::kInvalid, std::move(message)}; }

}  // namespace

Engine::Engine(LoadedModel model, Backend& backend, const EngineOptions& options)
    : model_(std::move(model)),
      backend_(backend),
      options_(resolve(options, info())),
      pages_(kv_pool_config(info(), model_.precision.kv_cache, options_.limits).kinds,
             options_.limits.max_batched_tokens),
      pool_(backend.create_kv_pool(kv_pool_config(info(), model_.precision.kv_cache, options_.limits))),
      workspace_(info(), backend, model_.precision.activation, options_.limits.max_batched_tokens,
                 options_.limits.max_logit_rows),
      sampler_(info().vocab_size, options_.num_sampled_ids),
      host_logits_(static_cast<std::size_t>(options_.limits.max_logit_rows * info().vocab_size)),
      host_hidden_(static_cast<std::size_t>(options_.limits.max_logit_rows * info().hidden_dim)) {
  backend_.reserve(step_limits(info(), options_.limits));
}

Engine::~Engine() = default;

Result<RequestId> Engine::submit(Request request) {
  const int64_t max_len = options_.limits.max_model_len;
  const auto prompt_size = static_cast<int64_t>(request.prompt.size());
  if (request.prompt.empty()) return invalid("the prompt is empty: expected at least one token");
  for (const int32_t id : request.prompt) {
    if (id < 0 || id >= info().vocab_size) {
      return invalid(fmt::format("the prompt has token id {}: expected 0 to {}", id, info().vocab_size - 1));
    }
  }
  if (request.max_new_tokens < 0) {
    return invalid(fmt::format("max_new_tokens: expected 0 or more, found {}", request.max_new_tokens));
  }
  const int64_t least = prompt_size + (request.max_new_tokens > 0 ? 1 : 0);
  if (least > max_len) {
    return invalid(fmt::format("the prompt has {} tokens, but at most {} fit into --max-model-len {}{}",
                               prompt_size, max_len - (least - prompt_size), max_len,
                               max_len < info().max_positions
                                   ? fmt::format(" (the model's own limit is {})", info().max_positions)
                                   : ""));
  }
  if (auto error = check_sampling_params(request.sampling, info().vocab_size)) return *std::move(error);
  request.max_new_tokens = std::min(request.max_new_tokens, max_len - prompt_size);

  auto sequence = std::make_unique<Sequence>();
  sequence->id = next_id_++;
  sequence->request = std::move(request);
  sequences_.push_back(std::move(sequence));
  return sequences_.back()->id;
}

void Engine::cancel(RequestId id) {
  const auto found =
      std::find_if(sequences_.begin(), sequences_.end(),
                   [id](const std::unique_ptr<Sequence>& sequence) { return sequence->id == id; });
  if (found == sequences_.end()) return;
  pages_.release((*found)->pages);
  sequences_.erase(found);
  cancelled_.push_back(id);
}

std::vector<Output> Engine::step(StepRecord* record) {
  std::vector<Output> outputs;
  for (const RequestId id : std::exchange(cancelled_, {})) {
    outputs.push_back({.id = id, .token = {}, .finish_reason = FinishReason::kCancelled, .error = {}});
  }

  const Clock::time_point start = record != nullptr ? Clock::now() : Clock::time_point();
  const StepPlan plan = make_plan();
  if (plan.entries.empty()) return outputs;
  const ForwardBatch batch = make_batch(plan);

  const Clock::time_point prepared = record != nullptr ? Clock::now() : start;
  forward(batch, record);
  download_logits(plan, batch);

  const Clock::time_point computed = record != nullptr ? Clock::now() : start;
  finish_step(plan, outputs);
  if (record != nullptr) {
    const auto seconds = [](Clock::time_point from, Clock::time_point to) {
      return std::chrono::duration<double>(to - from).count();
    };
    record->prepare_seconds = seconds(start, prepared);
    record->forward_seconds = seconds(prepared, computed);
    record->finish_seconds = seconds(computed, Clock::now());
    record->num_tokens = batch.num_tokens();
    record->num_logit_rows = static_cast<int64_t>(batch.logit_rows.size());
  }
  return outputs;
}

StepPlan Engine::make_plan() {
  std::vector<ScheduledSequence> scheduled;
  bool blocked = false;  // first come, first served: nobody overtakes a sequence that waits for pages
  int64_t num_admitted = 0;
  for (const auto& sequence : sequences_) {
    if (!sequence->admitted && !blocked && num_admitted < options_.limits.max_num_seqs) {
      const int64_t most =
          static_cast<int64_t>(sequence->request.prompt.size()) + sequence->request.max_new_tokens;
      sequence->admitted = pages_.admit(most, sequence->pages);
      if (sequence->admitted && skip_prompts_) skip_prompt(*sequence);
    }
    blocked = blocked || !sequence->admitted;
    num_admitted += sequence->admitted ? 1 : 0;
    scheduled.push_back({.num_computed = sequence->num_computed,
                         .num_known = sequence->num_known(),
                         .admitted = sequence->admitted,
                         .wants_all_logits = sequence->request.on_prompt_logits != nullptr});
  }
  return plan_step(scheduled, {.max_batched_tokens = options_.limits.max_batched_tokens,
                               .max_num_seqs = options_.limits.max_num_seqs,
                               .max_logit_rows = options_.limits.max_logit_rows,
                               .chunk_tokens = options_.chunk_tokens});
}

void Engine::skip_prompt(Sequence& sequence) {
  const auto computed = static_cast<int64_t>(sequence.request.prompt.size()) - 1;
  for (int64_t begin = 0; begin < computed; begin += options_.chunk_tokens) {  // as steps would take pages
    pages_.slide(sequence.pages, begin);
    pages_.extend(sequence.pages, begin, std::min(computed, begin + options_.chunk_tokens));
  }
  sequence.num_computed = computed;
}

void Engine::forward(const ForwardBatch& batch, StepRecord* record) {
  const int num_layers = info().num_layers;
  if (record == nullptr || !record->count_experts || info().num_experts == 0) {
    model_.model->forward(batch, backend_, *pool_, workspace_, {.begin = 0, .end = num_layers});
    return;
  }
  record->experts_touched = 0;
  for (int layer = 0; layer < num_layers; ++layer) {
    model_.model->forward(batch, backend_, *pool_, workspace_, {.begin = layer, .end = layer + 1});
    record->experts_touched += count_experts(batch.num_tokens());
  }
}

int64_t Engine::count_experts(int64_t num_tokens) {
  const Tensor chosen = workspace_.experts(num_tokens);
  std::vector<int32_t> experts(static_cast<std::size_t>(chosen.shape().num_elements()));
  backend_.download(chosen, Tensor(experts.data(), DType::kI32, chosen.shape()));
  std::sort(experts.begin(), experts.end());
  return std::unique(experts.begin(), experts.end()) - experts.begin();
}

ForwardBatch Engine::make_batch(const StepPlan& plan) {
  ForwardBatch batch;
  batch.page_tables.resize(pool_->config().kinds.size());
  batch.sequence_offsets.push_back(0);
  for (PageTables& tables : batch.page_tables) tables.offsets.push_back(0);
  for (const StepPlan::Entry& entry : plan.entries) {
    Sequence& sequence = *sequences_[static_cast<std::size_t>(entry.index)];
    const int64_t begin = sequence.num_computed;
    const int64_t end = begin + entry.num_tokens;
    pages_.slide(sequence.pages, begin);
    pages_.extend(sequence.pages, begin, end);
    const bool all_logits = sequence.request.on_prompt_logits != nullptr;
    for (int64_t position = begin; position < end; ++position) {
      if (all_logits || position + 1 == sequence.num_known()) {
        batch.logit_rows.push_back(static_cast<int32_t>(batch.ids.size()));
      }
      batch.ids.push_back(sequence.token(position));
      batch.positions.push_back(static_cast<int32_t>(position));
    }
    batch.sequence_offsets.push_back(static_cast<int32_t>(batch.ids.size()));
    for (std::size_t kind = 0; kind < batch.page_tables.size(); ++kind) {
      PageTables& tables = batch.page_tables[kind];
      const std::vector<int32_t>& pages = sequence.pages.by_kind[kind];
      tables.pages.insert(tables.pages.end(), pages.begin(), pages.end());
      tables.offsets.push_back(static_cast<int32_t>(tables.pages.size()));
    }
  }
  return batch;
}

void Engine::download_logits(const StepPlan& plan, const ForwardBatch& batch) {
  const ModelInfo& model = info();
  const auto num_rows = static_cast<int64_t>(batch.logit_rows.size());
  if (num_rows == 0) return;
  const bool wants_hidden =
      std::any_of(plan.entries.begin(), plan.entries.end(), [&](const StepPlan::Entry& entry) {
        return sequences_[static_cast<std::size_t>(entry.index)]->request.on_prompt_logits != nullptr;
      });
  backend_.download(workspace_.logits(num_rows),
                    Tensor(host_logits_.data(), DType::kF32, Shape{num_rows, model.vocab_size}));
  if (wants_hidden) {
    backend_.download(workspace_.last_hidden(num_rows),
                      Tensor(host_hidden_.data(), DType::kF32, Shape{num_rows, model.hidden_dim}));
  }
}

void Engine::finish_step(const StepPlan& plan, std::vector<Output>& outputs) {
  const ModelInfo& model = info();
  const auto row_of = [](const std::vector<float>& rows, int64_t row, int64_t size) {
    return std::span<const float>(rows.data() + row * size, static_cast<std::size_t>(size));
  };
  int64_t row = 0;
  for (const StepPlan::Entry& entry : plan.entries) {
    Sequence& sequence = *sequences_[static_cast<std::size_t>(entry.index)];
    const int64_t begin = sequence.num_computed;
    sequence.num_computed += entry.num_tokens;
    const bool complete = sequence.num_computed == sequence.num_known();
    if (sequence.request.on_prompt_logits) {
      for (int64_t position = begin; position < sequence.num_computed; ++position, ++row) {
        if (position >= static_cast<int64_t>(sequence.request.prompt.size())) continue;
        sequence.request.on_prompt_logits(position, row_of(host_logits_, row, model.vocab_size),
                                          row_of(host_hidden_, row, model.hidden_dim));
      }
      if (complete) append_token(sequence, row_of(host_logits_, row - 1, model.vocab_size), outputs);
    } else if (complete) {
      append_token(sequence, row_of(host_logits_, row, model.vocab_size), outputs);
      ++row;
    }
  }
  std::erase_if(sequences_, [this](const std::unique_ptr<Sequence>& sequence) {
    if (sequence->finished) pages_.release(sequence->pages);
    return sequence->finished;
  });
#ifndef NDEBUG
  check_integrity();
#endif
}

void Engine::append_token(Sequence& sequence, std::span<const float> logits, std::vector<Output>& outputs) {
  const Request& request = sequence.request;
  Output output{.id = sequence.id, .token = {}, .finish_reason = {}, .error = {}};
  if (request.max_new_tokens == 0) {
    output.finish_reason = FinishReason::kLength;
  } else {
    const Result<int32_t> sampled =
        sampler_.sample(logits, request.sampling, request.prompt, sequence.output, sequence.output.size());
    if (!sampled.ok()) {
      output.finish_reason = FinishReason::kError;
      output.error = sampled.error().message;
    } else {
      const int32_t token = sampled.value();
      sequence.output.push_back(token);
      output.token = token;
      const auto& stops = request.stop_token_ids;
      if (std::find(stops.begin(), stops.end(), token) != stops.end()) {
        output.finish_reason = FinishReason::kStop;
      } else if (static_cast<int64_t>(sequence.output.size()) == request.max_new_tokens) {
        output.finish_reason = FinishReason::kLength;
      }
    }
  }
  sequence.finished = output.finish_reason.has_value();
  outputs.push_back(std::move(output));
}

void Engine::check_integrity() const {
  std::vector<const SequencePages*> owners;
  for (const auto& sequence : sequences_) owners.push_back(&sequence->pages);
  pages_.check_integrity(owners);
}

}  // namespace gossamer
