// gossamer verify, text: what was sampled arrives whole, and tokens are what the text says.
#include <array>
#include <string>

#include "apps/verify/check.h"
#include "apps/verify/deployment.h"

namespace gossamer::apps {
namespace {

constexpr std::array<const char*, 6> kTexts = {
    "The capital of France is Paris.",
    "  two leading spaces,  two inside, one behind ",
    "Z\u00fcrich, na\u00efve, \u6771\u4eac, \u03a9, \u0416 and \U0001F986\U0001F986",
    "e\u0301 and \u200d and \ufeff and \u00a0.",
    "lines\n\n\tand tabs\r\n",
    "for (int i = 0; i < 1'000'000; ++i) x[i] <<= 3;  // {\"a\": [1, 2.5e-3]}",
};
constexpr std::array<const char*, 4> kPrompts = {"The capital of France is", "Once upon a time",
                                                 "1, 2, 3, 4, 5, 6,", "Z\u00fcrich \u6771\u4eac \U0001F986"};
constexpr int64_t kNewTokens = 24;

CheckResult tokens_round_trip(Deployment& deployment) {
  std::size_t num_tokens = 0;
  for (const char* text : kTexts) {
    const std::vector<int32_t> ids = deployment.encode(text);
    const std::string back = deployment.decode(ids);
    expect(back == text, "expected detokenize(tokenize(x)) == x for {}, found {}", shown(text), shown(back));
    num_tokens += ids.size();
  }
  return {.reason = fmt::format("{} texts, {} tokens", kTexts.size(), num_tokens)};
}

json::object completion(const Deployment& deployment, std::string_view prompt) {
  json::object body = deployment.request();
  body["prompt"] = prompt;
  body["max_tokens"] = kNewTokens;
  body["temperature"] = 0;
  return body;
}

// The names of tokens put together; nothing where some are no text of their own (half a character).
std::optional<std::string> joined(const json::array& tokens) {
  std::string text;
  for (const json::value& token : tokens) {
    const json::string* name = token.if_string();
    if (name == nullptr || name->starts_with("bytes:") || name->find("\ufffd") != json::string::npos)
      return std::nullopt;
    text += std::string(*name);
  }
  return text;
}

// Whether the names of a text's tokens are that text; behind it may stand the token that ended it.
bool is_whole(const std::string& text, const std::string& tokens, bool was_cut) {
  return was_cut ? tokens == text : tokens.starts_with(text);
}

CheckResult text_is_whole(Deployment& deployment) {
  int64_t num_tokens = 0;
  bool has_names = false;
  for (const char* prompt : kPrompts) {
    json::object body = completion(deployment, prompt);
    body["logprobs"] = 1;
    if (deployment.is_ours()) {
      body["return_token_ids"] = true;
      body["skip_special_tokens"] = false;
    }
    const Reply reply = deployment.post("/v1/completions", body);
    if (reply.is_missing()) skip("the endpoint has no /v1/completions");
    expect(reply.ok(), "/v1/completions: expected an answer to {}, found {}", shown(prompt),
           reply.describe());
    const auto text = text_at(reply.json, "/choices/0/text");
    const auto finish = text_at(reply.json, "/choices/0/finish_reason");
    const auto count = integer_at(reply.json, "/usage/completion_tokens");
    expect(text && finish && count, "{}: expected text, finish_reason and usage, found {}", shown(prompt),
           shown(reply.body));
    const bool was_cut = *finish == "length";
    expect(was_cut ? *count == kNewTokens : *count <= kNewTokens,
           "{}: expected {} tokens by max_tokens, found {} ({})", shown(prompt), kNewTokens, *count, *finish);
    if (const json::array* names = array_at(reply.json, "/choices/0/logprobs/tokens")) {
      has_names = true;
      const auto num_names = static_cast<int64_t>(names->size());
      // Whether the token that ended it is named is a matter of taste.
      expect(num_names == *count || (!was_cut && num_names + 1 == *count),
             "{}: usage counts {} tokens, the log-probabilities name {}", shown(prompt), *count, num_names);
      const std::optional<std::string> all = joined(*names);
      expect(!all || is_whole(*text, *all, was_cut), "{}: its tokens say {}, its text {}", shown(prompt),
             shown(*all), shown(*text));
    }
    std::vector<int32_t> ids = ids_at(reply.json, "/choices/0/token_ids");
    if (!ids.empty()) {
      expect(static_cast<int64_t>(ids.size()) == *count, "{}: usage counts {} tokens, token_ids has {}",
             shown(prompt), *count, ids.size());
      if (!was_cut) ids.pop_back();
      const std::string all = deployment.decode(ids);
      expect(all == *text, "{}: expected the text of its token_ids, {}, found {}", shown(prompt), shown(all),
             shown(*text));
    }
    num_tokens += *count;
  }
  return {.reason = fmt::format("{} answers, {} tokens{}", kPrompts.size(), num_tokens,
                                has_names ? "" : "; no log-probabilities, so only counted")};
}

CheckResult stream_is_the_answer(Deployment& deployment) {
  for (const char* prompt : kPrompts) {
    const json::object body = completion(deployment, prompt);
    const Reply whole = deployment.post("/v1/completions", body);
    if (whole.is_missing()) skip("the endpoint has no /v1/completions");
    expect(whole.ok(), "/v1/completions: expected an answer, found {}", whole.describe());
    const StreamReply stream = deployment.stream("/v1/completions", body);
    expect(stream.status == 200 && !stream.events.empty(), "expected a stream, found {}", stream.describe());
    expect(stream.is_done, "expected [DONE] at the end of a stream, found {} events without it",
           stream.events.size());
    std::string text;
    std::string finish;
    for (const json::value& event : stream.events) {
      text += text_at(event, "/choices/0/text").value_or("");
      finish = text_at(event, "/choices/0/finish_reason").value_or(finish);
    }
    const std::string expected = text_at(whole.json, "/choices/0/text").value_or("");
    expect(text == expected, "{}: expected the stream to be {}, found {}", shown(prompt), shown(expected),
           shown(text));
    expect(finish == text_at(whole.json, "/choices/0/finish_reason"),
           "{}: expected the stream's finish_reason to be the answer's, found {}", shown(prompt), finish);
  }
  return {.reason = fmt::format("{} answers, the same text and finish_reason", kPrompts.size())};
}

CheckResult echo_is_the_prompt(Deployment& deployment) {
  for (const char* prompt : kTexts) {
    json::object body = completion(deployment, prompt);
    body["echo"] = true;
    body["max_tokens"] = 2;
    const Reply reply = deployment.post("/v1/completions", body);
    if (!reply.ok()) skip("the endpoint does not echo: {}", reply.describe());
    const auto text = text_at(reply.json, "/choices/0/text");
    expect(text && text->starts_with(prompt), "expected an echo of {}, found {}", shown(prompt),
           shown(text.value_or(reply.body)));
    const auto count = integer_at(reply.json, "/usage/prompt_tokens");
    if (!deployment.has_tokenize() || !count) continue;
    const std::size_t expected = deployment.encode(prompt).size();
    expect(*count == static_cast<int64_t>(expected), "{}: /tokenize gives {} tokens, usage counts {}",
           shown(prompt), expected, *count);
  }
  return {.reason = fmt::format("{} prompts come back to the letter", kTexts.size())};
}

}  // namespace

std::vector<Check> text_theme() {
  return {{"text", "tokens survive a round trip", tokens_round_trip, 1.0},
          {"text", "an answer has the text of all its tokens", text_is_whole, 2.0},
          {"text", "a stream is the answer in pieces", stream_is_the_answer, 2.0},
          {"text", "an echo is the prompt", echo_is_the_prompt, 1.0}};
}

}  // namespace gossamer::apps
