#include "apps/verify/deployment.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "apps/subject/open_subject.h"
#include "apps/verify/check.h"
#include "base/error.h"
#include "http/http_client.h"
#include "http/sse_parser.h"

namespace gossamer::apps {
namespace {

constexpr std::size_t kShownBytes = 160;

json::value parse_or_null(std::string_view text) {
  boost::system::error_code error;
  json::value value = json::parse(text, error);
  return error ? json::value() : value;
}

std::string describe_answer(int status, const std::string& failure, const std::string& body) {
  if (status == 0) return "no answer: " + failure;
  return fmt::format("status {}: {}", status, shown(error_message(body)));
}

Reply to_reply(HttpResponse response) {
  Reply reply = {
      .status = response.status, .headers = std::move(response.headers), .body = std::move(response.body)};
  reply.json = parse_or_null(reply.body);
  return reply;
}

}  // namespace

std::string Reply::describe() const { return describe_answer(status, failure, body); }
std::string StreamReply::describe() const { return describe_answer(status, failure, first_body); }

const json::value* find(const json::value& value, std::string_view pointer) {
  boost::system::error_code error;
  return value.find_pointer(pointer, error);
}

std::optional<std::string> text_at(const json::value& value, std::string_view pointer) {
  const json::value* found = find(value, pointer);
  if (found == nullptr || !found->is_string()) return std::nullopt;
  return std::string(found->get_string());
}

std::optional<int64_t> integer_at(const json::value& value, std::string_view pointer) {
  const json::value* found = find(value, pointer);
  if (found == nullptr || !found->is_int64()) return std::nullopt;
  return found->get_int64();
}

std::optional<double> number_at(const json::value& value, std::string_view pointer) {
  const json::value* found = find(value, pointer);
  if (found == nullptr || !found->is_number()) return std::nullopt;
  return found->to_number<double>();
}

const json::array* array_at(const json::value& value, std::string_view pointer) {
  const json::value* found = find(value, pointer);
  return found == nullptr ? nullptr : found->if_array();
}

std::vector<int32_t> ids_at(const json::value& value, std::string_view pointer) {
  std::vector<int32_t> ids;
  if (const json::array* list = array_at(value, pointer)) {
    for (const json::value& id : *list) {
      if (id.is_int64()) ids.push_back(static_cast<int32_t>(id.get_int64()));
    }
  }
  return ids;
}

json::array conversation(std::string_view text) {
  json::array messages;
  messages.push_back(json::object{{"role", "user"}, {"content", text}});
  return messages;
}

std::string shown(std::string_view text) {
  std::string line(text.substr(0, kShownBytes));
  if (text.size() > kShownBytes) line += " ...";
  std::replace(line.begin(), line.end(), '\n', ' ');
  return line;
}

Deployment::Deployment(const DeploymentOptions& options) : options_(options) {
  EndpointOptions endpoint = options_.subject->endpoint;
  endpoint.url = options_.url;
  endpoint_ = std::make_unique<Endpoint>(endpoint);
  client_ = std::make_unique<HttpClient>(client_options(endpoint));
  find_model();
  find_features();
}

Deployment::~Deployment() = default;

double Deployment::seconds_left() const {
  return std::chrono::duration<double>(options_.end - std::chrono::steady_clock::now()).count();
}

// No question is waited for much longer than the whole run may take.
HttpCall Deployment::call(std::string_view path, std::string_view method, std::string body) const {
  constexpr double kGraceSeconds = 20.0;
  HttpCall call = endpoint_->call_to(path, method, std::move(body));
  const auto most =
      std::chrono::milliseconds(static_cast<int64_t>(1e3 * (std::max(0.0, seconds_left()) + kGraceSeconds)));
  call.timeout = call.timeout.count() > 0 ? std::min(call.timeout, most) : most;
  return call;
}

Reply Deployment::ask(HttpCall call) {
  Result<HttpResponse, HttpFailure> response = fetch(*client_, std::move(call));
  if (!response.ok()) return {.failure = response.error().message};
  return to_reply(std::move(response).value());
}

Reply Deployment::get(std::string_view path) { return ask(call(path, "GET", {})); }

Reply Deployment::post(std::string_view path, const json::object& body, const HttpHeaders& headers) {
  HttpCall question = call(path, "POST", json::serialize(body));
  question.headers.insert(question.headers.end(), headers.begin(), headers.end());
  return ask(std::move(question));
}

Reply Deployment::post_text(std::string_view path, std::string body) {
  return ask(call(path, "POST", std::move(body)));
}

std::vector<Reply> Deployment::post_all(std::string_view path, const std::vector<json::object>& bodies) {
  std::vector<HttpResponse> responses(bodies.size());
  std::vector<Reply> replies(bodies.size());
  for (std::size_t i = 0; i < bodies.size(); ++i) {
    client_->send(call(path, "POST", json::serialize(bodies[i])),
                  {.on_head = [&, i](const HttpResponse& head) { responses[i] = head; },
                   .on_body = [&, i](std::string_view bytes) { responses[i].body += bytes; },
                   .on_end =
                       [&, i](const std::optional<HttpFailure>& failure) {
                         replies[i] =
                             failure ? Reply{.failure = failure->message} : to_reply(std::move(responses[i]));
                       }});
  }
  client_->run();
  return replies;
}

StreamReply Deployment::stream(std::string_view path, json::object body) {
  body["stream"] = true;
  StreamReply reply;
  SseParser parser;
  const auto on_event = [&reply](const SseEvent& event) {
    reply.is_done = event.data == "[DONE]";
    if (!reply.is_done) reply.events.push_back(parse_or_null(event.data));
  };
  client_->send(call(path, "POST", json::serialize(body)),
                {.on_head = [&](const HttpResponse& head) { reply.status = head.status; },
                 .on_body =
                     [&](std::string_view bytes) {
                       if (reply.status != 200) reply.first_body += bytes;
                       parser.push(bytes, on_event);
                     },
                 .on_end =
                     [&](const std::optional<HttpFailure>& failure) {
                       if (!failure) return;
                       reply.status = 0;
                       reply.failure = failure->message;
                     }});
  client_->run();
  return reply;
}

bool Deployment::begin_and_leave(std::string_view path, json::object body) {
  body["stream"] = true;
  bool has_begun = false;
  SseParser parser;
  HttpClient::CallId id = 0;
  id = client_->send(call(path, "POST", json::serialize(body)), {.on_body = [&](std::string_view bytes) {
                       parser.push(bytes, [&](const SseEvent& /*event*/) { has_begun = true; });
                       if (has_begun) client_->cancel(id);
                     }});
  client_->run();
  return has_begun;
}

std::vector<int32_t> Deployment::encode(std::string_view text) {
  json::object body = request();
  body["prompt"] = text;
  const Reply reply = post("/tokenize", body);
  if (reply.is_missing()) skip("the endpoint has no /tokenize");
  expect(reply.ok() && array_at(reply.json, "/tokens") != nullptr,
         "/tokenize: expected the tokens of {}, found {}", shown(text), reply.describe());
  return ids_at(reply.json, "/tokens");
}

std::string Deployment::decode(const std::vector<int32_t>& ids) {
  json::object body = request();
  body["tokens"] = json::array(ids.begin(), ids.end());
  const Reply reply = post("/detokenize", body);
  if (reply.is_missing()) skip("the endpoint has no /detokenize");
  const std::optional<std::string> text = text_at(reply.json, "/prompt");
  expect(reply.ok() && text.has_value(), "/detokenize: expected the text of {} tokens, found {}", ids.size(),
         reply.describe());
  return *text;
}

Subject& Deployment::subject() {
  if (!subject_) {
    SubjectOptions options = *options_.subject;
    options.model.model = options_.url;
    options.endpoint.model = model_;
    subject_ = open_subject(options);
  }
  return *subject_;
}

void Deployment::find_model() {
  const Result<std::vector<EndpointModel>, std::string> models = endpoint_->models(*client_);
  if (!models.ok()) throw Error("{}", models.error());
  const std::string& wanted = options_.subject->endpoint.model;
  const auto has_name = [&](const EndpointModel& model) { return wanted.empty() || model.id == wanted; };
  const auto found = std::find_if(models.value().begin(), models.value().end(), has_name);
  if (found == models.value().end())
    throw Error("--model-name {}: {} does not list it; the first that it has is {}", wanted, endpoint_->url(),
                models.value().front().id);
  model_ = found->id;
  max_model_len_ = found->max_model_len;
  is_ours_ = text_at(get("/v1/models").json, "/data/0/owned_by") == "gossamer";
}

// What GPT-OSS's tokenizer makes of a conversation shows whether it is written as Harmony.
void Deployment::find_features() {
  json::object tokens = request();
  tokens["prompt"] = "a";
  has_tokenize_ = post("/tokenize", tokens).ok();
  json::object chat = request();
  chat["messages"] = conversation("Hello");
  chat["max_tokens"] = 1;
  const Reply reply = post("/v1/chat/completions", chat);
  has_chat_ = reply.ok();
  if (!has_chat_ || !has_tokenize_) return;
  chat.erase("max_tokens");
  const std::vector<int32_t> ids = ids_at(post("/tokenize", chat).json, "/tokens");
  tokens["prompt"] = "<|start|>";
  const std::vector<int32_t> start = ids_at(post("/tokenize", tokens).json, "/tokens");
  is_harmony_ = start.size() == 1 && std::find(ids.begin(), ids.end(), start.front()) != ids.end();
}

}  // namespace gossamer::apps
