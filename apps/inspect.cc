// gossamer inspect: what a model folder holds and whether this machine can run it, from headers alone.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "apps/commands.h"
#include "apps/session.h"
#include "apps/terminal.h"
#include "base/cpu_info.h"
#include "base/error.h"
#include "base/json.h"
#include "base/system_memory.h"

namespace gossamer::apps {
namespace {

struct Options {
  ModelOptions model;
  int64_t max_num_seqs = 1;
  bool json = false;
  bool verify = false;
};

// One row of the tables: what some tensors have in common.
struct Tally {
  int64_t tensors = 0;
  int64_t parameters = 0;
  int64_t active = 0;        // parameters that one token is computed with
  std::size_t stored = 0;    // bytes on disk
  std::size_t prepared = 0;  // bytes in memory

  void add(const Tally& other) {
    tensors += other.tensors;
    parameters += other.parameters;
    active += other.active;
    stored += other.stored;
    prepared += other.prepared;
  }
};

// Kinds in the order of the report; the first whose word is in the name, of whichever architecture.
constexpr std::array<std::pair<std::string_view, std::string_view>, 13> kKinds = {{
    {"norm", "norms"},
    {"ln_", "norms"},
    {"expert", "experts"},
    {"router", "router"},
    {"sinks", "attention"},
    {"attn", "attention"},
    {"attention", "attention"},
    {"mlp", "feed-forward"},
    {"lm_head", "head"},
    {"embed_out", "head"},
    {"wte", "embedding"},
    {"wpe", "positions"},
    {"embed", "embedding"},
}};

std::string kind_of(const std::string& name) {
  for (const auto& [word, kind] : kKinds) {
    if (name.find(word) != std::string::npos) return std::string(kind);
  }
  return "other";
}

struct Report {
  std::map<std::string, Tally> by_kind;
  std::map<std::string, Tally> by_format;
  Tally all;
  MemoryPlan plan;
  SystemMemory memory;
  std::string refusal;  // why it does not fit, and what would; empty when it fits

