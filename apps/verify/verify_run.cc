#include "apps/verify/verify_run.h"

#include <algorithm>
#include <chrono>
#include <exception>

#include "apps/report/page.h"
#include "apps/verify/deployment.h"
#include "base/error.h"

namespace gossamer::apps {

const char* verdict_name(Verdict verdict) {
  switch (verdict) {
    case Verdict::kPass:
      return "PASS";
    case Verdict::kFail:
      return "FAIL";
    case Verdict::kSkip:
      return "SKIP";
  }
  return "";
}

int VerifyReport::count(Verdict verdict) const {
  return static_cast<int>(std::count_if(checks.begin(), checks.end(), [verdict](const CheckedResult& check) {
    return check.result.verdict == verdict;
  }));
}

std::vector<Check> all_checks() {
  std::vector<Check> checks;
  for (const auto theme : {text_theme, golden_theme, concurrency_theme, harmony_theme, tools_theme,
                           limits_theme, speed_theme, needle_theme}) {
    for (Check& check : theme()) checks.push_back(std::move(check));
  }
  return checks;
}

CheckResult run_check(const Check& check, Deployment& deployment) {
  if (const double left = deployment.seconds_left(); left < check.usual_seconds) {
    return {.verdict = Verdict::kSkip,
            .reason = fmt::format("no time: it takes about {:.0f} s, {:.0f} s are left (--minutes)",
                                  check.usual_seconds, std::max(0.0, left))};
  }
  try {
    return check.run(deployment);
  } catch (const CheckEnd& end) {
    return end.result;
  } catch (const Error& error) {
    return {.verdict = Verdict::kSkip, .reason = fmt::format("it could not be checked: {}", error.what())};
  } catch (const std::exception& error) {
    return {.verdict = Verdict::kFail, .reason = fmt::format("an answer of no known form: {}", error.what())};
  }
}

void run_checks(const std::vector<Check>& checks, Deployment& deployment, VerifyReport& report,
                const std::function<void(const CheckedResult&)>& on_result) {
  using Clock = std::chrono::steady_clock;
  const auto seconds_since = [](Clock::time_point start) {
    return std::chrono::duration<double>(Clock::now() - start).count();
  };
  const Clock::time_point start = Clock::now();
  for (const Check& check : checks) {
    const Clock::time_point begin = Clock::now();
    CheckedResult checked = {
        .theme = check.theme, .name = check.name, .result = run_check(check, deployment)};
    checked.seconds = seconds_since(begin);
    report.seconds = seconds_since(start);
    report.checks.push_back(checked);
    on_result(checked);
  }
}

std::string to_line(const CheckedResult& check) {
  return fmt::format("{}  {:<11}  {}  ({:.1f} s)\n      {}\n", verdict_name(check.result.verdict),
                     check.theme, check.name, check.seconds, check.result.reason);
}

std::string summary(const VerifyReport& report) {
  return fmt::format("{}: {} passed, {} failed, {} skipped in {:.1f} s", report.passed() ? "PASS" : "FAIL",
                     report.count(Verdict::kPass), report.count(Verdict::kFail), report.count(Verdict::kSkip),
                     report.seconds);
}

json::object to_json(const VerifyReport& report) {
  json::array checks;
  for (const CheckedResult& check : report.checks) {
    checks.push_back(json::object{{"theme", check.theme},
                                  {"name", check.name},
                                  {"verdict", verdict_name(check.result.verdict)},
                                  {"reason", check.result.reason},
                                  {"seconds", check.seconds},
                                  {"figures", check.result.figures}});
  }
  return {{"target", report.target},
          {"about", report.about},
          {"verdict", report.passed() ? "PASS" : "FAIL"},
          {"passed", report.count(Verdict::kPass)},
          {"failed", report.count(Verdict::kFail)},
          {"skipped", report.count(Verdict::kSkip)},
          {"seconds", report.seconds},
          {"checks", std::move(checks)}};
}

std::string to_html(const VerifyReport& report) {
  // Reasons are sentences: they stand left, and verdicts are seen by their colour.
  std::string body =
      "<style>td, th { text-align: left; vertical-align: top } .PASS { color: #2e7d32 } .FAIL { color: "
      "#c62828 } "
      ".SKIP { color: #888 } .PASS, .FAIL, .SKIP { font-weight: 600 }</style>\n";
  body += fmt::format("<p>{}</p>\n<p class=\"{}\">{}</p>\n", escaped(report.about),
                      report.passed() ? "PASS" : "FAIL", escaped(summary(report)));
  std::string theme;
  for (const CheckedResult& check : report.checks) {
    if (check.theme != theme) {
      if (!theme.empty()) body += "</table>\n";
      theme = check.theme;
      body += fmt::format(
          "<h2>{}</h2>\n<table>\n<tr><th style=\"width: 4rem\"></th><th style=\"width: 18rem\">check"
          "</th><th>what was seen</th><th style=\"width: 3rem\">s</th></tr>\n",
          escaped(theme));
    }
    const char* verdict = verdict_name(check.result.verdict);
    body += fmt::format("<tr><td class=\"{0}\">{0}</td><td>{1}</td><td>{2}</td><td>{3:.1f}</td></tr>\n",
                        verdict, escaped(check.name), escaped(check.result.reason), check.seconds);
  }
  if (!theme.empty()) body += "</table>\n";
  return page("gossamer verify " + report.target, body);
}

}  // namespace gossamer::apps
