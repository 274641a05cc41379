#include "apps/bench/model_report.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/system_memory.h"

namespace gossamer::apps {
namespace {

const char* limit_name(const ModelResult& result) { return result.prefill ? "dot product" : "memory"; }

json::object to_json(const ModelResult& result) {
  json::object object = {{"kind", result.prefill ? "prefill" : "decode"},
                         {"tokens", result.tokens},
                         {"sequences", result.sequences},
                         {"depth", result.depth},
                         {"prompt_tokens", result.prompt_tokens},
                         {"tokens_per_s", result.tokens_per_s.median},
                         {"tokens_per_s_min", result.tokens_per_s.min},
                         {"tokens_per_s_max", result.tokens_per_s.max},
                         {"share_of_limit", result.share_of_limit.median},
                         {"share_of_limit_min", result.share_of_limit.min},
                         {"share_of_limit_max", result.share_of_limit.max},
                         {"limit", limit_name(result)},
                         {"limit_per_s", result.ceiling.median},
                         {"limit_per_s_min", result.ceiling.min},
                         {"limit_per_s_max", result.ceiling.max},
                         {"steps", result.steps_per_run},
                         {"bytes_per_step", result.cost.bytes()},
                         {"weight_bytes_per_step", result.cost.weight_bytes},
                         {"kv_read_bytes_per_step", result.cost.kv_read_bytes},
                         {"kv_write_bytes_per_step", result.cost.kv_write_bytes},
                         {"experts_per_layer", result.experts_per_layer},
                         {"operations_per_token", result.operations_per_token},
                         {"prepare_s_per_step", result.prepare_seconds},
                         {"forward_s_per_step", result.forward_seconds},
                         {"finish_s_per_step", result.finish_seconds}};
  if (!result.prefill) object["fill_s"] = result.fill_seconds;
  return object;
}

}  // namespace

std::string result_name(const ModelResult& result) {
  if (result.prefill) return fmt::format("prefill {}", result.tokens);
  return fmt::format("decode {} x {} at {}", result.sequences, result.tokens, result.depth);
}

void print_table_head() {
  fmt::print("{:<28}{:>10}{:>20}{:>12}{:>12}{:>10}{:>14}\n", "work", "tokens/s", "min..max", "GB/step",
             "GOP/token", "of limit", "");
}

void print_table_row(const ModelResult& result) {
  fmt::print("{:<28}{:>10.2f}{:>20}{:>12.3f}{:>12.3f}{:>9.1f}%  {}\n", result_name(result),
             result.tokens_per_s.median,
             fmt::format("{:.2f}..{:.2f}", result.tokens_per_s.min, result.tokens_per_s.max),
             result.cost.bytes() * 1e-9, result.operations_per_token * 1e-9,
             100 * result.share_of_limit.median, limit_name(result));
  std::fflush(stdout);
}

json::object to_json(const ModelReport& report) {
  json::array results;
  for (const ModelResult& result : report.results) results.push_back(to_json(result));
  return {{"machine", report.machine},
          {"model",
           {{"name", report.model},
            {"architecture", report.info.architecture},
            {"num_layers", report.info.num_layers},
            {"backend", report.backend},
            {"instruction_set", report.level},
            {"threads", report.ceilings.num_threads},
            {"dot_product", report.dot_product},
            {"activation_dtype", dtype_label(report.activation)},
            {"weight_bytes", report.weight_bytes},
            {"operations_per_token", report.operations_per_token},
            {"load_s", report.load_seconds},
            {"load_peak_resident_bytes", report.loaded_resident_bytes},
            {"peak_resident_bytes", report.peak_resident_bytes}}},
          {"results", std::move(results)}};
}

std::string to_csv(const ModelReport& report) {
  std::string text =
      "batch_size,input_seq_len(Encoding),output_seq_len(Decoding),ResponseTime(s),"
      "forward_first_token_time(ms),forward_next_token_time(ms),pre_next_token_time(ms),"
      "post_next_token_time_post(ms)\n";
  for (const ModelResult& result : report.results) {
    if (result.prefill) continue;
    const auto sequences = static_cast<double>(result.sequences);
    const double step_seconds = sequences / result.tokens_per_s.median;
    // The first token comes with the prompt.
    const double response = result.fill_seconds + static_cast<double>(result.tokens - 1) * step_seconds;
    text +=
        fmt::format("{},{},{},{:.6f},{:.4f},{:.4f},{:.4f},{:.4f}\n", result.sequences, result.prompt_tokens,
                    result.tokens, response, result.fill_forward_seconds * 1e3, result.forward_seconds * 1e3,
                    result.prepare_seconds * 1e3, result.finish_seconds * 1e3);
  }
  return text;
}

}  // namespace gossamer::apps
