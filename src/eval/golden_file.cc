#include "eval/golden_file.h"

#include <fmt/format.h>

#include <cmath>
#include <cstdlib>
#include <limits>
#include <span>

#include "base/check.h"
#include "base/checksum.h"
#include "base/error.h"
#include "eval/dataset.h"

namespace gossamer {
namespace {

constexpr int64_t kVersion = 1;
constexpr int64_t kMostTop = 1 << 20;

// A value in the file, and where it stands.
class Place {
 public:
  Place(const json::value& value, std::string where) : value_(value), where_(std::move(where)) {}

  [[noreturn]] void fail(std::string_view expected) const {
    constexpr std::size_t kMostShown = 60;
    std::string found = json::serialize(value_);
    if (found.size() > kMostShown) found = found.substr(0, kMostShown) + "...";
    throw Error("{}: expected {}, found {}", where_, expected, found);
  }

  const json::object& object() const {
    if (!value_.is_object()) fail("an object");
    return value_.get_object();
  }
  Place at(std::string_view key) const {
    const json::value* found = object().if_contains(key);
    if (found == nullptr) throw Error("{}: expected a field \"{}\", found none", where_, key);
    return {*found, fmt::format("{}: {}", where_, key)};
  }
  bool has(std::string_view key) const { return object().contains(key); }
  std::vector<Place> items() const {
    if (!value_.is_array()) fail("a list");
    std::vector<Place> places;
    for (const json::value& item : value_.get_array())
      places.emplace_back(item, fmt::format("{}[{}]", where_, places.size()));
    return places;
  }
  int64_t integer(int64_t least, int64_t most) const {
    const int64_t found = value_.is_int64() ? value_.get_int64() : least - 1;
    if (found < least || found > most) fail(fmt::format("a whole number from {} to {}", least, most));
    return found;
  }
  float number() const {
    const double found = value_.is_number() ? value_.to_number<double>() : std::nan("");
    if (!(std::abs(found) <= std::numeric_limits<float>::max())) fail("a number that fits a float");
    return static_cast<float>(found);
  }
  float logprob() const {
    constexpr float kRounding = 1e-3F;
    const float found = number();
    if (found > kRounding) fail("the logarithm of a probability, at most 0");
    return found;
  }
  std::string string() const {
    if (!value_.is_string()) fail("a string");
    return std::string(value_.get_string());
  }
  bool flag() const {
    if (!value_.is_bool()) fail("true or false");
    return value_.get_bool();
  }
  std::vector<int32_t> ids() const {
    std::vector<int32_t> ids;
    for (const Place& item : items()) ids.push_back(item.id());
    return ids;
  }
  int32_t id() const { return static_cast<int32_t>(integer(0, std::numeric_limits<int32_t>::max())); }

