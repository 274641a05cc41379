#include "apps/verify/precision_report.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <span>
#include <utility>

#include "eval/statistics.h"

namespace gossamer::apps {
namespace {

constexpr double kPercent = 100.0;

std::string first_gap(const std::string& expected, const std::string& found, const std::string& otherwise) {
  if (!expected.empty()) return "the first side does not tell: " + expected;
  if (!found.empty()) return "the second side does not tell: " + found;
  return otherwise;
}

void add_answer_measures(PrecisionReport& report, const PrecisionLimits& limits) {
  const std::vector<AnswerComparison>& answers = report.comparison.compared.answers;
  const std::string none = answers.empty() ? "there are no prompts" : "token ids of answers are not told";
  std::size_t num_told = 0;
  std::size_t num_identical = 0;
  std::size_t num_positions = 0;
  std::size_t num_equal = 0;
  std::vector<std::size_t> differences;
  double rouge = 0.0;
  double least_rouge = 1.0;
  for (const AnswerComparison& answer : answers) {
    rouge += answer.rouge_l;
    least_rouge = std::min(least_rouge, answer.rouge_l);
    if (!answer.tokens) continue;
    ++num_told;
    num_identical += answer.tokens->identical() ? 1 : 0;
    num_positions += answer.tokens->num_positions;
    num_equal += answer.tokens->num_equal;
    if (answer.tokens->first_difference) differences.push_back(*answer.tokens->first_difference);
  }
  const auto share = [](std::size_t part, std::size_t whole) {
    return whole == 0 ? 1.0 : static_cast<double>(part) / static_cast<double>(whole);
  };
  Measure identical{.name = "identical_answers",
                    .title = "token match, whole answers",
                    .limit = limits.min_identical,
                    .percent = true,
                    .why = none};
  Measure positions{.name = "token_match",
                    .title = "token match, positions",
                    .limit = limits.min_token_match,
                    .percent = true,
                    .why = none};
  if (num_told > 0) {
    identical.value = share(num_identical, num_told);
    identical.why = fmt::format("{} of {} answers are the same to the last token", num_identical, num_told);
    positions.value = share(num_equal, num_positions);
    positions.why = fmt::format("{} of {}", num_equal, num_positions);
    if (!differences.empty()) {
      std::sort(differences.begin(), differences.end());
      positions.why += fmt::format("; answers part at token {} at the earliest, {} in the middle",
                                   differences.front(), differences[differences.size() / 2]);
    }
  }
  Measure rouge_l{.name = "rouge_l",
                  .title = "ROUGE-L of answers",
                  .limit = limits.min_rouge_l,
                  .why = "there are no prompts"};
  if (!answers.empty()) {
    rouge_l.value = rouge / static_cast<double>(answers.size());
    rouge_l.why = fmt::format("mean of {} answers, least {:.4f}", answers.size(), least_rouge);
  }
  report.measures.insert(report.measures.end(),
                         {std::move(identical), std::move(positions), std::move(rouge_l)});
}

void add_cosine(PrecisionReport& report, const PrecisionLimits& limits) {
  const PrecisionComparison& comparison = report.comparison;
  std::vector<double> cosines;
  std::string least_name;
  double least = 2.0;
  for (std::size_t i = 0; i < comparison.compared.texts.size(); ++i) {
    const std::optional<double>& cosine = comparison.compared.texts[i].cosine;
    if (!cosine) continue;
    cosines.push_back(*cosine);
    if (*cosine >= least) continue;
    least = *cosine;
    least_name = comparison.expected.texts[i].name;
  }
  Measure measure{.name = "cosine_similarity",
                  .title = "cosine of last hidden states",
                  .limit = limits.min_cosine,
                  .why = first_gap(comparison.expected_gaps.hidden, comparison.found_gaps.hidden,
                                   "the two have no hidden states of one text")};
  if (!cosines.empty()) {
    measure.value = mean(cosines);
    measure.why =
        fmt::format("mean over the ends of {} texts, least {:.5f} ({})", cosines.size(), least, least_name);
  }
  report.measures.push_back(std::move(measure));
}

void add_prediction_measures(PrecisionReport& report, const PrecisionLimits& limits) {
  PrecisionComparison& comparison = report.comparison;
  std::vector<PredictedToken> all;
  for (const TextComparison& text : comparison.compared.texts)
    all.insert(all.end(), text.tokens.begin(), text.tokens.end());
  const bool truncated = comparison.full.empty();
  if (report.logits_file) all = comparison.full;
  const std::string none = first_gap(comparison.expected_gaps.scores, comparison.found_gaps.scores,
                                     "there is no text with log-probabilities of both");
  if (!all.empty()) report.predictions = compute_divergence_statistics(all);
  const bool has_top = truncated && comparison.expected.num_top > 0;
  if (!truncated) {
    report.divergence = compute_divergence_statistics(comparison.full);
  } else if (has_top) {
    report.divergence = report.predictions;
  }
  Measure perplexity{.name = "perplexity_difference",
                     .title = "perplexity difference",
                     .limit = limits.max_perplexity_difference,
                     .at_least = false,
                     .why = none};
  if (const auto& found = report.predictions) {
    perplexity.value = found->difference.value;
    perplexity.why =
        fmt::format("{:.5f} and {:.5f}, over {} tokens of the same text", found->expected_perplexity.value,
                    found->perplexity.value, found->num_tokens);
  }
  Measure divergence{.name = truncated ? "kl_divergence_of_top_tokens" : "kl_divergence",
                     .title = truncated ? "KL divergence, top tokens" : "KL divergence",
                     .limit = limits.max_divergence,
                     .at_least = false,
                     .why = none};
  Measure same_top{.name = "same_top",
                   .title = "same most likely token",
                   .limit = limits.min_same_top,
                   .percent = true,
                   .why = none};
  if (const auto& found = report.divergence) {
    divergence.value = found->divergence.value;
    divergence.why =
        fmt::format("mean in nats, 99 % below {:.2e}, largest {:.2e}; {} {} tokens",
                    DivergenceStatistics::percentile(found->divergences, 0.99), found->divergences.back(),
                    truncated ? fmt::format("a lower bound from the {} most likely tokens and the rest, at",
                                            comparison.expected.num_top)
                              : "whole distributions at",
                    found->num_tokens);
    same_top.value = found->same_top.value;
    same_top.why = fmt::format("of {} tokens", found->num_tokens);
  }
  report.measures.insert(report.measures.end(),
                         {std::move(perplexity), std::move(divergence), std::move(same_top)});
}

json::value number_or_null(const std::optional<double>& value) {
  return value ? json::value(*value) : json::value();
}

json::object to_json(const DivergenceStatistics& found) {
  const auto with_error = [](const Estimate& estimate) {
    return json::object{{"value", estimate.value}, {"standard_error", estimate.error}};
  };
  const auto percentiles = [](std::span<const double> ascending) {
    json::object object;
    for (const double share : {0.0, 0.001, 0.01, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99, 0.999, 1.0})
      object[fmt::format("{:g}", kPercent * share)] = DivergenceStatistics::percentile(ascending, share);
    return object;
  };
  return {{"tokens", found.num_tokens},
          {"perplexity_a", with_error(found.expected_perplexity)},
          {"perplexity_b", with_error(found.perplexity)},
          {"ln_perplexity_ratio", with_error(found.log_ratio)},
          {"perplexity_ratio", with_error(found.ratio)},
          {"perplexity_difference", with_error(found.difference)},
          {"correlation", found.correlation},
          {"kl_divergence", with_error(found.divergence)},
          {"kl_divergence_percentiles", percentiles(found.divergences)},
          {"probability_change", with_error(found.probability_change)},
          {"probability_change_rms", with_error(found.probability_change_rms)},
          {"probability_change_percentiles", percentiles(found.probability_changes)},
          {"same_top", with_error(found.same_top)}};
}

// The lines of `llama-perplexity --kl-divergence`.
std::string statistics_text(const DivergenceStatistics& found) {
  std::string text;
  const auto add = [&](const char* name, double value, const char* unit) {
    text += fmt::format("  {:<30}{:>12.6f}{}\n", name, value, unit);
  };
  const auto add_estimate = [&](const char* name, const Estimate& estimate, double scale, const char* unit) {
    text += fmt::format("  {:<30}{:>12.6f} +- {:>10.6f}{}\n", name, scale * estimate.value,
                        scale * estimate.error, unit);
  };
  const auto add_percentiles = [&](const char* name, std::span<const double> ascending, double scale,
                                   const char* unit) {
    add(fmt::format("Maximum {}", name).c_str(), scale * ascending.back(), unit);
    for (const double share : {0.999, 0.99, 0.95, 0.5, 0.05, 0.01})
      add(fmt::format("{:g} % {}", kPercent * share, name).c_str(),
          scale * DivergenceStatistics::percentile(ascending, share), unit);
    add(fmt::format("Minimum {}", name).c_str(), scale * ascending.front(), unit);
  };
  add_estimate("Mean PPL(Q)", found.perplexity, 1.0, "");
  add_estimate("Mean PPL(base)", found.expected_perplexity, 1.0, "");
  add("Cor(ln(PPL(Q)), ln(PPL(base)))", kPercent * found.correlation, " %");
  add_estimate("Mean ln(PPL(Q)/PPL(base))", found.log_ratio, 1.0, "");
  add_estimate("Mean PPL(Q)/PPL(base)", found.ratio, 1.0, "");
  add_estimate("Mean PPL(Q)-PPL(base)", found.difference, 1.0, "");
  add_estimate("Mean KLD", found.divergence, 1.0, "");
  add_percentiles("KLD", found.divergences, 1.0, "");
  add_estimate("Mean delta p", found.probability_change, kPercent, " %");
  add_percentiles("delta p", found.probability_changes, kPercent, " %");
  add_estimate("RMS delta p", found.probability_change_rms, kPercent, " %");
  add_estimate("Same top p", found.same_top, kPercent, " %");
  return text;
}

json::array answers_json(const PrecisionComparison& comparison) {
  json::array answers;
  for (std::size_t i = 0; i < comparison.compared.answers.size(); ++i) {
    const AnswerComparison& compared = comparison.compared.answers[i];
    json::object answer = {
        {"prompt", comparison.expected.answers[i].prompt}, {"chat", comparison.expected.answers[i].chat},
        {"a", comparison.expected.answers[i].answer},      {"b", comparison.found.answers[i].answer},
        {"same_prompt_tokens", compared.same_prompt_ids},  {"rouge_l", compared.rouge_l}};
    if (compared.tokens) {
      answer["tokens"] = compared.tokens->num_positions;
      answer["equal_tokens"] = compared.tokens->num_equal;
      answer["first_difference"] =
          compared.tokens->first_difference ? json::value(*compared.tokens->first_difference) : json::value();
    }
    answers.push_back(std::move(answer));
  }
  return answers;
}

}  // namespace

std::string Measure::shown_value() const {
  if (!value) return "";
  if (percent) return fmt::format("{:.2f} %", kPercent * *value);
  return std::abs(*value) < 0.01 && *value != 0.0 ? fmt::format("{:.3e}", *value)
                                                  : fmt::format("{:.5f}", *value);
}

std::string Measure::shown_limit() const {
  if (!limit) return "-";
  return fmt::format("{} {:g}{}", at_least ? ">=" : "<=", percent ? kPercent * *limit : *limit,
                     percent ? " %" : "");
}

Measure::Verdict Measure::verdict() const {
  if (!limit) return Verdict::kNone;
  if (!value) return Verdict::kSkip;
  // A difference counts in both directions.
  const bool passes = at_least ? *value >= *limit : std::abs(*value) <= *limit;
  return passes ? Verdict::kPass : Verdict::kFail;
}

const char* name_of(Measure::Verdict verdict) {
  switch (verdict) {
    case Measure::Verdict::kNone:
      return "-";
    case Measure::Verdict::kPass:
      return "PASS";
    case Measure::Verdict::kFail:
      return "FAIL";
    case Measure::Verdict::kSkip:
      return "SKIP";
  }
  return "-";
}

Measure::Verdict PrecisionReport::verdict() const {
  const auto any = [this](Measure::Verdict verdict) {
    return std::any_of(measures.begin(), measures.end(),
                       [verdict](const Measure& measure) { return measure.verdict() == verdict; });
  };
  for (const Measure::Verdict verdict :
       {Measure::Verdict::kFail, Measure::Verdict::kPass, Measure::Verdict::kSkip}) {
    if (any(verdict)) return verdict;
  }
  return Measure::Verdict::kNone;
}

PrecisionReport make_report(PrecisionComparison comparison, const PrecisionLimits& limits, bool logits_file) {
  PrecisionReport report{.comparison = std::move(comparison), .logits_file = logits_file};
  if (!logits_file) {
    add_answer_measures(report, limits);
    add_cosine(report, limits);
  }
  add_prediction_measures(report, limits);
  const auto& answers = report.comparison.compared.answers;
  const auto others = std::count_if(answers.begin(), answers.end(),
                                    [](const AnswerComparison& answer) { return !answer.same_prompt_ids; });
  if (others > 0) {
    report.notes.push_back(fmt::format(
        "{} of {} prompts have other tokens on the second side: another tokenizer, chat template, date or "
        "system message explains differences better than its numbers do",
        others, answers.size()));
  }
  return report;
}

std::string to_text(const PrecisionReport& report) {
  std::string text =
      fmt::format("a: {}\nb: {}\n\n", report.comparison.expected_name, report.comparison.found_name);
  for (const Measure& measure : report.measures) {
    text += fmt::format("  {:<4}  {:<30}{:>12}  {:<9}  {}\n", name_of(measure.verdict()), measure.title,
                        measure.shown_value(), measure.shown_limit(), measure.why);
  }
  if (report.logits_file && report.divergence) text += "\n" + statistics_text(*report.divergence);
  for (const std::string& note : report.notes) text += "\n" + note + "\n";
  const Measure::Verdict verdict = report.verdict();
  text += fmt::format("\nverdict: {}\n", verdict == Measure::Verdict::kNone ? "none, since no limit was given"
                                                                            : name_of(verdict));
  return text;
}

json::object to_json(const PrecisionReport& report) {
  json::array measures;
  for (const Measure& measure : report.measures) {
    measures.push_back(
        json::object{{"name", measure.name},
                     {"value", number_or_null(measure.value)},
                     {measure.at_least ? "at_least" : "at_most", number_or_null(measure.limit)},
                     {"verdict", name_of(measure.verdict())},
                     {"why", measure.why}});
  }
  json::object object = {
      {"verdict", name_of(report.verdict())},      {"a", report.comparison.expected.identity},
      {"b", report.comparison.found.identity},     {"max_tokens", report.comparison.expected.max_new_tokens},
      {"measures", std::move(measures)},           {"notes", json::value_from(report.notes)},
      {"answers", answers_json(report.comparison)}};
  if (report.predictions) object["predictions"] = to_json(*report.predictions);
  if (report.divergence) object["divergence"] = to_json(*report.divergence);
  return object;
}

}  // namespace gossamer::apps
