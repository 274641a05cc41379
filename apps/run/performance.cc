// --task performance: batch sizes by lengths in and out, into a CSV file with the columns of atb_speed_sdk.
#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <utility>

#include "apps/run/run_tasks.h"
#include "apps/run/timed_batch.h"
#include "apps/text_files.h"
#include "backend/forward_batch.h"
#include "base/error.h"

namespace gossamer::apps {
namespace {

namespace fs = std::filesystem;

constexpr double kMillis = 1e3;
constexpr const char* kColumns =
    "batch_size,input_seq_len(Encoding),output_seq_len(Decoding),ResponseTime(s),forward_first_token_time(ms)"
    ","
    "forward_next_token_time(ms),pre_next_token_time(ms),post_next_token_time_post(ms)\n";

struct Timing {
  double response = 0.0;  // seconds, as all of them
  double first = 0.0;
  double next = 0.0;
  // Of the two things that happen around a forward pass; nothing where the method cannot tell.
  std::optional<std::pair<double, double>> around;
};

// Random tokens, the same in every run.
std::vector<Request> make_requests(const Session& session, int64_t batch, const PerformanceCase& lengths) {
  std::vector<Request> requests(static_cast<std::size_t>(batch));
  for (std::size_t i = 0; i < requests.size(); ++i) {
    requests[i].prompt = random_prompt(session, lengths.input, i);
    requests[i].max_new_tokens = lengths.output;
    requests[i].sampling.temperature = 0.0F;
  }
  return requests;
}

class Measurement {
 public:
  Measurement(Session& session, const SdkSettings::Performance& settings)
      : session_(session), settings_(settings) {}

  // Every step timed by itself.
  Timing by_steps(int64_t batch, const PerformanceCase& lengths) {
    const auto [timed, response] = run(batch, lengths);
    const StepRecord next = timed.mean_next();
    return {.response = response,
            .first = timed.first_forward_seconds(),
            .next = next.forward_seconds,
            .around = std::pair(next.prepare_seconds, next.finish_seconds)};
  }

  // One token, then all of them: the difference is the other tokens' time, the first taken for the same.
  Timing by_difference(int64_t batch, const PerformanceCase& lengths) {
    const double first = run(batch, {lengths.input, 1}).second;
    const double response = lengths.output > 1 ? run(batch, lengths).second : first;
    const auto others = static_cast<double>(std::max<int64_t>(lengths.output - 1, 1));
    return {.response = response, .first = first, .next = (response - first) / others, .around = {}};
  }

 private:
  // And the seconds until the answers were there, as text too unless skip_decode.
  std::pair<TimedBatch, double> run(int64_t batch, const PerformanceCase& lengths) {
    TimedBatch timed = run_timed_batch(session_.engine(), make_requests(session_, batch, lengths));
    double seconds = timed.seconds;
    if (!settings_.skip_decode) {
      const Clock::time_point start = Clock::now();
      for (const TimedBatch::Sequence& sequence : timed.sequences)
        session_.require_tokenizer().decode(sequence.tokens);
      seconds += seconds_since(start);
    }
    return {std::move(timed), seconds};
  }

  Session& session_;
  const SdkSettings::Performance& settings_;
};

// Room for the largest case, nothing kept between cases, one token a step: what is measured is the model.
void load(Session& session, const SdkSettings::Performance& settings) {
  int64_t longest = 0;
  for (const PerformanceCase& one : settings.cases) longest = std::max(longest, one.input + one.output);
  if (longest > session.longest()) {
    throw Error(
        "{}: a case has {}, but at most {} fit: leave it out, or raise MAX_SEQ_LEN or --max-model-len "
        "where the model allows it",
        settings.cases_where, count_tokens(longest), session.longest());
  }
  const int64_t batch = *std::max_element(settings.batch_sizes.begin(), settings.batch_sizes.end());
  EngineLimits limits = session.limits(longest, batch, batch);
  limits.max_batched_tokens = session.options().chunk_tokens + batch;
  limits.kv_cache_tokens = batch * (longest + kPageTokens);
  limits.prefix_cache = false;
  session.load(session.plan(limits));
}

std::string model_name(const SdkSettings::Performance& settings, const Session& session) {
  if (!settings.model_name.empty()) return settings.model_name;
  const fs::path folder = fs::absolute(session.path()).lexically_normal();
  return folder.has_filename() ? folder.filename().string() : folder.parent_path().filename().string();
}

}  // namespace

void run_performance(const RunOptions& options, const ModelOptions& model, const SdkSettings& all,
                     CaseLog& log) {
  const SdkSettings::Performance& settings = all.performance;
  Session session(model);
  if (!settings.skip_decode) session.require_tokenizer();
  std::string name = settings.save_file_name;
  if (name.empty()) {
    name = fmt::format("performance_test_{}_{}_{}.csv", model.backend, model_name(settings, session),
                       time_stamp());
  } else if (!name.ends_with(".csv")) {
    name += ".csv";
  }
  std::error_code error;  // what comes of it is seen by check_output_path
  if (!options.output.empty()) fs::create_directories(options.output, error);
  const std::string path = (fs::path(options.output) / name).string();
  check_output_path(path);
  load(session, settings);
  Measurement measurement(session, settings);
  log.info("---------------warm-up---------------");
  const PerformanceCase& first = settings.cases.front();
  measurement.by_steps(settings.batch_sizes.front(), {first.input, std::min<int64_t>(first.output, 8)});

  log.info("---------------performance test: {}---------------",
           settings.detail ? "every step timed" : "by the difference between one token and all of them");
  std::string csv = kColumns;
  write_text_file(path, csv);
  for (const int64_t batch : settings.batch_sizes) {
    for (const PerformanceCase& lengths : settings.cases) {
      const Timing timing =
          settings.detail ? measurement.by_steps(batch, lengths) : measurement.by_difference(batch, lengths);
      log.info(
          "batch: {}, seq_len_in: {}, seq_len_out: {}, ResponseTime: {:.4f} s, first token: {:.2f} ms, next "
          "token: "
          "{:.2f} ms",
          batch, lengths.input, lengths.output, timing.response, kMillis * timing.first,
          kMillis * timing.next);
      csv += fmt::format("{},{},{},{:.6f},{:.4f},{:.4f},", batch, lengths.input, lengths.output,
                         timing.response, kMillis * timing.first, kMillis * timing.next);
      csv += timing.around ? fmt::format("{:.4f},{:.4f}\n", kMillis * timing.around->first,
                                         kMillis * timing.around->second)
                           : ",\n";
      write_text_file(path, csv);  // a run that is stopped leaves what it measured
    }
  }
  log.info("result: {}", path);
}

}  // namespace gossamer::apps