 private:
  const json::value& value_;
  std::string where_;
};

RecordedAnswer read_answer(const Place& place) {
  return {.prompt = place.at("prompt").string(),
          .chat = place.at("chat").flag(),
          .prompt_ids = place.at("prompt_ids").ids(),
          .answer_ids = place.at("answer_ids").ids(),
          .answer = place.at("answer").string(),
          .finish_reason = place.at("finish_reason").string()};
}

// [id, logprob, id, logprob, ...]
std::vector<TokenLogprob> read_top(const Place& place, int num_top) {
  const std::vector<Place> items = place.items();
  if (items.size() % 2 != 0 || items.size() > 2 * static_cast<std::size_t>(num_top))
    place.fail(fmt::format("at most {} pairs of a token id and its log-probability", num_top));
  std::vector<TokenLogprob> top;
  for (std::size_t i = 0; i < items.size(); i += 2)
    top.push_back({.id = items[i].id(), .logprob = items[i + 1].logprob()});
  return top;
}

RecordedText read_text(const Place& place, int num_top) {
  RecordedText text{.name = place.at("name").string(), .ids = place.at("ids").ids()};
  if (text.ids.size() < 2) place.at("ids").fail("at least two token ids");
  text.num_given =
      static_cast<std::size_t>(place.at("given").integer(1, static_cast<int64_t>(text.ids.size()) - 1));
  const std::vector<Place> logprobs = place.at("logprobs").items();
  const std::vector<Place> tops = place.at("top").items();
  const std::size_t count = text.ids.size() - text.num_given;
  if (!logprobs.empty() && logprobs.size() != count)
    place.at("logprobs").fail(fmt::format("{} numbers, one for each id that is not given, or none", count));
  if (tops.size() != logprobs.size())
    place.at("top").fail(fmt::format("{} lists, one for each of \"logprobs\"", logprobs.size()));
  for (std::size_t i = 0; i < logprobs.size(); ++i)
    text.tokens.push_back({.logprob = logprobs[i].logprob(), .top = read_top(tops[i], num_top)});
  if (!place.has("hidden")) return text;
  for (const Place& number : place.at("hidden").items()) text.hidden.push_back(number.number());
  text.hidden_checksum = place.at("hidden_checksum").string();
  return text;
}

// The shortest decimal that reads as this float again, not as the double it widens to: a third of the digits.
json::value short_number(float value) { return std::strtod(fmt::format("{}", value).c_str(), nullptr); }

json::object to_json(const RecordedAnswer& answer) {
  return {{"prompt", answer.prompt},
          {"chat", answer.chat},
          {"prompt_ids", json::value_from(answer.prompt_ids)},
          {"answer_ids", json::value_from(answer.answer_ids)},
          {"answer", answer.answer},
          {"finish_reason", answer.finish_reason}};
}

json::object to_json(const RecordedText& text) {
  json::array logprobs;
  json::array tops;
  for (const RecordedToken& token : text.tokens) {
    logprobs.push_back(short_number(token.logprob));
    json::array top;
    for (const TokenLogprob& entry : token.top) {
      top.push_back(entry.id);
      top.push_back(short_number(entry.logprob));
    }
    tops.push_back(std::move(top));
  }
  json::object object = {{"name", text.name},
                         {"ids", json::value_from(text.ids)},
                         {"given", text.num_given},
                         {"logprobs", std::move(logprobs)},
                         {"top", std::move(tops)}};
  if (text.hidden.empty()) return object;
  json::array hidden;
  for (const float number : text.hidden)
    hidden.push_back(std::strtod(fmt::format("{:.4g}", number).c_str(), nullptr));
  object["hidden"] = std::move(hidden);
  object["hidden_checksum"] = text.hidden_checksum;
  return object;
}

// A list with a line for each item, so that two files can be compared by eye.
template <typename Item>
std::string lines_of(const std::vector<Item>& items) {
  std::string text;
  for (const Item& item : items) text += (text.empty() ? "\n" : ",\n") + json::serialize(to_json(item));
  return "[" + text + "]";
}

AnswerComparison compare(const RecordedAnswer& expected, const RecordedAnswer& found) {
  AnswerComparison comparison{.rouge_l = answer_rouge_l(expected.answer, found.answer)};
  const auto told = [](const RecordedAnswer& answer) {
    return !answer.answer_ids.empty() || answer.answer.empty();
  };
  if (told(expected) && told(found)) comparison.tokens = match_tokens(expected.answer_ids, found.answer_ids);
  if (!expected.prompt_ids.empty() && !found.prompt_ids.empty())
    comparison.same_prompt_ids = expected.prompt_ids == found.prompt_ids;
  return comparison;
}

TextComparison compare(const RecordedText& expected, const RecordedText& found) {
  TextComparison comparison;
  GOSSAMER_CHECK(expected.ids == found.ids);
  const bool told = !found.tokens.empty();
  for (std::size_t i = 0; told && i < expected.tokens.size(); ++i) {
    const RecordedToken& a = expected.tokens[i];
    const RecordedToken& b = found.tokens[i];
    comparison.tokens.push_back(
        {.expected_loss = -double{a.logprob},
         .found_loss = -double{b.logprob},
         .divergence = truncated_divergence(a.top, b.top),
         .same_top = !a.top.empty() && !b.top.empty() && a.top.front().id == b.top.front().id});
  }
  if (expected.hidden.empty() || found.hidden.empty()) return comparison;
  // A file's numbers are rounded: their cosine with themselves would be 0.9999999.
  comparison.cosine = expected.hidden_checksum == found.hidden_checksum
                          ? std::optional(1.0)
                          : cosine_similarity(expected.hidden, found.hidden);
  return comparison;
}

}  // namespace

std::string hidden_checksum(const std::vector<float>& hidden) {
  return format_checksum(checksum(std::as_bytes(std::span(hidden))));
}

Recording parse_golden_file(std::string_view text, const std::string& where) {
  const json::value value = parse_json(text, where);
  const Place file(value, where);
  if (!value.is_object() || !file.has("gossamer_golden"))
    throw Error(
        "{}: expected a golden file of `gossamer verify record`, found JSON without \"gossamer_golden\"",
        where);
  if (const int64_t version = file.at("gossamer_golden").integer(1, std::numeric_limits<int64_t>::max());
      version != kVersion) {
    throw Error("{}: expected format version {}, found {}: record the file again", where, kVersion, version);
  }
  Recording recording{.identity = file.at("model").object(),
                      .max_new_tokens = file.at("max_tokens").integer(0, std::numeric_limits<int32_t>::max()),
                      .num_top = static_cast<int>(file.at("top_logprobs").integer(0, kMostTop))};
  for (const Place& answer : file.at("answers").items()) recording.answers.push_back(read_answer(answer));
  for (const Place& item : file.at("texts").items())
    recording.texts.push_back(read_text(item, recording.num_top));
  return recording;
}

Recording read_golden_file(const std::filesystem::path& path) {
  return parse_golden_file(read_data_file(path), path.string());
}

std::string write_golden_file(const Recording& recording) {
  return fmt::format(
      "{{\"gossamer_golden\":{},\"model\":{},\"max_tokens\":{},\"top_logprobs\":{},\n\"answers\":{},"
      "\n\"texts\":{}}}\n",
      kVersion, json::serialize(recording.identity), recording.max_new_tokens, recording.num_top,
      lines_of(recording.answers), lines_of(recording.texts));
}

RecordingComparison compare_recordings(const Recording& expected, const Recording& found) {
  GOSSAMER_CHECK_EQ(expected.answers.size(), found.answers.size());
  GOSSAMER_CHECK_EQ(expected.texts.size(), found.texts.size());
  RecordingComparison comparison;
  for (std::size_t i = 0; i < expected.answers.size(); ++i)
    comparison.answers.push_back(compare(expected.answers[i], found.answers[i]));
  for (std::size_t i = 0; i < expected.texts.size(); ++i)
    comparison.texts.push_back(compare(expected.texts[i], found.texts[i]));
  return comparison;
}

}  // namespace gossamer
