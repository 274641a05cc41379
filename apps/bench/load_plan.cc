#include "apps/bench/load_plan.h"

#include <fmt/format.h>

#include <algorithm>
#include <sstream>
#include <utility>

#include "apps/text_files.h"
#include "base/error.h"

namespace gossamer::apps {
namespace {

// Short and frequent: one token each, behind a blank, in the vocabularies of most models.
constexpr const char* kWords =
    "time year people way day man thing woman life child world school state family student group country "
    "problem hand part place case week company system program question work government number night point "
    "home water room mother area money story fact month lot right study book eye job word business issue "
    "side kind head house service friend father power hour game line end member law car city name team "
    "minute idea body back parent face others level office door health person art war history party "
    "result change morning reason research girl guy moment air teacher force education food green light "
    "small large young early late public free able open strong clear short long white black river road "
    "table paper music market letter window summer winter garden stone forest island bridge village";

// A word's tokens are told from so many copies, so that a special token at the beginning does not count.
constexpr int64_t kCopies = 8;

std::optional<int64_t> count_in(const Result<HttpResponse, HttpFailure>& response) {
  if (!response.ok() || response.value().status != 200) return std::nullopt;
  boost::system::error_code error;
  const json::value value = json::parse(response.value().body, error);
  if (error || !value.is_object()) return std::nullopt;
  if (const json::value* count = value.get_object().if_contains("count"); count && count->is_int64())
    return count->get_int64();
  if (const json::value* tokens = value.get_object().if_contains("tokens"); tokens && tokens->is_array())
    return static_cast<int64_t>(tokens->get_array().size());
  return std::nullopt;
}

}  // namespace

LoadPlan::LoadPlan(const LoadOptions& options, HttpClient& client)
    : options_(options),
      endpoint_(options.endpoint == "chat" ? LoadEndpoint::kChat : LoadEndpoint::kCompletions),
      server_(options.server) {
  if (!options.extra_body.empty()) {
    const json::value extra = parse_json(options.extra_body, "--extra-body");
    if (!extra.is_object())
      throw Error("--extra-body: expected a JSON object, found {}", json::serialize(extra));
    extra_ = extra.get_object();
  }
  if (!options.prompts.empty()) read_prompts(options.prompts);
  find_model(client);
  if (prompts_.empty()) count_words(client);
}

std::string LoadPlan::path() const {
  return endpoint_ == LoadEndpoint::kChat ? "/v1/chat/completions" : "/v1/completions";
}

std::string LoadPlan::endpoint_url() const { return server_.url() + path(); }

HttpCall LoadPlan::post(std::string body) const { return server_.call_to(path(), "POST", std::move(body)); }

void LoadPlan::find_model(HttpClient& client) {
  model_ = options_.server.model;
  if (!model_.empty()) return;
  const Result<std::vector<EndpointModel>, std::string> models = server_.models(client);
  if (!models.ok()) throw Error("{}; --model names one without asking", models.error());
  model_ = models.value().front().id;
}

// JSON lines, or a JSON array in ShareGPT's form.
void LoadPlan::read_prompts(const std::string& path) {
  const std::string text = read_text_file("--prompts", path);
  const std::size_t first = text.find_first_not_of(" \t\r\n");
  if (first != std::string::npos && text[first] == '[') {
    const json::value list = parse_json(text, path);
    read_conversations(path, list.as_array());
  } else {
    std::istringstream lines(text);
    std::string line;
    for (int number = 1; std::getline(lines, line); ++number) {
      if (line.find_first_not_of(" \t\r") == std::string::npos) continue;
      const std::string where = fmt::format("{}:{}", path, number);
      read_line(where, parse_json(line, where));
    }
  }
  if (prompts_.empty()) {
    throw Error(
        "--prompts {}: expected lines of {{\"prompt\"}} or {{\"messages\"}}, or ShareGPT's list of "
        "conversations, found none",
        path);
  }
  num_prompts_ = prompts_.size();
  if (options_.num_prompts > 0)
    num_prompts_ = std::min(num_prompts_, static_cast<std::size_t>(options_.num_prompts));
  about_ = fmt::format("{} prompts of {}", num_prompts_, path);
}

void LoadPlan::read_line(const std::string& where, const json::value& line) {
  const json::object* fields = line.if_object();
  const json::value* prompt = fields != nullptr ? fields->if_contains("prompt") : nullptr;
  const json::value* messages = fields != nullptr ? fields->if_contains("messages") : nullptr;
  if (prompt != nullptr && prompt->is_string()) {
    prompts_.push_back(*prompt);
  } else if (messages != nullptr && messages->is_array() && endpoint_ == LoadEndpoint::kChat) {
    prompts_.push_back(*messages);
  } else {
    throw Error(
        "{}: expected {{\"prompt\": \"...\"}}{}, found {}", where,
        endpoint_ == LoadEndpoint::kChat ? " or {\"messages\": [...]}" : ", since --endpoint is completions",
        json::serialize(line).substr(0, 200));
  }
}

// [{"conversations": [{"from": "human", "value": ...}, ...]}, ...]: what the user says first. Conversations
// that begin otherwise are left out, as is usual with this data set.
void LoadPlan::read_conversations(const std::string& path, const json::array& conversations) {
  for (std::size_t i = 0; i < conversations.size(); ++i) {
    const json::object* entry = conversations[i].if_object();
    const json::value* turns = entry != nullptr ? entry->if_contains("conversations") : nullptr;
    if (turns == nullptr || !turns->is_array()) {
      throw Error("{}: entry {}: expected {{\"conversations\": [...]}}, found {}", path, i,
                  json::serialize(conversations[i]).substr(0, 200));
    }
    if (turns->get_array().empty()) continue;
    const json::object* turn = turns->get_array()[0].if_object();
    const json::value* from = turn != nullptr ? turn->if_contains("from") : nullptr;
    const json::value* value = turn != nullptr ? turn->if_contains("value") : nullptr;
    if (from == nullptr || value == nullptr || !value->is_string()) continue;
    if (*from == "human" || *from == "user") prompts_.push_back(*value);
  }
}

void LoadPlan::count_words(HttpClient& client) {
  std::istringstream words(kWords);
  for (std::string word; words >> word;) words_.push_back({.text = " " + word});
  if (options_.num_prompts > 0) {
    num_prompts_ = static_cast<std::size_t>(options_.num_prompts);
  } else {
    num_prompts_ = options_.check_repeat ? 16 : std::size_t{1} << 30;  // never the same twice
  }
  std::size_t next = 0;
  bool is_counted = true;
  const std::size_t total = words_.size();
  std::size_t answered = 0;
  std::function<void()> ask = [&] {
    if (next == total || !is_counted) return;
    Word& word = words_[next++];
    std::string text;
    for (int64_t i = 0; i < kCopies; ++i) text += word.text;
    auto response = std::make_shared<HttpResponse>();
    client.send(server_.call_to("/tokenize", "POST",
                                json::serialize(json::object{{"model", model_}, {"prompt", text}})),
                {.on_head = [response](const HttpResponse& head) { *response = head; },
                 .on_body = [response](std::string_view bytes) { response->body += bytes; },
                 .on_end =
                     [&, response](const std::optional<HttpFailure>& failure) {
                       const auto count = failure ? std::nullopt : count_in(*response);
                       if (count && *count >= kCopies) {
                         word.tokens = *count / kCopies;
                         ++answered;
                       } else {
                         is_counted = false;
                       }
                       ask();
                     }});
  };
  ask();
  client.run();  // one first: most servers without /tokenize are asked no more
  for (int i = 0; i < 8; ++i) ask();
  client.run();
  if (answered < total) {
    for (Word& word : words_) word.tokens = 1;
    about_ =
        fmt::format("random words, about {} tokens (this server has no /tokenize: a word is taken for one)",
                    options_.input_tokens);
  } else {
    about_ =
        fmt::format("random words, {} tokens as the server's /tokenize counts them", options_.input_tokens);
  }
}

std::string LoadPlan::random_words(std::size_t prompt) const {
  std::mt19937_64 random(options_.seed * 0x9E3779B97F4A7C15U + prompt);
  std::string text;
  int64_t left = options_.input_tokens;
  std::vector<const Word*> fitting;
  for (const Word& word : words_) fitting.push_back(&word);
  while (left > 0) {
    std::erase_if(fitting, [&](const Word* word) { return word->tokens > left; });
    if (fitting.empty()) break;  // every word has more tokens than are missing
    const Word& word = *fitting[random() % fitting.size()];
    text += word.text;
    left -= word.tokens;
  }
  return text;
}

json::object LoadPlan::prompt_fields(std::size_t prompt) const {
  const json::value content = prompts_.empty() ? json::value(random_words(prompt)) : prompts_[prompt];
  if (endpoint_ == LoadEndpoint::kCompletions) return {{"prompt", content}};
  if (content.is_array()) return {{"messages", content}};
  return {{"messages", json::array{json::object{{"role", "user"}, {"content", content}}}}};
}

LoadPlan::Item LoadPlan::next() {
  const std::size_t prompt = next_++ % num_prompts_;
  json::object body = {{"model", model_}};
  for (auto& [key, value] : prompt_fields(prompt)) body[key] = std::move(value);
  body["max_tokens"] = options_.max_tokens;
  body["stream"] = true;
  body["stream_options"] = json::object{{"include_usage", true}};
  if (options_.temperature || options_.check_repeat) body["temperature"] = options_.temperature.value_or(0.0);
  if (options_.ignore_eos) body["ignore_eos"] = true;
  for (const auto& [key, value] : extra_) body[key] = value;
  return {.prompt = prompt, .call = post(json::serialize(body))};
}

}  // namespace gossamer::apps
