// gossamer verify needle: whether a model finds a sentence in a long text, at every length and depth
// (docs/verify-needle.md).
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <atomic>
#include <charconv>
#include <chrono>
#include <exception>
#include <filesystem>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "apps/model_path.h"
#include "apps/subject/open_subject.h"
#include "apps/terminal.h"
#include "apps/text_files.h"
#include "apps/verify/needle_report.h"
#include "apps/verify/needle_run.h"
#include "apps/verify/verify_commands.h"
#include "base/error.h"

namespace gossamer::apps {
namespace {

constexpr int64_t kDefaultContextLen = 4096;
constexpr auto kPollInterval = std::chrono::milliseconds(20);

struct Options {
  SubjectOptions subject;
  NeedleOptions needle;
  NeedleLimits limits;
  int64_t max_context_len = 0;                        // 0: kDefaultContextLen, or the model's limit
  std::vector<std::string> lengths;                   // empty: default_lengths()
  std::vector<double> depths = {0, 25, 50, 75, 100};  // percent
  double min_recall = 100.0;                          // percent
  double max_ttft = 0.0;                              // 0: not judged
  std::string haystack;
  std::string output;
  std::string html;
};

// "4096", "128K".
int64_t read_length(const std::string& text) {
  int64_t length = 0;
  const char* const end = text.data() + text.size();
  const auto [rest, error] = std::from_chars(text.data(), end, length);
  const std::string_view unit(rest, static_cast<std::size_t>(end - rest));
  if (error != std::errc() || length <= 0 || length > (int64_t{1} << 31) ||
      !(unit.empty() || unit == "K" || unit == "k")) {
    throw Error("--lengths: expected numbers of tokens, such as 4096 or 128K, found \"{}\"", text);
  }
  return unit.empty() ? length : 1024 * length;
}

// Document 003's 1K, 32K, 64K, 96K and 128K in proportion; a shortest one that has room for some hay.
std::vector<int64_t> default_lengths(int64_t most) {
  std::vector<int64_t> lengths = {most / 4, most / 2, most / 4 * 3, most};
  const int64_t shortest = std::max<int64_t>(most / 128, 512);
  if (shortest < most / 4) lengths.insert(lengths.begin(), shortest);
  return lengths;
}

// The grid, in order. `limit`: of the model; 0: nobody knows it.
void set_grid(Options& options, int64_t limit) {
  NeedleOptions& needle = options.needle;
  needle.lengths.clear();
  for (const std::string& length : options.lengths) needle.lengths.push_back(read_length(length));
  if (needle.lengths.empty()) {
    int64_t most = options.max_context_len;
    if (most == 0) most = limit > 0 ? std::min(kDefaultContextLen, limit) : kDefaultContextLen;
    needle.lengths = default_lengths(most);
  }
  needle.depths.clear();
  for (const double depth : options.depths) {
    if (!(depth >= 0.0 && depth <= 100.0))
      throw Error("--depths: expected 0 to 100 percent, found {}", depth);
    needle.depths.push_back(depth / 100.0);
  }
  const auto sort = [](auto& list) {
    std::sort(list.begin(), list.end());
    list.erase(std::unique(list.begin(), list.end()), list.end());
  };
  sort(needle.lengths);
  sort(needle.depths);
  const int64_t longest = needle.lengths.back();
  if (options.max_context_len > 0 && longest > options.max_context_len)
    throw Error("--lengths: expected at most --max-context-len {}, found {}", options.max_context_len,
                longest);
  check_needle_lengths(needle.lengths, limit, options.subject.model.model);
}

// Refuses before anything is loaded, and asks for no more memory than the longest prompt needs.
void fit_model(Options& options) {
  int64_t limit = 0;
  {
    const Session headers(options.subject.model);
    limit = headers.longest();
  }
  set_grid(options, limit);
  options.subject.model.max_model_len =
      std::min(limit, options.needle.lengths.back() + options.needle.max_new_tokens);
}

struct Hay {
  std::string about;
  Haystack text;
};

Hay read_folder(const std::filesystem::path& folder, const std::string& option, const std::string& name) {
  namespace fs = std::filesystem;
  std::error_code error;
  std::vector<fs::path> files;
  for (const fs::directory_entry& entry : fs::directory_iterator(folder, error)) {
    if (entry.path().extension() == ".txt") files.push_back(entry.path());
  }
  if (files.empty())
    throw Error("{}: expected a folder with *.txt files, found none in {}", option, folder.string());
  std::sort(files.begin(), files.end());
  std::vector<std::string> texts;
  for (const fs::path& file : files) texts.push_back(read_text_file(option, file.string()));
  return {.about = fmt::format("{} ({} file{}, by name)", name, files.size(), files.size() == 1 ? "" : "s"),
          .text = Haystack(texts)};
}

Hay read_own_hay() {
  return read_folder(find_beside_program("haystack", "share/haystack"), "the haystack",
                     "Gossamer's own essays");
}

Hay read_hay(const Options& options) {
  if (!options.haystack.empty()) return read_folder(options.haystack, "--haystack", options.haystack);
  if (options.needle.task.kind == NeedleKind::kPasskey)
    return {.about = "llama.cpp's nonsense", .text = Haystack({kPasskeyHay})};
  return read_own_hay();
}

void write_reports(const Options& options, const NeedleReport& report) {
  if (!options.output.empty()) write_text_file(options.output, json::serialize(to_json(report)) + "\n");
  if (!options.html.empty()) write_text_file(options.html, to_html(report));
}

std::size_t num_asked_tokens(const NeedleRun& run) {
  int64_t sum = 0;
  for (const NeedleCell& cell : run.cells) sum += cell.asked ? cell.length : 0;
  return static_cast<std::size_t>(sum);
}

// Asks on a thread of its own, so that this one sees Ctrl-C and tells how far things are. What has been found
// is on disk after every cell.
void ask(Subject& subject, const Haystack& hay, const Options& options, NeedleReport& report) {
  const InterruptFlag interrupt(InterruptFlag::kAndTermination);
  std::size_t num_tokens = 0;
  for (const int64_t length : options.needle.lengths)
    num_tokens += options.needle.depths.size() * static_cast<std::size_t>(length);
  const Clock::time_point start = Clock::now();
  std::mutex mutex;  // guards what the callback fills
  std::size_t done = 0;
  std::string so_far;
  std::exception_ptr failure;
  std::atomic<bool> ended = false;
  std::thread thread([&] {
    try {
      report.run = run_needles(subject, hay, options.needle, [&](const NeedleRun& run) {
        report.run = run;
        write_reports(options, report);
        const std::lock_guard lock(mutex);
        done = num_asked_tokens(run);
        // A share of the tokens is about a share of the time.
        const double left =
            seconds_since(start) * (static_cast<double>(num_tokens) / static_cast<double>(done) - 1);
        so_far = fmt::format("{} of {} cells, recall {:.3g} %, {:.0f} s left", run.num_asked(),
                             run.cells.size(), 100.0 * run.recall(), left);
      });
    } catch (...) {
      failure = std::current_exception();
    }
    ended = true;
  });
  {
    ProgressLine progress("needle");
    while (!ended) {
      if (interrupt.is_set()) subject.stop();
      {
        const std::lock_guard lock(mutex);
        progress.show(done, num_tokens, so_far);
      }
      std::this_thread::sleep_for(kPollInterval);
    }
  }
  thread.join();
  if (failure) std::rethrow_exception(failure);
}

void run(Options& options) {
  if (options.subject.model.model.empty())
    throw Error("expected MODEL_OR_URL (or --api-url): a model folder, demo, or an endpoint's address");
  if (options.max_ttft > 0.0 && options.needle.share_prefixes)
    throw Error("--max-ttft judges prompts that are computed whole: expected it without --share-prefixes");
  check_output_path(options.output);
  check_output_path(options.html);
  const Hay hay = read_hay(options);
  const bool is_endpoint = is_url(options.subject.model.model);
  if (!is_endpoint) fit_model(options);
  // A task that cannot be asked is refused before anything is loaded.
  (void)make_needle_question(options.needle.task, kDefaultContextLen, 0.0);
  const std::unique_ptr<Subject> subject = open_subject(options.subject);
  if (is_endpoint) set_grid(options, subject->max_model_len());
  if (options.max_ttft > 0.0) options.limits.max_ttft = options.max_ttft;
  options.limits.min_recall = options.min_recall / 100.0;
  NeedleReport report{.model = options.subject.model.model,
                      .identity = subject->identity(),
                      .hay = hay.about,
                      .options = options.needle,
                      .limits = options.limits};
  ask(*subject, hay.text, options, report);
  write_reports(options, report);
  fmt::print("{}", to_text(report));
  for (const std::string& path : {options.output, options.html}) {
    if (!path.empty()) fmt::print("report: {}\n", path);
  }
  const std::string verdict = needle_verdict(report);
  if (verdict == "INCOMPLETE") {
    throw Error("interrupted: {} of {} cells were asked{}", report.run.num_asked(), report.run.cells.size(),
                options.output.empty() && options.html.empty() ? "" : "; the report has those");
  }
  if (verdict != "PASS") exit_with_failed_verdict();
}

}  // namespace

Haystack own_haystack() { return read_own_hay().text; }

void add_verify_needle(CLI::App& verify) {
  CLI::App* command = verify.add_subcommand(
      "needle", "Needle in a haystack: a sentence in long texts, found at every length and depth");
  auto options = std::make_shared<Options>();
  Options& all = *options;
  NeedleTask& task = all.needle.task;
  all.subject.serving.max_num_seqs = 1;  // one prompt at a time, in the memory of one
  add_subject_options(
      *command, all.subject,
      "A model folder, or `demo`, loaded here; or the address of an OpenAI-compatible endpoint");
  command->get_option("MODEL_OR_URL")->required(false);
  command->add_option("--api-url", all.subject.model.model, "The same as the argument");
  command
      ->add_option("--max-context-len", all.max_context_len,
                   "The longest prompt, in tokens. Default: 4096, or the model's limit")
      ->check(CLI::Range(int64_t{1}, int64_t{1} << 31));
  command
      ->add_option("--lengths", all.lengths,
                   "Lengths of prompts in tokens, with chat form and question: 1K,32K,128K. Default: 1/128 "
                   "(at least 512), 1/4, 1/2, 3/4 and the whole of --max-context-len")
      ->delimiter(',');
  command->add_option("--depths", all.depths, "Where the needle stands, in percent of the haystack")
      ->delimiter(',')
      ->capture_default_str();
  command
      ->add_option(
          "--task", task.kind,
          "needle (--needle and --question), passkey (llama.cpp's: a random number in nonsense), ruler "
          "(RULER's: random numbers for several keys, one of them asked for)")
      ->transform(CLI::Transformer(std::map<std::string, NeedleKind>{
          {"needle", NeedleKind::kNeedle}, {"passkey", NeedleKind::kPasskey}, {"ruler", NeedleKind::kRuler}}))
      ->option_text("needle|passkey|ruler");
  command->add_option("--needle", task.needle, "The sentence that is hidden")->capture_default_str();
  command->add_option("--question", task.question, "What is asked behind the haystack")
      ->capture_default_str();
  command->add_option(
      "--expect,--answer", task.expected,
      "What an answer must have; may be given several times, each being a share of the recall. "
      "Default: the needle's last number, or its last word");
  command->add_flag(
      "--random-codes", task.random_codes,
      "Another number in every needle instead of the one asked for, so that none can be remembered");
  command->add_option("--keys", task.num_keys, "Of --task ruler: the one asked for and distractors")
      ->capture_default_str();
  command->add_option("--seed", task.seed, "Of random numbers and keys")->capture_default_str();
  command->add_option(
      "--haystack", all.haystack,
      "A folder of *.txt, taken in the order of their names and again from the first as often as "
      "needed. Default: essays that come with Gossamer");
  command->add_option("--max-tokens", all.needle.max_new_tokens, "Of an answer, reasoning included")
      ->check(CLI::Range(1, 1 << 20))
      ->capture_default_str();
  command->add_option("--min-recall", all.min_recall, "The least recall that passes, in percent")
      ->check(CLI::Range(0.0, 100.0))
      ->capture_default_str();
  command
      ->add_option(
          "--max-ttft", all.max_ttft,
          "The longest time to the first token that passes, in seconds. Default: it is reported, not "
          "judged")
      ->check(CLI::PositiveNumber);
  command->add_flag(
      "--share-prefixes", all.needle.share_prefixes,
      "Compute what prompts begin with only once: about half the work, but times to the first token "
      "say little then");
  command->add_option("--output,-o", all.output, "The report as JSON");
  command->add_option("--html", all.html, "The report as a page with a heat map");
  command->callback([options] { run(*options); });
}

}  // namespace gossamer::apps
