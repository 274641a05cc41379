#include "apps/batch_run.h"

#include <fmt/format.h>

#include <chrono>
#include <ctime>
#include <optional>
#include <utility>

#include "base/checksum.h"
#include "server/json_fields.h"
#include "text/harmony_tools.h"

namespace gossamer::apps {
namespace {

constexpr auto kProgressInterval = std::chrono::milliseconds(100);

Endpoint endpoint_of(const JsonFields& line) {
  const std::string method = line.string("method").value_or("POST");
  if (method != "POST")
    throw ApiError{
        .status = 405, .message = fmt::format("method: expected POST, found {}", method), .param = "method"};
  const std::string url = line.required_string("url");
  if (url == "/v1/chat/completions") return Endpoint::kChat;
  if (url == "/v1/completions") return Endpoint::kCompletions;
  throw ApiError{
      .status = 404,
      .message = fmt::format("url: expected /v1/chat/completions or /v1/completions, found {}", url),
      .param = "url",
      .code = "invalid_url"};
}

ApiResult<PreparedCall> prepare_line(const BatchLine& line, const ServedModel& model,
                                     const CallIdentity& identity) {
  try {
    const JsonFields fields(line.request, "");
    const Endpoint endpoint = endpoint_of(fields);
    const json::value* body = fields.find("body");
    if (body == nullptr) fields.fail("body", "an object");
    ApiResult<PreparedCall> call = prepare_call(endpoint, *body, model, identity);
    if (call.ok() && call.value().stream) {
      return ApiError{.message = "stream: expected false, found true: a line of a batch has its answer whole",
                      .param = "stream"};
    }
    return call;
  } catch (ApiError& error) {
    return std::move(error);
  }
}

}  // namespace

BatchRun::BatchRun(Engine& engine, const ServedModel& model, BatchInput& input, BatchOutput& output,
                   const BatchOptions& options)
    : model_(model),
      input_(input),
      output_(output),
      options_(options),
      progress_(output.num_found() == 0
                    ? "batch"
                    : fmt::format("batch (going on after {} answers)", output.num_found()),
                ProgressLine::kLines),
      engine_(engine) {}

bool BatchRun::run(const InterruptFlag& interrupt) {
  for (;;) {
    if (interrupt.is_set()) return false;
    fill_engine();
    const bool has_written = write_finished();
    show_progress();
    if (has_written) continue;  // there is room again
    std::unique_lock lock(mutex_);
    if (input_ended_ && waiting_.empty() && num_in_flight_ == 0 && finished_.empty()) return true;
    changed_.wait_for(lock, kProgressInterval, [this] { return !finished_.empty(); });
  }
}

// Enough that the engine never waits for a request, but never all of a large file. Answers go first: an
// engine that is faster than this thread would have them pile up here, unwritten.
void BatchRun::fill_engine() {
  const auto has_room = [this] {
    const std::lock_guard lock(mutex_);
    return num_in_flight_ < options_.max_in_flight && finished_.empty();
  };
  while (has_room()) {
    if (waiting_.empty()) {
      const std::optional<BatchLine> line = input_.next();
      if (!line) {
        input_ended_ = true;
        return;
      }
      if (!output_.has(line->custom_id)) start(*line);
    } else if (submit(waiting_.front())) {
      waiting_.pop_front();
    } else {
      return;
    }
  }
}

void BatchRun::start(const BatchLine& line) {
  auto job = std::make_shared<Job>();
  job->custom_id = line.custom_id;
  job->id = random_id();
  // Without a seed of its own a request still has the same answer in every run.
  const CallIdentity identity{.id = job->id,
                              .created = static_cast<int64_t>(std::time(nullptr)),
                              .default_seed = options_.seed + checksum(line.custom_id)};
  ApiResult<PreparedCall> prepared = prepare_line(line, model_, identity);
  if (!prepared.ok())
    return write_line(job->custom_id, job->id, prepared.error().status, to_json(prepared.error()));
  PreparedCall call = std::move(prepared).value();
  job->response = std::move(call.response);
  for (std::size_t prompt = 0; prompt < call.requests.size(); ++prompt)
    waiting_.push_back({.job = job, .prompt = prompt, .request = std::move(call.requests[prompt])});
}

// False: the engine's queue is full. A request that it refuses for another reason has its answer with that.
bool BatchRun::submit(const Waiting& waiting) {
  const std::shared_ptr<Job>& job = waiting.job;
  bool alone = false;
  {
    const std::lock_guard lock(mutex_);
    if (job->finished) return true;  // another of its prompts has failed
    alone = num_in_flight_ == 0;
    num_in_flight_ += waiting.request.num_sequences;
  }
  const Result<RequestId> id = engine_.submit(
      waiting.request,
      [this, job, prompt = waiting.prompt](const Output& output) { on_output(job, prompt, output); });
  const std::lock_guard lock(mutex_);
  if (id.ok()) {
    job->submitted.push_back(id.value());
    if (job->finished) engine_.cancel(id.value());
    return true;
  }
  num_in_flight_ -= waiting.request.num_sequences;
  if (id.error().kind == RequestErrorKind::kOverloaded && !alone) return false;
  job->response->fail(to_api_error(id.error()));
  finish(job);
  return true;
}

// On the engine's thread.
void BatchRun::on_output(const std::shared_ptr<Job>& job, std::size_t prompt, const Output& output) {
  const std::lock_guard lock(mutex_);
  if (output.token) ++num_tokens_;
  if (output.finish_reason) --num_in_flight_;
  const bool stopped = job->response->add(prompt, output);
  if (stopped) engine_.cancel(output.id, output.index);
  if (job->response->done()) finish(job);
}

// With the mutex held.
void BatchRun::finish(const std::shared_ptr<Job>& job) {
  if (std::exchange(job->finished, true)) return;
  if (job->response->error()) {
    for (const RequestId id : job->submitted) engine_.cancel(id);
  }
  finished_.push_back(job);
  changed_.notify_one();
}

// False: there was nothing to write.
bool BatchRun::write_finished() {
  std::vector<std::shared_ptr<Job>> jobs;
  {
    const std::lock_guard lock(mutex_);
    jobs.swap(finished_);
  }
  for (const std::shared_ptr<Job>& job : jobs) {
    // A failed job may still get outputs of sequences that are being cancelled; an answered one gets none.
    std::optional<ApiError> error;
    {
      const std::lock_guard lock(mutex_);
      error = job->response->error();
    }
    if (error) {
      write_line(job->custom_id, job->id, error->status, to_json(*error));
      continue;
    }
    const TokenUsage usage = job->response->usage();
    totals_.prompt_tokens += usage.prompt_tokens;
    totals_.completion_tokens += usage.completion_tokens;
    write_line(job->custom_id, job->id, 200, job->response->to_json());
  }
  return !jobs.empty();
}

void BatchRun::write_line(const std::string& custom_id, const std::string& id, int status,
                          json::object body) {
  constexpr int kOk = 200;
  json::object line = {
      {"id", "batch_req_" + id},
      {"custom_id", custom_id},
      {"response", {{"status_code", status}, {"request_id", "req_" + id}, {"body", std::move(body)}}},
      {"error", nullptr}};
  output_.append(compact_json(std::move(line)));
  ++totals_.answered;
  if (status != kOk) ++totals_.failed;
}

void BatchRun::show_progress() {
  int64_t tokens = 0;
  {
    const std::lock_guard lock(mutex_);
    tokens = num_tokens_;
  }
  const double seconds = seconds_since(start_);
  progress_.show(totals_.answered, input_.size() - output_.num_found(),
                 fmt::format("{:.1f} tokens/s", seconds > 0.0 ? static_cast<double>(tokens) / seconds : 0.0));
}

}  // namespace gossamer::apps
