// The page of `gossamer bench model --html`.
#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <string>
#include <vector>

#include "apps/bench/model_report.h"
#include "apps/report/page.h"
#include "base/system_memory.h"

namespace gossamer::apps {
namespace {

std::string machine_table(const ModelReport& report) {
  std::vector<Row> rows = {
      {"Memory, read", fmt::format("{:.1f} GB/s", report.ceilings.read_bytes_per_s * 1e-9)}};
  for (const Ceilings::Rate& rate : report.ceilings.rates) {
    rows.push_back({fmt::format("{} dot product, {} ({})", peak::operand_name(rate.instruction.loop.operand),
                                rate.instruction.loop.instruction, rate.instruction.level),
                    fmt::format("{:.0f} GOP/s", rate.operations_per_s * 1e-9)});
  }
  return table({"Ceiling", fmt::format("{} threads", report.ceilings.num_threads)}, rows);
}

std::string model_table(const ModelReport& report) {
  const auto bytes = [](double value) { return format_bytes(static_cast<std::size_t>(value)); };
  return table(
      {}, {{"Architecture", fmt::format("{}, {} layers", report.info.architecture, report.info.num_layers)},
           {"Backend", report.backend},
           {"Weights in memory", bytes(report.weight_bytes)},
           {"Operations of one token, without attention",
            fmt::format("{:.3f} G", report.operations_per_token * 1e-9)},
           {"Load time", fmt::format("{:.2f} s", report.load_seconds)},
           {"Peak resident memory while loading", format_bytes(report.loaded_resident_bytes)},
           {"Peak resident memory", format_bytes(report.peak_resident_bytes)}});
}

std::string results_table(const ModelReport& report) {
  std::vector<Row> rows;
  for (const ModelResult& result : report.results) {
    rows.push_back({result_name(result), short_number(result.tokens_per_s.median),
                    fmt::format("{} to {}", short_number(result.tokens_per_s.min),
                                short_number(result.tokens_per_s.max)),
                    short_number(result.cost.bytes() * 1e-9),
                    short_number(result.operations_per_token * 1e-9),
                    fmt::format("{:.1f} %", 100 * result.share_of_limit.median),
                    result.prefill ? "dot product" : "memory"});
  }
  return table({"Work", "tokens/s", "spread", "GB a step", "GOP a token", "of the limit", "limit"}, rows);
}

std::string plots(const ModelReport& report) {
  std::string text;
  std::vector<Bar> shares;
  for (const bool prefill : {true, false}) {
    std::vector<Bar> speeds;
    for (const ModelResult& result : report.results) {
      if (result.prefill != prefill) continue;
      const Spread& speed = result.tokens_per_s;
      speeds.push_back({result_name(result), speed.median, speed.min, speed.max});
      const Spread& share = result.share_of_limit;
      shares.push_back({result_name(result), 100 * share.median, 100 * share.min, 100 * share.max});
    }
    if (speeds.empty()) continue;
    text += fmt::format("<h2>{}: tokens a second</h2>\n", prefill ? "Prefill" : "Decode");
    text += bar_plot(speeds, 0.0, "");
  }
  text += "<h2>Share of the limit</h2>\n" + bar_plot(shares, 100.0, "%");
  std::map<std::string, std::vector<Point>> by_depth;
  std::size_t longest = 0;
  for (const ModelResult& result : report.results) {
    if (result.prefill) continue;
    std::vector<Point>& line = by_depth[fmt::format("{:>4} at once", result.sequences)];
    line.push_back({static_cast<double>(result.depth), result.tokens_per_s.median});
    longest = std::max(longest, line.size());
  }
  if (longest > 1)
    text += "<h2>Decode by depth: tokens a second</h2>\n" + line_plot(by_depth, "depth, tokens");
  return text;
}

}  // namespace

std::string to_html(const ModelReport& report) {
  const json::value* cpu = report.machine.if_contains("cpu");
  std::string text = fmt::format("<p>{}</p>\n", cpu != nullptr ? escaped(std::string(cpu->as_string())) : "");
  text += plots(report);
  text += "<h2>Results</h2>\n" + results_table(report);
  text +=
      "<p class=\"note\">Medians and spread over the runs. The limit of decode is the time that reading the "
      "step's weights, keys and values takes at the bandwidth measured next to the run; the limit of prefill "
      "is the time of its operations at the dot-product peak measured next to the run.</p>\n";
  text += "<h2>Model</h2>\n" + model_table(report) + "<h2>Machine</h2>\n" + machine_table(report);
  return page(report.model, text);
}

}  // namespace gossamer::apps
