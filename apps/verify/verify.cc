// gossamer verify: whether a deployment is right and fast (docs/verify.md).
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "apps/commands.h"
#include "apps/model_path.h"
#include "apps/subject/open_subject.h"
#include "apps/text_files.h"
#include "apps/verify/deployment.h"
#include "apps/verify/local_server.h"
#include "apps/verify/verify_commands.h"
#include "apps/verify/verify_run.h"
#include "base/error.h"
#include "eval/golden_file.h"

namespace gossamer::apps {
namespace {

// What a model's folder may say of it.
constexpr const char* kGoldenFile = "golden.json";
constexpr const char* kExpectationsFile = "verify.json";  // {"needle_tokens": N}

struct Options {
  SubjectOptions subject;
  double minutes = 10.0;
  std::string golden;
  std::vector<std::string> themes;
  std::string output;
  std::string html;
};

std::vector<Check> chosen_checks(const std::vector<std::string>& themes) {
  std::vector<Check> chosen;
  for (const std::string& theme : themes) {
    const std::size_t before = chosen.size();
    for (const Check& check : all_checks()) {
      if (check.theme == theme) chosen.push_back(check);
    }
    if (chosen.size() == before) throw Error("--only {}: there is no such theme", theme);
  }
  return themes.empty() ? all_checks() : chosen;
}

void read_folder(const std::filesystem::path& folder, DeploymentOptions& options) {
  std::error_code error;
  if (options.golden.empty() && std::filesystem::exists(folder / kGoldenFile, error))
    options.golden = (folder / kGoldenFile).string();
  if (!std::filesystem::exists(folder / kExpectationsFile, error)) return;
  const json::value expectations = read_json_file(folder / kExpectationsFile);
  const auto tokens = integer_at(expectations, "/needle_tokens");
  if (!tokens)
    throw Error("{}: expected {{\"needle_tokens\": N}}, found {}", (folder / kExpectationsFile).string(),
                shown(json::serialize(expectations)));
  options.needle_tokens = *tokens;
}

void write_reports(const Options& options, const VerifyReport& report) {
  if (!options.output.empty()) write_text_file(options.output, json::serialize(to_json(report)) + "\n");
  if (!options.html.empty()) write_text_file(options.html, to_html(report));
}

void run(const Options& options) {
  const std::string& target = options.subject.model.model;
  if (target.empty()) throw Error("expected MODEL_OR_URL: a model folder, demo, or an endpoint's address");
  for (const std::string& path : {options.output, options.html}) check_output_path(path);
  const std::vector<Check> checks = chosen_checks(options.themes);
  DeploymentOptions deployment_options = {
      .subject = &options.subject,
      .url = target,
      .golden = options.golden,
      .end = std::chrono::steady_clock::now() +
             std::chrono::milliseconds(static_cast<int64_t>(options.minutes * 60e3))};
  std::unique_ptr<LocalServer> server;
  if (!is_url(target)) {
    server = std::make_unique<LocalServer>(options.subject.model, options.subject.serving);
    deployment_options.url = server->url();
    deployment_options.local = &options.subject.model;
    if (!is_synthetic(target)) read_folder(resolve_model_path(target), deployment_options);
  }
  // A damaged one is an error at once, not a check that could not be made.
  if (!deployment_options.golden.empty()) (void)read_golden_file(deployment_options.golden);
  Deployment deployment(deployment_options);
  VerifyReport report = {.target = target,
                         .about = fmt::format("model {} at {}{}", deployment.model(), deployment_options.url,
                                              server ? ", in this process" : "")};
  fmt::print("{}\n\n", report.about);
  run_checks(checks, deployment, report, [&](const CheckedResult& check) {
    fmt::print("{}", to_line(check));
    std::fflush(stdout);
    write_reports(options, report);  // what there is survives an interruption
  });
  fmt::print("\n{}\n", summary(report));
  if (!report.passed()) exit_with_failed_verdict();
}

}  // namespace

void exit_with_failed_verdict() { throw CLI::RuntimeError(kVerdictFailed); }

void add_verify(CLI::App& program) {
  CLI::App* verify = program.add_subcommand("verify",
                                            "Prove that a deployment is right and fast: golden "
                                            "log-probabilities, answers under load, chats, tools, "
                                            "limits, needles and speed, in ten minutes at most; PASS, FAIL "
                                            "or SKIP for each, and why. Exit code 2: it "
                                            "is not. The sub-commands look at one thing closely");
  auto options = std::make_shared<Options>();
  add_subject_options(*verify, options->subject,
                      "A model folder, demo, or an OpenAI-compatible endpoint's address");
  verify->get_option("MODEL_OR_URL")->required(false);
  verify->add_option("--minutes", options->minutes, "Checks that would take longer are skipped")
      ->check(CLI::Range(0.01, 1e4))
      ->capture_default_str();
  verify
      ->add_option(
          "--golden", options->golden,
          "A golden file (verify record). Default: golden.json in the model's folder, if it is there")
      ->check(CLI::ExistingFile);
  verify
      ->add_option("--only", options->themes,
                   "Only these themes: text, golden, concurrency, chat, tools, limits, needle, speed")
      ->delimiter(',');
  verify->add_option("--output,-o", options->output, "The report as JSON");
  verify->add_option("--html", options->html, "The report as a page");
  verify->require_subcommand(0, 1);
  verify->callback([verify, options] {
    if (verify->get_subcommands().empty()) run(*options);
  });
  add_verify_needle(*verify);
  add_verify_precision(*verify);
  add_verify_record(*verify);
}

}  // namespace gossamer::apps
