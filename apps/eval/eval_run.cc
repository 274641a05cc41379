#include "apps/eval/eval_run.h"

#include <fmt/format.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <atomic>
#include <chrono>
#include <exception>
#include <thread>
#include <utility>

#include "apps/subject/engine_subject.h"
#include "apps/terminal.h"
#include "apps/text_files.h"
#include "base/checksum.h"
#include "base/error.h"

namespace gossamer::apps {
namespace {

constexpr std::size_t kMostShown = 20;  // of complaints, on the terminal; the report has all
constexpr auto kProgressInterval = std::chrono::milliseconds(100);

void print_warning(const std::string& text) { fmt::print(stderr, "gossamer: {}\n", text); }

}  // namespace

void add_eval_options(CLI::App& command, EvalOptions& options, const std::string& data_help) {
  add_model_options(command, options.model, "Default: 16384, or the model's limit, or what fits");
  add_serving_options(command, options.serving);
  add_chat_options(command, options.chat);
  command.add_option("DATA_DIR", options.data, data_help)->required();
  command
      .add_option(
          "--output,-o", options.output,
          "The folder for predictions, scores and logs. A run that was interrupted, or killed, goes on "
          "from what is in it with the same command")
      ->capture_default_str();
  command.add_option("--limit", options.limit, "The first so many questions of each file; 0: all")
      ->capture_default_str();
}

EvalRun::EvalRun(const EvalOptions& options, std::string name, const json::object& settings, bool needs_chat)
    : options_(options), name_(std::move(name)), folder_(options.output) {
  session_ = std::make_unique<Session>(options_.model);
  session_->require_tokenizer();
  if (needs_chat && !session_->has_chat_form()) {
    throw Error("{}: the model has no chat form: expected a GPT-OSS folder with its tokenizer",
                session_->path().string());
  }
  std::error_code error;
  std::filesystem::create_directories(folder_, error);
  check_output_path(path_of("predictions"));
  json::object header = {
      {"gossamer_eval", name_}, {"limit", options_.limit}, {"max_model_len", options_.model.max_model_len}};
  for (const auto& member : EngineSubject::identity_of(*session_, options_.chat)) header.insert(member);
  for (const auto& member : settings) header.insert(member);
  log_ = std::make_unique<PredictionLog>(path_of(name_ + "_predictions.jsonl"), header);
}

EvalRun::~EvalRun() = default;

void EvalRun::note_complaints(const std::vector<Complaint>& complaints) {
  for (const Complaint& complaint : complaints) {
    if (complaints_.size() < kMostShown)
      print_warning(fmt::format("{}: {}; the row is left out", complaint.where, complaint.what));
    complaints_.push_back(complaint);
    if (complaints_.size() == kMostShown) print_warning("more such rows are in the report only");
  }
}

void EvalRun::note_missing(const std::vector<std::string>& missing) {
  for (const std::string& what : missing) {
    print_warning(what);
    missing_.push_back(what);
  }
}

void EvalRun::answer(const std::vector<EvalItem>& items) {
  if (items.empty()) throw Error("{}: there is nothing to ask", options_.data);
  std::vector<const EvalItem*> left;
  for (const EvalItem& item : items) {
    const json::object* found = log_->find(item.id);
    if (found == nullptr) {
      left.push_back(&item);
      continue;
    }
    const json::value* digest = found->if_contains("text_checksum");
    if (digest == nullptr || *digest != json::value(format_checksum(checksum(item.text)))) {
      throw Error(
          "{}: the prediction for {} was made from another text than {} has now: expected the same data, or "
          "another --output",
          log_->path(), item.id, item.where);
    }
  }
  if (left.empty()) {
    print_warning(fmt::format("{} has every prediction: nothing to compute", log_->path()));
    return;
  }
  if (log_->num_found() > 0) {
    print_warning(fmt::format("{} has {} of {} predictions: going on with the rest", log_->path(),
                              items.size() - left.size(), items.size()));
  }
  session_->load(plan_serving(*session_, options_.serving), serving_settings(options_.serving));
  ask_all(left);
}

void EvalRun::ask_all(const std::vector<const EvalItem*>& items) {
  const InterruptFlag interrupt(InterruptFlag::kAndTermination);
  EngineSubject subject(*session_, options_.chat);
  std::atomic<std::size_t> next = 0;
  std::atomic<std::size_t> num_done = 0;
  std::atomic<std::size_t> num_ended = 0;  // threads
  std::mutex mutex;
  std::exception_ptr failure;
  const auto work = [&] {
    try {
      for (std::size_t i = next++; i < items.size(); i = next++) {
        const EvalItem& item = *items[i];
        const Result<json::object> asked = item.ask(subject);
        json::object line = {
            {"id", item.id}, {"where", item.where}, {"text_checksum", format_checksum(checksum(item.text))}};
        if (asked.ok()) {
          for (const auto& member : asked.value()) line.insert(member);
        } else if (asked.error().kind == RequestErrorKind::kCancelled) {
          break;
        } else {
          line.emplace("error", asked.error().message);
        }
        log_->append(line);
        ++num_done;
      }
    } catch (...) {
      const std::lock_guard lock(mutex);
      if (!failure) failure = std::current_exception();
      subject.stop();
    }
    ++num_ended;
  };
  // Enough that no step is short of sequences.
  const auto num_threads =
      std::min(items.size(), static_cast<std::size_t>(2 * options_.serving.max_num_seqs));
  std::vector<std::thread> threads;
  threads.reserve(num_threads);
  for (std::size_t i = 0; i < num_threads; ++i) threads.emplace_back(work);
  {
    ProgressLine progress(name_, ProgressLine::kLines);
    while (num_ended < num_threads) {
      if (interrupt.is_set()) subject.stop();
      progress.show(num_done, items.size());
      std::this_thread::sleep_for(num_done < items.size() ? kProgressInterval / 10 : kProgressInterval / 100);
    }
  }
  for (std::thread& thread : threads) thread.join();
  if (failure) std::rethrow_exception(failure);
  if (num_done < items.size()) {
    throw Error("interrupted: {} has {} more predictions, {} are left; the same command goes on from there",
                log_->path(), num_done.load(), items.size() - num_done);
  }
}

const json::object* EvalRun::prediction(const std::string& id) {
  const json::object* found = log_->find(id);
  GOSSAMER_CHECK(found != nullptr);
  if (!found->contains("error")) return found;
  unanswered_.push_back(id);
  return nullptr;
}

void EvalRun::report(json::object result, const std::string& table) {
  json::array left_out;
  for (const Complaint& complaint : complaints_)
    left_out.push_back(json::object{{"where", complaint.where}, {"what", complaint.what}});
  result["rows_left_out"] = std::move(left_out);
  result["missing"] = json::value_from(missing_);
  std::sort(unanswered_.begin(), unanswered_.end());
  unanswered_.erase(std::unique(unanswered_.begin(), unanswered_.end()), unanswered_.end());
  result["unanswered"] = json::value_from(unanswered_);
  const std::string path = path_of(name_ + "_result.json");
  write_text_file(path, json::serialize(result) + "\n");
  fmt::print("{}", table);
  if (!complaints_.empty())
    fmt::print("{} rows were left out of the score: see {}\n", complaints_.size(), path);
  if (!missing_.empty()) fmt::print("{} things are missing or limited: see {}\n", missing_.size(), path);
  if (!unanswered_.empty())
    fmt::print("{} questions could not be answered and count as wrong: see {}\n", unanswered_.size(), path);
  fmt::print("predictions: {}\nresult: {}\n", log_->path(), path);
}

json::object ScoreTable::add(const std::string& name, std::size_t count, double score,
                             const Interval& interval, const char* method) {
  constexpr double kPercent = 100.0;
  lines_.push_back({name, std::to_string(count), fmt::format("{:.2f}", kPercent * score),
                    fmt::format("[{:.2f}, {:.2f}]", kPercent * interval.low, kPercent * interval.high)});
  return {{"questions", count},
          {"score", score},
          {"interval_95", {interval.low, interval.high}},
          {"interval_method", method}};
}

json::object ScoreTable::add_share(const std::string& name, std::size_t right, std::size_t total) {
  const double share = total == 0 ? 0.0 : static_cast<double>(right) / static_cast<double>(total);
  return add(name, total, share, wilson_interval(right, total), "Wilson");
}

json::object ScoreTable::add_mean(const std::string& name, const std::vector<std::vector<double>>& groups) {
  std::size_t count = 0;
  std::vector<double> means;
  for (const std::vector<double>& group : groups) {
    if (group.empty()) continue;
    count += group.size();
    means.push_back(mean(group));
  }
  return add(name, count, mean(means), bootstrap_interval(groups), "bootstrap");
}

std::string ScoreTable::text() const {
  std::size_t width = 0;
  for (const Line& line : lines_) {
    if (!line.score.empty()) width = std::max(width, line.name.size());
  }
  std::string text = title_ + "\n";
  for (const Line& line : lines_) {
    text += line.score.empty() ? fmt::format("  {}\n", line.name)
                               : fmt::format("  {:<{}}  {:>6}  {:>7}  {}\n", line.name, width, line.count,
                                             line.score, line.interval);
  }
  return text;
}

}  // namespace gossamer::apps
