// The program with a mistake in it, for the proof that `gossamer verify` finds it: gossamer_faulty is linked
// from the very objects of `gossamer`, with the functions below put in front of four of theirs (the linker's
// --wrap; CMakeLists.txt has the list). GOSSAMER_PLANTED_FAULT names the mistake; without it there is none.
//
//   window_129, yarn_rounded          in the model: every backend computes it
//   no_sinks, no_expert_bias, swapped_nibbles, wrong_head_scale
//                                     in every backend; with "cpu:" before the name in the fast one only
//   trimmed_text                      the last token of every text is lost on its way out
#include <algorithm>
#include <array>
#include <cstdlib>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "backend/registry.h"
#include "base/error.h"
#include "model/architectures.h"
#include "tests/planted_faults/faulty_backend.h"
#include "text/stream_detokenizer.h"

namespace gossamer {

// What is wrapped, under the names that the linker gives it.
std::unique_ptr<Backend> real_create_backend(const BackendOptions& options) asm(
    "__real__ZN8gossamer14create_backendERKNS_14BackendOptionsE");
std::unique_ptr<Backend> wrap_create_backend(const BackendOptions& options) asm(
    "__wrap__ZN8gossamer14create_backendERKNS_14BackendOptionsE");
std::unique_ptr<Model> real_create_gpt_oss(const ConfigReader& config) asm(
    "__real__ZN8gossamer14create_gpt_ossERKNS_12ConfigReaderE");
std::unique_ptr<Model> wrap_create_gpt_oss(const ConfigReader& config) asm(
    "__wrap__ZN8gossamer14create_gpt_ossERKNS_12ConfigReaderE");
std::string real_push(StreamDetokenizer& text,
                      int32_t id) asm("__real__ZN8gossamer17StreamDetokenizer4pushB5cxx11Ei");
std::string wrap_push(StreamDetokenizer& text,
                      int32_t id) asm("__wrap__ZN8gossamer17StreamDetokenizer4pushB5cxx11Ei");
std::string real_flush(StreamDetokenizer& text) asm("__real__ZN8gossamer17StreamDetokenizer5flushB5cxx11Ev");
std::string wrap_flush(StreamDetokenizer& text) asm("__wrap__ZN8gossamer17StreamDetokenizer5flushB5cxx11Ev");

namespace {

constexpr std::array<std::string_view, 11> kFaults = {
    "window_129",          "yarn_rounded",         "no_sinks",     "no_expert_bias",
    "swapped_nibbles",     "wrong_head_scale",     "cpu:no_sinks", "cpu:no_expert_bias",
    "cpu:swapped_nibbles", "cpu:wrong_head_scale", "trimmed_text"};

std::string planted() {
  const char* fault = std::getenv("GOSSAMER_PLANTED_FAULT");
  if (fault == nullptr) return "";
  if (std::find(kFaults.begin(), kFaults.end(), fault) == kFaults.end())
    throw Error("GOSSAMER_PLANTED_FAULT={}: expected one of those in tests/planted_faults", fault);
  return fault;
}
bool is_planted(const std::string& fault) { return planted() == fault; }

// The last token of each text that is being made.
class HeldTokens {
 public:
  std::optional<int32_t> exchange(const StreamDetokenizer& text, std::optional<int32_t> id) {
    const std::lock_guard lock(mutex_);
    const auto found = held_.find(&text);
    const auto before = found == held_.end() ? std::nullopt : std::optional(found->second);
    if (id) {
      held_[&text] = *id;
    } else {
      held_.erase(&text);
    }
    return before;
  }

 private:
  std::mutex mutex_;
  std::map<const StreamDetokenizer*, int32_t> held_;
};
HeldTokens& held_tokens() {
  static HeldTokens tokens;
  return tokens;
}

}  // namespace

std::unique_ptr<Backend> wrap_create_backend(const BackendOptions& options) {
  auto backend = real_create_backend(options);
  std::string fault = planted();
  if (fault.starts_with("cpu:")) fault = options.name == "cpu" ? fault.substr(4) : "";
  const test::BackendFaults faults = {.no_sinks = fault == "no_sinks",
                                      .no_expert_bias = fault == "no_expert_bias",
                                      .swap_nibbles = fault == "swapped_nibbles",
                                      .wrong_head_scale = fault == "wrong_head_scale"};
  return faults.any() ? test::create_faulty_backend(std::move(backend), faults) : std::move(backend);
}

std::unique_ptr<Model> wrap_create_gpt_oss(const ConfigReader& config) {
  json::object altered = config.object();
  if (is_planted("window_129")) altered["sliding_window"] = altered.at("sliding_window").as_int64() + 1;
  if (is_planted("yarn_rounded")) altered.at("rope_scaling").as_object()["truncate"] = true;
  return real_create_gpt_oss(ConfigReader(std::move(altered), config.where()));
}

std::string wrap_push(StreamDetokenizer& text, int32_t id) {
  if (!is_planted("trimmed_text")) return real_push(text, id);
  const std::optional<int32_t> before = held_tokens().exchange(text, id);
  return before ? real_push(text, *before) : std::string();
}

std::string wrap_flush(StreamDetokenizer& text) {
  if (is_planted("trimmed_text")) held_tokens().exchange(text, std::nullopt);
  return real_flush(text);
}

}  // namespace gossamer
