#include "apps/run/prompts.h"

#include <fmt/format.h>

#include <algorithm>
#include <random>
#include <span>
#include <string_view>
#include <utility>

#include "apps/chat_form.h"
#include "apps/model_path.h"
#include "base/error.h"
#include "base/json.h"
#include "eval/jsonl.h"
#include "eval/longbench.h"

namespace gossamer::apps {
namespace {

namespace fs = std::filesystem;

constexpr const char* kPromptFile = "default_prompt.json";
constexpr std::string_view kReplacement = "\xEF\xBF\xBD";  // U+FFFD

std::string read_string(const json::value& value, const std::string& where) {
  if (!value.is_string()) throw Error("{}: expected a text, found {}", where, json::serialize(value));
  return std::string(value.get_string());
}

// LongBench's files in the order of the original: the 21 tasks, then those of LongBench-E.
std::vector<std::string> longbench_files() {
  std::vector<std::string> names;
  for (const LongbenchTask& task : longbench_tasks()) names.push_back(fmt::format("{}.jsonl", task.name));
  for (const LongbenchTask& task : longbench_tasks()) {
    if (task.in_e) names.push_back(fmt::format("{}_e.jsonl", task.name));
  }
  return names;
}

// The contexts of the files, until there are enough.
void read_contexts(const fs::path& folder, const std::vector<std::string>& files, int64_t count,
                   PromptSet& prompts) {
  for (const std::string& file : files) {
    if (!fs::exists(folder / file)) continue;
    const Dataset<JsonRow> rows = read_json_rows(folder / file);
    for (const Complaint& complaint : rows.complaints)
      prompts.warnings.push_back(
          fmt::format("{}: {}; the line is left out", complaint.where, complaint.what));
    for (const JsonRow& row : rows.rows) {
      JsonRowReader reader(row.object);
      std::string context = reader.string({"context"});
      if (reader.mistake()) {
        prompts.warnings.push_back(fmt::format("{}: {}; the line is left out",
                                               row_location(folder / file, row.line), *reader.mistake()));
      } else {
        prompts.texts.push_back(std::move(context));
      }
      if (static_cast<int64_t>(prompts.texts.size()) == count) return;
    }
  }
}

std::string replace(std::string text, std::string_view what, const std::string& with) {
  for (std::size_t at = text.find(what); at != std::string::npos; at = text.find(what, at + with.size()))
    text.replace(at, what.size(), with);
  return text;
}

// The first `count` ids as text, without a character that was cut in two.
std::string decode_first(const Tokenizer& tokenizer, const std::vector<int32_t>& ids, int64_t count) {
  std::string text = tokenizer.decode(std::span(ids).first(static_cast<std::size_t>(count)));
  while (text.ends_with(kReplacement)) text.resize(text.size() - kReplacement.size());
  return text;
}

// At most `limit` tokens of the text, with `before` and `behind` around it.
std::string cut(const Tokenizer& tokenizer, const std::string& before, const std::string& text,
                const std::string& behind, const PromptForm& form) {
  std::string whole = before + text + behind;
  if (form.input_max_len == 0) return whole;
  const auto count = [&](const std::string& some) {
    return static_cast<int64_t>(tokenizer.encode(some).size());
  };
  int64_t surplus = count(whole) - form.input_max_len;
  if (surplus <= 0) return whole;
  const std::vector<int32_t> ids = tokenizer.encode(text);
  // Where the pieces meet tokens may join or part, so what came of it is counted again.
  for (int64_t room = static_cast<int64_t>(ids.size()) - surplus; room > 0; room -= surplus) {
    whole = before + decode_first(tokenizer, ids, room) + behind;
    surplus = count(whole) - form.input_max_len;
    if (surplus <= 0) return whole;
  }
  throw Error("{} is {}, and the system prompt alone takes {}: expected room for the text too",
              form.input_max_len_where, count_tokens(form.input_max_len),
              count_tokens(count(before + behind)));
}

}  // namespace

PromptSet read_prompt_file(const fs::path& path) {
  const std::string where = path.string();
  const json::value file = read_json_file(path);
  const json::value* text = file.is_object() ? file.get_object().if_contains("text") : nullptr;
  if (text == nullptr) throw Error("{}: expected an object with \"text\", a text or a list of texts", where);
  PromptSet prompts{.source = where};
  if (text->is_array()) {
    for (const json::value& one : text->get_array())
      prompts.texts.push_back(read_string(one, where + ": text"));
  } else {
    prompts.texts.push_back(read_string(*text, where + ": text"));
  }
  if (prompts.texts.empty()) throw Error("{}: text: expected at least one", where);
  if (const json::value* summary = file.get_object().if_contains("summary")) {
    const auto part = [&](const char* name) {
      const json::value* found = summary->is_object() ? summary->get_object().if_contains(name) : nullptr;
      return read_string(found != nullptr ? *found : json::value(),
                         fmt::format("{}: summary.{}", where, name));
    };
    prompts.summary = {.before = part("before"), .behind = part("behind")};
  }
  return prompts;
}

PromptSet built_in_prompts() {
  return read_prompt_file(find_beside_program(kPromptFile, fs::path("share") / kPromptFile));
}

PromptSet find_prompts(const std::string& dataset, const std::vector<fs::path>& folders, int64_t count) {
  PromptSet prompts = built_in_prompts();
  for (const fs::path& folder : folders) {
    if (!fs::exists(folder / kPromptFile)) continue;
    PromptSet own = read_prompt_file(folder / kPromptFile);
    if (own.summary.before.empty() && own.summary.behind.empty()) own.summary = prompts.summary;
    prompts = std::move(own);
    break;
  }
  if (dataset == "default") return prompts;

  const bool longbench = dataset == "LongBench";
  const std::vector<std::string> files =
      longbench ? longbench_files() : std::vector<std::string>{"longbook_qa_eng.jsonl"};
  prompts.texts.clear();
  prompts.summarise = true;
  std::string looked;
  for (const fs::path& folder : folders) {
    const fs::path data = longbench ? folder / dataset / "data" : folder / dataset;
    looked += fmt::format("\n  {}", data.string());
    if (!fs::is_directory(data)) continue;
    prompts.source = data.string();
    read_contexts(data, files, count, prompts);
    if (!prompts.texts.empty()) return prompts;
    std::string warnings;
    for (const std::string& warning : prompts.warnings) warnings += "\n  " + warning;
    throw Error("{}: expected {} with a text each as \"context\", found none{}", data.string(),
                longbench ? "LongBench's TASK.jsonl, narrativeqa.jsonl and so on" : files.front(), warnings);
  }
  throw Error(
      "dataset {}: nothing is downloaded: expected its files in one of these folders, which do not exist; "
      "--dataset-path names another{}",
      dataset, looked);
}

std::vector<int32_t> random_prompt(const Session& session, int64_t count, uint64_t seed) {
  const int64_t num_ids =
      session.tokenizer() != nullptr ? session.tokenizer()->vocab_size() : session.info().vocab_size;
  std::mt19937_64 random(seed);
  std::uniform_int_distribution<int32_t> id(0, static_cast<int32_t>(num_ids - 1));
  std::vector<int32_t> ids(static_cast<std::size_t>(count));
  std::generate(ids.begin(), ids.end(), [&] { return id(random); });
  return ids;
}

std::vector<int32_t> encode_prompt(const Session& session, const PromptSet& prompts, const std::string& text,
                                   const PromptForm& form) {
  if (session.tokenizer() == nullptr) {
    const int64_t count = form.input_max_len > 0 ? form.input_max_len : kRandomTokens;
    const int64_t room = session.longest() - form.max_new_tokens;
    return random_prompt(session, std::max<int64_t>(std::min(count, room), 1), text.size());
  }
  const Tokenizer& tokenizer = *session.tokenizer();
  const SummaryFrame frame = prompts.summarise ? prompts.summary : SummaryFrame{};
  const std::string behind = replace(frame.behind, "{max_new_tokens}", std::to_string(form.max_new_tokens));
  const std::string whole = cut(tokenizer, frame.before, text, behind, form);
  if (session.has_chat_form()) {
    std::vector<HarmonyMessage> messages = opening_messages({});
    messages.push_back(user_message(whole));
    return render_prompt(tokenizer, messages);
  }
  std::vector<int32_t> ids = tokenizer.encode(whole);
  if (ids.empty()) throw Error("{}: a prompt is empty: expected at least one token", prompts.source);
  return ids;
}

}  // namespace gossamer::apps
