#include "apps/token_lists.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cmath>
#include <utility>

#include "apps/terminal.h"
#include "apps/text_files.h"
#include "base/error.h"
#include "base/json.h"

namespace gossamer::apps {

TokenLists read_token_lists(const std::string& path, int64_t vocab_size, int64_t longest) {
  const json::value value = read_json_file(path);
  if (!value.is_array() || value.get_array().empty())
    throw Error("{}: expected a list of lists of token ids, [[1, 2], [3]]", path);
  TokenLists lists;
  for (const json::value& item : value.get_array()) {
    const std::size_t number = lists.size();
    if (!item.is_array() || item.get_array().empty())
      throw Error("{}: list {}: expected a list of at least one token id", path, number);
    const json::array& ids = item.get_array();
    if (static_cast<int64_t>(ids.size()) > longest) {
      throw Error("{}: list {}: it has {}, but at most {} fit", path, number,
                  count_tokens(static_cast<int64_t>(ids.size())), longest);
    }
    std::vector<int32_t>& list = lists.emplace_back();
    for (const json::value& id : ids) {
      const int64_t found = id.is_int64() ? id.get_int64() : -1;
      if (found < 0 || found >= vocab_size) {
        throw Error("{}: list {}, position {}: expected a token id from 0 to {}, found {}", path, number,
                    list.size(), vocab_size - 1, json::serialize(id));
      }
      list.push_back(static_cast<int32_t>(found));
    }
  }
  return lists;
}

void add_corpus_options(CLI::App& command, CorpusOptions& options) {
  CLI::Option* text = command.add_option("--text", options.text,
                                         "A text in UTF-8, such as the model will see; -: standard input");
  command
      .add_option("--token-ids-file", options.ids_file,
                  "Instead of a text: a JSON list of lists of token ids, [[1, 2], [3]]")
      ->excludes(text);
  command.add_option("--max-tokens", options.max_tokens, "The most tokens of the text that are taken")
      ->check(CLI::Range(int64_t{1}, int64_t{1} << 31))
      ->capture_default_str();
}

TokenLists read_corpus(const CorpusOptions& options, const Session& session) {
  if (options.text.empty() == options.ids_file.empty())
    throw Error("expected one of --text and --token-ids-file, found {}",
                options.text.empty() ? "none" : "both");
  const int64_t longest = session.longest();
  if (!options.ids_file.empty()) {
    return read_token_lists(options.ids_file, session.info().vocab_size, longest);
  }
  // A plain text, to be read as it is: it may name special tokens.
  std::vector<int32_t> ids =
      session.require_tokenizer().encode(read_text_file("--text", options.text), {.parse_special = true});
  if (ids.empty()) throw Error("--text {}: expected at least one token, found an empty text", options.text);
  ids.resize(std::min(ids.size(), static_cast<std::size_t>(options.max_tokens)));
  const auto piece = static_cast<std::size_t>(
      session.options().max_model_len > 0 ? longest : std::min(longest, kPieceTokens));
  TokenLists lists;
  for (std::size_t begin = 0; begin < ids.size(); begin += piece) {
    const std::size_t end = std::min(ids.size(), begin + piece);
    lists.emplace_back(ids.begin() + static_cast<std::ptrdiff_t>(begin),
                       ids.begin() + static_cast<std::ptrdiff_t>(end));
  }
  return lists;
}

int64_t total_tokens(const TokenLists& lists) {
  int64_t total = 0;
  for (const auto& list : lists) total += static_cast<int64_t>(list.size());
  return total;
}

MemoryPlan plan_lists(const Session& session, const TokenLists& lists, int64_t max_num_seqs) {
  constexpr int64_t kLogitRows = 64;  // of one step: 200,000 floats each
  int64_t longest = session.options().max_model_len;
  if (longest == 0) {
    for (const auto& list : lists) longest = std::max(longest, static_cast<int64_t>(list.size()));
  }
  return session.plan(session.limits(longest, max_num_seqs, std::min(kLogitRows, total_tokens(lists))));
}

double run_lists(Session& session, const TokenLists& lists, const std::string& what, const ListSink& sink) {
  const Clock::time_point start = Clock::now();
  std::string broken;  // the first position whose logits are not finite
  std::size_t done = 0;
  const auto num_tokens = static_cast<std::size_t>(total_tokens(lists));
  ProgressLine line(what);
  for (std::size_t i = 0; i < lists.size(); ++i) {
    Request request;
    request.prompt = lists[i];
    request.on_prompt_logits = [&, i](int64_t position, std::span<const float> logits,
                                      std::span<const float> hidden) {
      if (broken.empty() &&
          !std::all_of(logits.begin(), logits.end(), [](float x) { return std::isfinite(x); }))
        broken = fmt::format("list {}, position {}", i, position);
      sink(i, position, logits, hidden);
      line.show(++done, num_tokens);
    };
    const Result<RequestId> id = session.engine().submit(std::move(request));
    if (!id.ok()) throw Error("list {}: {}", i, id.error().message);
  }
  while (!session.engine().idle()) session.engine().step();
  if (!broken.empty()) {
    throw Error(
        "{}: non-finite logits, first at {}; the weights or the activation type overflow (try --dtype f32)",
        session.path().string(), broken);
  }
  return seconds_since(start);
}

}  // namespace gossamer::apps