  void add(const std::string& name, const std::string& format, const Tally& tally) {
    by_kind[kind_of(name)].add(tally);
    by_format[format].add(tally);
    all.add(tally);
  }
};

void tally_matrices(const Session& session, Report& report) {
  for (const ResolvedMatrix& matrix : session.folder().matrices) {
    const WeightSource& source = matrix.source;
    Tally tally;
    if (session.folder().packed) {
      tally.tensors = 1;
      tally.stored = session.folder().packed->find(source.name)->size;
    }
    for (const WeightPart& part : source.parts) {
      tally.tensors += part.scales.empty() ? 1 : 2;
      tally.stored += part.codes.size_bytes() + (part.scales.empty() ? 0 : part.scales.size_bytes());
    }
    tally.parameters = source.num_experts * source.rows * source.cols;
    tally.active = matrix.param->rows_per_token * source.cols;
    const Format becomes = session.folder().precision.format_of(matrix);
    tally.prepared = session.backend().prepared_bytes(becomes, source.num_experts, source.rows, source.cols);
    const std::string from(format_info(source.format).name);
    const std::string to(format_info(becomes).name);
    report.add(matrix.param->parts.front().name, from == to ? from : from + " -> " + to, tally);
  }
}

void tally_vectors(const Session& session, Report& report) {
  const ModelInfo& info = session.info();
  for (const VectorParam& vector : session.folder().params.vectors) {
    Tally tally;
    std::string format;
    for (const ParamPart& part : vector.parts) {
      const StoredTensor* stored = session.folder().checkpoint->find(part.name);
      if (stored == nullptr) continue;  // packed: all parts lie under the first one's name
      ++tally.tensors;
      tally.stored += stored->tensor.size_bytes();
      format = dtype_name(stored->tensor.dtype());
    }
    tally.parameters = vector.rows() * std::max<int64_t>(vector.num_experts, 1);
    tally.active = vector.rows() * (vector.num_experts > 0 ? info.num_experts_per_token : 1);
    tally.prepared = static_cast<std::size_t>(tally.parameters) * sizeof(float);
    std::transform(format.begin(), format.end(), format.begin(),
                   [](unsigned char c) { return std::tolower(c); });
    report.add(vector.parts.front().name, format == "f32" ? format : format + " -> f32", tally);
  }
}

Report make_report(const Session& session, int64_t max_num_seqs) {
  Report report;
  tally_matrices(session, report);
  tally_vectors(session, report);
  report.memory = read_system_memory();
  const bool asked = session.options().max_model_len > 0;
  EngineLimits limits = session.limits(asked ? session.longest() : 0, max_num_seqs, max_num_seqs);
  try {
    report.plan = session.plan(limits);
  } catch (const Error& error) {
    report.refusal = error.what();
    limits.max_model_len = session.longest();
    report.plan = compute_plan(session.folder(), session.backend(), limits);
  }
  return report;
}

// 20,914,757,184
std::string grouped(int64_t number) {
  std::string digits = std::to_string(number);
  for (auto at = static_cast<std::ptrdiff_t>(digits.size()) - 3; at > 0; at -= 3)
    digits.insert(static_cast<std::size_t>(at), ",");
  return digits;
}

std::string describe_layers(const ModelInfo& info) {
  std::string text;
  for (std::size_t kind = 0; kind < info.windows.size(); ++kind) {
    const auto count = std::count_if(info.layers.begin(), info.layers.end(), [&](const KvLayer& layer) {
      return layer.kind == static_cast<int>(kind);
    });
    text += fmt::format(
        "{}{} {}", text.empty() ? "" : ", ", count,
        info.windows[kind] == 0 ? "see everything" : fmt::format("see a window of {}", info.windows[kind]));
  }
  return text;
}

std::string chat_form_of(const Session& session) {
  if (session.has_chat_form()) return ", with Harmony's";
  if (session.chat_template() != nullptr)
    return fmt::format(", chats by {}", session.chat_template()->form());
  return session.chat_template_problem().empty() ? "" : ", with a chat_template that is not known here";
}

void print_tallies(const char* heading, const std::map<std::string, Tally>& tallies, const Tally& all) {
  fmt::print("\n{:<14}{:>9}{:>18}{:>18}{:>12}{:>12}\n", heading, "tensors", "parameters", "active per token",
             "stored", "in memory");
  const auto row = [](const std::string& name, const Tally& tally) {
    fmt::print("{:<14}{:>9}{:>18}{:>18}{:>12}{:>12}\n", name, tally.tensors, grouped(tally.parameters),
               grouped(tally.active), format_bytes(tally.stored), format_bytes(tally.prepared));
  };
  for (const auto& [name, tally] : tallies) row(name, tally);
  row("all", all);
}

void print_text(const Session& session, const Report& report) {
  const ModelInfo& info = session.info();
  const AttentionParams& attention = info.attention;
  const Precision& precision = session.folder().precision;
  fmt::print("{}: {}\n", session.path().string(), info.architecture);
  if (const auto& packed = session.folder().packed) {
    fmt::print(
        "packed        for the backend {}, layout {}, from {} with --weights {} --activations {} --dtype "
        "{}{}\n",
        packed->backend, packed->layout, packed->source, packed->weights, packed->activations, packed->dtype,
        packed->smoothing.empty() ? "" : " --smoothing " + packed->smoothing);
  }
  fmt::print("layers        {}: {}\n", info.num_layers, describe_layers(info));
  fmt::print("dimensions    hidden {}, vocabulary {}, positions {}\n", info.hidden_dim, info.vocab_size,
             info.max_positions);
  fmt::print("attention     {} heads of {}, {} of keys and values\n", attention.num_heads, attention.head_dim,
             attention.num_kv_heads);
  if (info.num_experts > 0) {
    fmt::print("experts       {} of width {}, {} for each token\n", info.num_experts, info.ffn_dim,
               info.num_experts_per_token);
  } else {
    fmt::print("feed-forward  {}\n", info.ffn_dim);
  }
  fmt::print("tokenizer     {}\n",
             session.tokenizer() == nullptr
                 ? "none"
                 : fmt::format("{} tokens{}", session.tokenizer()->vocab_size(), chat_form_of(session)));
  fmt::print("activations   {}{}, KV cache {}\n", dtype_name(precision.activation),
             precision.weights.int8_activations ? ", as int8 in products with integer codes" : "",
             dtype_name(precision.kv_cache));
  print_tallies("by kind", report.by_kind, report.all);
  print_tallies("by format", report.by_format, report.all);

  const MemoryPlan& plan = report.plan;
  const EngineLimits& limits = plan.limits;
  fmt::print("\nmemory plan for {} of up to {} ({}), steps of {}\n",
             limits.max_num_seqs == 1 ? "one sequence" : fmt::format("{} sequences", limits.max_num_seqs),
             count_tokens(limits.max_model_len),
             session.options().max_model_len > 0                    ? "as asked"
             : limits.max_model_len == session.info().max_positions ? "the model's limit"
                                                                    : "what fits",
             limits.max_batched_tokens);
  const auto line = [](const char* name, std::size_t bytes, const std::string& note) {
    fmt::print("  {:<22}{:>10}{:>22} B{}\n", name, format_bytes(bytes), grouped(static_cast<int64_t>(bytes)),
               note.empty() ? "" : "  " + note);
  };
  line("weights", plan.weights, "");
  line("KV cache, per token", plan.kv_per_token, "in the layers that see everything");
  if (plan.kv_window > 0) line("KV cache, windows", plan.kv_window, "of one sequence, however long");
  line("KV cache", plan.kv, "");
  line("workspace", plan.workspace, "");
  line("reserve", kMemoryReserve, "for the program itself");
  line("in all", plan.total() + kMemoryReserve, "");
  line("available here", report.memory.available,
       fmt::format("of {}; {}, {} physical cores", format_bytes(report.memory.total), cpu_model_name(),
                   num_physical_cores()));
  fmt::print("{}\n", report.refusal.empty() ? "It fits." : "It does not fit.");
}

json::object to_json(const Tally& tally) {
  return {{"tensors", tally.tensors},
          {"parameters", tally.parameters},
          {"active_parameters", tally.active},
          {"stored_bytes", tally.stored},
          {"memory_bytes", tally.prepared}};
}

json::object to_json(const std::map<std::string, Tally>& tallies) {
  json::object object;
  for (const auto& [name, tally] : tallies) object[name] = to_json(tally);
  return object;
}

void print_json(const Session& session, const Report& report) {
  const ModelInfo& info = session.info();
  const MemoryPlan& plan = report.plan;
  json::array layers;
  for (const KvLayer& layer : info.layers)
    layers.emplace_back(info.windows[static_cast<std::size_t>(layer.kind)]);
  json::object object = {
      {"architecture", info.architecture},
      {"num_layers", info.num_layers},
      {"windows", std::move(layers)},  // of each layer; 0: sees everything
      {"hidden_dim", info.hidden_dim},
      {"vocab_size", info.vocab_size},
      {"max_positions", info.max_positions},
      {"num_heads", info.attention.num_heads},
      {"num_kv_heads", info.attention.num_kv_heads},
      {"head_dim", info.attention.head_dim},
      {"num_experts", info.num_experts},
      {"num_experts_per_token", info.num_experts_per_token},
      {"ffn_dim", info.ffn_dim},
      {"activation_dtype", dtype_name(session.folder().precision.activation)},
      {"parameters", report.all.parameters},
      {"active_parameters", report.all.active},
      {"by_kind", to_json(report.by_kind)},
      {"by_format", to_json(report.by_format)},
  };
  if (const auto& packed = session.folder().packed) {
    object["packed"] = {{"backend", packed->backend},         {"layout", packed->layout},
                        {"source", packed->source},           {"weights", packed->weights},
                        {"activations", packed->activations}, {"dtype", packed->dtype},
                        {"smoothing", packed->smoothing}};
  }
  object["plan"] = {{"max_model_len", plan.limits.max_model_len},
                    {"max_num_seqs", plan.limits.max_num_seqs},
                    {"max_batched_tokens", plan.limits.max_batched_tokens},
                    {"weights_bytes", plan.weights},
                    {"kv_bytes_per_token", plan.kv_per_token},
                    {"kv_window_bytes", plan.kv_window},
                    {"kv_bytes", plan.kv},
                    {"workspace_bytes", plan.workspace},
                    {"reserve_bytes", kMemoryReserve},
                    {"total_bytes", plan.total() + kMemoryReserve}};
  object["machine"] = {{"memory_bytes", report.memory.total},
                       {"available_bytes", report.memory.available},
                       {"cpu", cpu_model_name()},
                       {"physical_cores", num_physical_cores()}};
  object["fits"] = report.refusal.empty();
  fmt::print("{}\n", json::serialize(object));
}

// As every start does it.
void verify(const Session& session) {
  const ModelFolder& folder = session.folder();
  if (!folder.packed) {
    throw Error("{}: only folders that `gossamer pack` wrote have checksums, and this is none",
                session.path().string());
  }
  ThreadPool pool(threads_or_default(session.options().num_threads));
  ProgressLine line("checking " + session.path().string(), ProgressLine::kBytes);
  verify_weights(*folder.checkpoint, *folder.packed, pool,
                 [&](std::size_t done, std::size_t total) { line.show(done, total); });
}

void run(const Options& options) {
  if (!options.model.profile.path.empty()) throw Error("--profile: inspect runs no model; generate does");
  const Session session(options.model);
  if (options.verify) verify(session);
  const Report report = make_report(session, options.max_num_seqs);
  options.json ? print_json(session, report) : print_text(session, report);
  if (!report.refusal.empty()) throw Error("{}", report.refusal);
}

}  // namespace

void add_inspect(CLI::App& program) {
  CLI::App* command = program.add_subcommand(
      "inspect",
      "Show a model's architecture, its parameters, and the exact memory plan beside what this machine has. "
      "Nothing is "
      "loaded. The exit code is 1, with what would fit on standard error, when it does not fit");
  auto options = std::make_shared<Options>();
  add_model_options(*command, options->model,
                    "what the plan is made for. Default: the model's limit, or what fits");
  command->add_option("--max-num-seqs", options->max_num_seqs, "Sequences at once that the plan is made for")
      ->check(CLI::Range(1, 1 << 20))
      ->capture_default_str();
  command->add_flag("--json", options->json, "Print one JSON object");
  command->add_flag("--verify", options->verify,
                    "Compare all weights of a packed folder with their checksums, as every start does it");
  command->callback([options] { run(*options); });
}

}  // namespace gossamer::apps
