#include "apps/eval/eval_run.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <exception>
#include <thread>
#include <utility>

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
  add_subject_options(
      command, options.subject,
      "A model folder, demo or synth:ARCH as for generate, or the URL of an OpenAI-compatible "
      "endpoint: http://127.0.0.1:8000");
  command.add_option("DATA_DIR", options.data, data_help)->required();
  command
      .add_option(
          "--output,-o", options.output,
          "The folder for predictions, scores and logs. A run that was interrupted, or killed, goes on "
          "from what is in it with the same command")
      ->capture_default_str();
  command.add_option("--limit", options.limit, "The first so many questions of each file; 0: all")
      ->capture_default_str();
  command.add_option("--html", options.html, "Write a page with the table and a plot to this file");
}

EvalRun::EvalRun(const EvalOptions& options, std::string name, const json::object& settings, bool needs_chat)
    : options_(options), name_(std::move(name)), folder_(options.output) {
  const std::string& model = options_.subject.model.model;
  subject_ = open_subject_unloaded(options_.subject);
  if (needs_chat && !subject_->has_chat_form())
    throw Error("{}: the model has no chat form: expected a GPT-OSS folder with its tokenizer", model);
  std::error_code error;
  std::filesystem::create_directories(folder_, error);
  check_output_path(path_of("predictions"));
  check_output_path(options_.html);
  json::object header = {{"gossamer_eval", name_},
                         {"limit", options_.limit},
                         {"max_model_len", options_.subject.model.max_model_len}};
  for (const auto& member : subject_->identity()) header.insert(member);
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
  subject_->load();
  ask_all(left);
}

void EvalRun::ask_all(const std::vector<const EvalItem*>& items) {
  const InterruptFlag interrupt(InterruptFlag::kAndTermination);
  Subject& subject = *subject_;
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
        } else if (asked.error().kind == RequestErrorKind::kOverloaded) {
          throw Error("{}; {} has what was predicted until then", asked.error().message, log_->path());
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
  // Of an engine enough that no step is short of sequences.
  const SubjectOptions& asked = options_.subject;
  const int64_t at_once = is_url(asked.model.model) ? asked.concurrency : 2 * asked.serving.max_num_seqs;
  const std::size_t num_threads = std::min(items.size(), static_cast<std::size_t>(at_once));
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

void EvalRun::report(json::object result, const ScoreTable& table) {
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
  if (!options_.html.empty()) {
    write_text_file(options_.html,
                    table.page({{"Model", options_.subject.model.model},
                                {"Data", options_.data},
                                {"Rows left out", std::to_string(complaints_.size())},
                                {"Things missing or limited", std::to_string(missing_.size())},
                                {"Questions that could not be answered", std::to_string(unanswered_.size())},
                                {"Predictions", log_->path()},
                                {"Result", path}}));
  }
  fmt::print("{}", table.text());
  if (!complaints_.empty())
    fmt::print("{} rows were left out of the score: see {}\n", complaints_.size(), path);
  if (!missing_.empty()) fmt::print("{} things are missing or limited: see {}\n", missing_.size(), path);
  if (!unanswered_.empty())
    fmt::print("{} questions could not be answered and count as wrong: see {}\n", unanswered_.size(), path);
  fmt::print("predictions: {}\nresult: {}\n", log_->path(), path);
}

}  // namespace gossamer::apps
