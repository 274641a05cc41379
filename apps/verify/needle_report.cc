#include "apps/verify/needle_report.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "apps/report/heat_map.h"
#include "apps/report/page.h"

namespace gossamer::apps {
namespace {

// Where more of a prompt than this was computed before, the time to its first token says little.
constexpr double kMostCached = 0.1;

const char* const kKindNames[] = {"needle", "passkey", "ruler"};

std::string percent(double share) { return fmt::format("{:.3g} %", 100.0 * share); }

std::string quoted(const std::vector<std::string>& texts) {
  return fmt::format("\"{}\"", fmt::join(texts, "\", \""));
}

bool is_cached(const NeedleCell& cell) {
  return static_cast<double>(cell.answer.num_cached_tokens) >
         kMostCached * static_cast<double>(cell.answer.num_prompt_tokens);
}

std::string where(const NeedleCell& cell) {
  return fmt::format("{} tokens, depth {}", cell.length, percent(cell.depth));
}

// What came instead of the needle.
std::string what_came(const NeedleCell& cell) {
  if (!cell.error.empty()) return cell.error;
  std::string text = cell.answer.text.empty() ? "an empty answer" : fmt::format("\"{}\"", cell.answer.text);
  if (cell.answer.finish_reason == "length")
    text += fmt::format(" (cut at {} tokens: --max-tokens)", cell.answer.num_tokens);
  return text;
}

std::vector<const NeedleCell*> answered(const NeedleReport& report) {
  std::vector<const NeedleCell*> cells;
  for (const NeedleCell& cell : report.run.cells) {
    if (cell.asked && cell.error.empty()) cells.push_back(&cell);
  }
  return cells;
}

std::vector<const NeedleCell*> missed(const NeedleReport& report) {
  std::vector<const NeedleCell*> cells;
  for (const NeedleCell& cell : report.run.cells) {
    if (cell.asked && !cell.found()) cells.push_back(&cell);
  }
  return cells;
}

NeedleCheck check_recall(const NeedleReport& report) {
  const auto found = std::count_if(report.run.cells.begin(), report.run.cells.end(),
                                   [](const NeedleCell& cell) { return cell.asked && cell.found(); });
  return {.name = "recall",
          // Sums of halves and ones are exact.
          .passed = report.run.recall() >= report.limits.min_recall,
          .seen = fmt::format("{} ({} of {} cells), expected {}", percent(report.run.recall()), found,
                              report.run.num_asked(), percent(report.limits.min_recall))};
}

NeedleCheck check_answered(const NeedleReport& report) {
  for (const NeedleCell& cell : report.run.cells) {
    if (!cell.error.empty())
      return {.name = "every prompt answered", .passed = false, .seen = where(cell) + ": " + cell.error};
  }
  return {.name = "every prompt answered", .passed = true, .seen = "none refused, none out of memory"};
}

NeedleCheck check_first_token(const NeedleReport& report) {
  NeedleCheck check{.name = "first token", .passed = {}, .seen = "never seen"};
  const NeedleCell* slowest = nullptr;
  const NeedleCell* cached = nullptr;
  for (const NeedleCell* cell : answered(report)) {
    if (slowest == nullptr || cell->answer.seconds_to_first_token > slowest->answer.seconds_to_first_token)
      slowest = cell;
    if (is_cached(*cell)) cached = cell;
  }
  if (slowest == nullptr) return check;
  const double seconds = slowest->answer.seconds_to_first_token;
  check.seen = fmt::format("{} s at most ({})", short_number(seconds), where(*slowest));
  if (!report.options.share_prefixes && cached != nullptr) {
    check.seen +=
        fmt::format("; but {} of the {} prompt tokens at {} came from the endpoint's cache",
                    cached->answer.num_cached_tokens, cached->answer.num_prompt_tokens, where(*cached));
  }
  if (!report.limits.max_ttft) {
    check.seen += "; judged with --max-ttft only";
    return check;
  }
  check.passed = seconds <= *report.limits.max_ttft && cached == nullptr;
  check.seen += fmt::format(", expected {} s", short_number(*report.limits.max_ttft));
  return check;
}

std::string verdict_word(const NeedleCheck& check) {
  return !check.passed ? "not judged" : *check.passed ? "PASS" : "FAIL";
}

std::string about_times(const NeedleReport& report) {
  return report.options.share_prefixes ? "prompts of a length share what is in front of their needles, so "
                                         "that times to the first token "
                                         "say little"
                                       : "every prompt is computed whole, alone, from question to first "
                                         "token (of reasoning, where there "
                                         "is one)";
}

std::string about_grid(const NeedleReport& report) {
  const NeedleOptions& options = report.options;
  return fmt::format("{} lengths x {} depths, {}, {}", options.lengths.size(), options.depths.size(),
                     report.hay, report.run.chat ? "asked in chat" : "as plain text");
}

// The cells of a length, by depth.
std::vector<const NeedleCell*> cells_of(const NeedleReport& report, int64_t length) {
  std::vector<const NeedleCell*> cells;
  for (const NeedleCell& cell : report.run.cells) {
    if (cell.length == length) cells.push_back(&cell);
  }
  return cells;
}

json::value or_null(const std::optional<double>& number) {
  return number ? json::value(*number) : json::value(nullptr);
}

json::object cell_to_json(const NeedleCell& cell) {
  json::object object = {
      {"length", cell.length}, {"depth_percent", 100.0 * cell.depth}, {"asked", cell.asked}};
  if (!cell.asked) return object;
  object["needle"] = cell.needle;
  object["expected"] = json::value_from(cell.expected);
  object["placed_percent"] = 100.0 * cell.placed;
  object["recall"] = cell.score;
  if (!cell.error.empty()) {
    object["error"] = cell.error;
    return object;
  }
  const CompletionAnswer& answer = cell.answer;
  object["prompt_tokens"] = answer.num_prompt_tokens;
  object["cached_tokens"] =
      answer.num_cached_tokens < 0 ? json::value(nullptr) : json::value(answer.num_cached_tokens);
  object["answer"] = answer.text;
  object["reasoning"] = answer.reasoning;
  object["finish_reason"] = answer.finish_reason;
  object["tokens"] = answer.num_tokens;
  object["first_token_s"] = answer.seconds_to_first_token;
  object["seconds"] = answer.seconds;
  return object;
}

std::string misses_table(const NeedleReport& report) {
  std::vector<Row> rows;
  for (const NeedleCell* cell : missed(report))
    rows.push_back({where(*cell), quoted(cell->expected), what_came(*cell)});
  if (rows.empty()) return {};
  return "<h2>Not found</h2>\n" + table({"Cell", "expected", "came"}, rows);
}

}  // namespace

std::vector<NeedleCheck> needle_checks(const NeedleReport& report) {
  return {check_recall(report), check_answered(report), check_first_token(report)};
}

std::string needle_verdict(const NeedleReport& report) {
  if (!report.run.complete) return "INCOMPLETE";
  const std::vector<NeedleCheck> checks = needle_checks(report);
  return std::all_of(checks.begin(), checks.end(),
                     [](const NeedleCheck& check) { return check.passed.value_or(true); })
             ? "PASS"
             : "FAIL";
}

json::object to_json(const NeedleReport& report) {
  const NeedleOptions& options = report.options;
  const NeedleTask& task = options.task;
  json::array checks;
  for (const NeedleCheck& check : needle_checks(report))
    checks.push_back({{"name", check.name}, {"verdict", verdict_word(check)}, {"seen", check.seen}});
  json::array cells;
  for (const NeedleCell& cell : report.run.cells) cells.push_back(cell_to_json(cell));
  json::object asked = {{"task", kKindNames[static_cast<std::size_t>(task.kind)]}, {"seed", task.seed}};
  if (task.kind == NeedleKind::kNeedle) {
    asked["needle"] = task.needle;
    asked["question"] = task.question;
    asked["random_codes"] = task.random_codes;
  }
  if (task.kind == NeedleKind::kRuler) asked["keys"] = task.num_keys;
  asked["haystack"] = report.hay;
  asked["prompt_form"] = report.run.chat ? "chat" : "plain";
  asked["form_tokens"] = report.run.num_form_tokens;
  asked["max_tokens"] = options.max_new_tokens;
  asked["share_prefixes"] = options.share_prefixes;
  return {
      {"gossamer_verify", "needle"},
      {"verdict", needle_verdict(report)},
      {"complete", report.run.complete},
      {"checks", std::move(checks)},
      {"recall", report.run.recall()},
      {"limits",
       {{"min_recall", report.limits.min_recall}, {"max_first_token_s", or_null(report.limits.max_ttft)}}},
      {"model", report.identity},
      {"asked", std::move(asked)},
      {"haystack_has_answer", report.run.hay_has_answer},
      {"times", about_times(report)},
      {"cells", std::move(cells)}};
}

std::string to_html(const NeedleReport& report) {
  const NeedleOptions& options = report.options;
  std::string body =
      fmt::format("<p><strong>{}</strong>: {}</p>\n", needle_verdict(report), escaped(about_grid(report)));
  if (!report.run.complete) {
    body += fmt::format("<p><strong>The run was interrupted: {} of {} cells were asked.</strong></p>\n",
                        report.run.num_asked(), report.run.cells.size());
  }
  std::vector<Row> rows;
  for (const NeedleCheck& check : needle_checks(report))
    rows.push_back({check.name, verdict_word(check), check.seen});
  body += table({"Check", "", "seen"}, rows);
  body += "<h2>Recall, and time to the first token</h2>\n";
  HeatMap map{.x_name = "tokens of the prompt", .y_name = "depth of the needle"};
  for (const int64_t length : options.lengths) map.columns.push_back(fmt::format("{}", length));
  for (std::size_t row = 0; row < options.depths.size(); ++row) {
    map.rows.push_back(percent(options.depths[row]));
    std::vector<HeatCell>& cells = map.cells.emplace_back();
    for (const int64_t length : options.lengths) {
      const NeedleCell& cell = *cells_of(report, length)[row];
      HeatCell& shown = cells.emplace_back();
      shown.about =
          where(cell) +
          (cell.asked ? ": expected " + quoted(cell.expected) + ", came " + what_came(cell) : ": not asked");
      if (!cell.asked) continue;
      shown.value = cell.score;
      shown.lines = {percent(cell.score), cell.error.empty()
                                              ? short_number(cell.answer.seconds_to_first_token) + " s"
                                              : std::string("no answer")};
    }
  }
  body += heat_map(map) + misses_table(report);
  if (report.run.hay_has_answer)
    body += "<p>The haystack says what is asked for without the needle too: recall proves little.</p>\n";
  rows.clear();
  for (const auto& member : report.identity) {
    const std::string value = member.value().is_string() ? std::string(member.value().get_string())
                                                         : json::serialize(member.value());
    if (!value.empty()) rows.push_back({std::string(member.key()), value});
  }
  body += "<h2>What was asked</h2>\n" + table({}, rows);
  if (!report.run.cells.empty())
    body += fmt::format("<p>For example: {}</p>\n", escaped(report.run.cells.front().needle));
  body +=
      fmt::format("<p class=\"note\">Times: {}. An answer is right when it has everything expected.</p>\n",
                  escaped(about_times(report)));
  return page("needle, " + report.model, body);
}

std::string to_text(const NeedleReport& report) {
  std::string text =
      fmt::format("needle in a haystack: {}\n\n{:>9}{:>9}", about_grid(report), "length", "tokens");
  for (const double depth : report.options.depths) text += fmt::format("{:>8}", percent(depth));
  text += fmt::format("{:>13}\n", "first token");
  for (const int64_t length : report.options.lengths) {
    int64_t tokens = 0;
    double seconds = 0.0;
    std::string shares;
    for (const NeedleCell* cell : cells_of(report, length)) {
      tokens = std::max(tokens, cell->answer.num_prompt_tokens);
      seconds = std::max(seconds, cell->answer.seconds_to_first_token);
      shares += fmt::format("{:>8}", !cell->asked           ? "-"
                                     : !cell->error.empty() ? "error"
                                                            : percent(cell->score));
    }
    text += fmt::format("{:>9}{:>9}{}{:>11} s\n", length, tokens, shares, short_number(seconds));
  }
  text += '\n';
  for (const NeedleCell* cell : missed(report))
    text += fmt::format("{}: expected {}, came {}\n", where(*cell), quoted(cell->expected), what_came(*cell));
  for (const NeedleCheck& check : needle_checks(report))
    text += fmt::format("{:<24}{:<12}{}\n", check.name, verdict_word(check), check.seen);
  if (report.run.hay_has_answer)
    text += "the haystack says what is asked for without the needle too: recall proves little\n";
  return text + fmt::format("{}\n", needle_verdict(report));
}

}  // namespace gossamer::apps
