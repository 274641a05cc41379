#include "apps/endpoint.h"

#include <fmt/format.h>

#include <chrono>
#include <utility>

#include "apps/text_files.h"

namespace gossamer::apps {
namespace {

constexpr std::size_t kShownBytes = 300;

// "http://h:1/x/v1/chat/completions" is what "http://h:1/x" means.
std::string without_endpoint(std::string target) {
  for (const std::string_view end : {"/", "/completions", "/chat", "/v1", "/"}) {
    if (target.ends_with(end)) target.resize(target.size() - end.size());
  }
  return target;
}

std::string read_key(const EndpointOptions& options) {
  if (options.api_key_file.empty()) return options.api_key;
  std::string key = read_text_file("--api-key-file", options.api_key_file);
  while (key.ends_with('\n') || key.ends_with('\r')) key.pop_back();
  return key;
}

// The text at a key; empty where there is none.
std::string text_at(const json::object& object, std::string_view key) {
  const json::value* value = object.if_contains(key);
  return value != nullptr && value->is_string() ? std::string(value->get_string()) : std::string();
}

EndpointModel read_model(const json::object& entry) {
  EndpointModel model = {.id = text_at(entry, "id"), .root = text_at(entry, "root")};
  if (const json::value* length = entry.if_contains("max_model_len"); length && length->is_int64())
    model.max_model_len = length->get_int64();
  return model;
}

}  // namespace

void add_endpoint_options(CLI::App& command, EndpointOptions& options, const std::string& group) {
  command.add_option("--api-key", options.api_key, "Sent as a bearer token")
      ->envname("OPENAI_API_KEY")
      ->group(group);
  command
      .add_option("--api-key-file", options.api_key_file,
                  "The same, from a file of one line; instead of --api-key")
      ->group(group);
  command.add_flag("--insecure", options.insecure, "Take any certificate")->group(group);
  command
      .add_option("--ca-file", options.authority_file,
                  "Certificates (PEM) to trust besides what the system trusts")
      ->group(group);
  command.add_option("--timeout", options.timeout_seconds, "Seconds until a request is given up")
      ->check(CLI::Range(0.001, 1e6))
      ->capture_default_str()
      ->group(group);
}

HttpClientOptions client_options(const EndpointOptions& options) {
  return {.verify_certificates = !options.insecure, .authority_file = options.authority_file};
}

Endpoint::Endpoint(const EndpointOptions& options)
    : api_key_(read_key(options)), timeout_seconds_(options.timeout_seconds) {
  Result<HttpUrl, std::string> url = HttpUrl::parse(options.url);
  if (!url.ok()) throw Error("{}: {}", options.url, url.error());
  url_ = std::move(url).value();
  url_.target = without_endpoint(url_.target);
  if (api_key_.find_first_of("\r\n") != std::string::npos)
    throw Error("--api-key, --api-key-file: expected one line, found several");
}

HttpCall Endpoint::call_to(std::string_view path, std::string_view method, std::string body) const {
  HttpCall call = {.method = std::string(method), .url = url_, .body = std::move(body)};
  call.url.target += path;
  if (!api_key_.empty()) call.headers.emplace_back("Authorization", "Bearer " + api_key_);
  call.timeout = std::chrono::milliseconds(static_cast<int64_t>(timeout_seconds_ * 1e3));
  return call;
}

Result<std::vector<EndpointModel>, std::string> Endpoint::models(HttpClient& client) const {
  const Result<HttpResponse, HttpFailure> response = fetch(client, call_to("/v1/models", "GET"));
  if (!response.ok()) return response.error().message + " (is the server running?)";
  const std::string& body = response.value().body;
  if (response.value().status != 200) {
    return fmt::format("{}/v1/models: expected the list of models, found {} {}", url(),
                       response.value().status, error_message(body));
  }
  const auto wrong = [&] {
    return fmt::format("{}/v1/models: expected {{\"data\": [{{\"id\": ...}}]}}, found {}", url(),
                       body.substr(0, kShownBytes));
  };
  boost::system::error_code error;
  const json::value list = json::parse(body, error);
  const json::value* data = !error && list.is_object() ? list.get_object().if_contains("data") : nullptr;
  if (data == nullptr || !data->is_array() || data->get_array().empty()) return wrong();
  std::vector<EndpointModel> models;
  for (const json::value& entry : data->get_array()) {
    if (entry.is_object()) models.push_back(read_model(entry.get_object()));
    if (!entry.is_object() || models.back().id.empty()) return wrong();
  }
  return models;
}

std::string error_message(const std::string& body) {
  boost::system::error_code error;
  const json::value value = json::parse(body, error);
  if (!error && value.is_object()) {
    const json::value* failed = value.get_object().if_contains("error");
    if (failed != nullptr && failed->is_object()) {
      if (std::string text = text_at(failed->get_object(), "message"); !text.empty()) return text;
    }
    if (failed != nullptr && failed->is_string()) return std::string(failed->get_string());
    if (std::string text = text_at(value.get_object(), "message"); !text.empty()) return text;
  }
  return body.size() <= kShownBytes ? body : body.substr(0, kShownBytes) + " ...";
}

}  // namespace gossamer::apps
