// Endpoint: an OpenAI-compatible server as clients of it see it: how it is addressed, with which key, and
// what it says it serves. For `gossamer bench serve` and, behind a URL, for eval and verify.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "base/json.h"
#include "http/http_client.h"

namespace CLI {
class App;
}  // namespace CLI

namespace gossamer::apps {

struct EndpointOptions {
  std::string url = "http://127.0.0.1:8000";  // with or without /v1, or the whole path of an endpoint
  std::string model;                          // its name there
  std::string api_key;
  std::string api_key_file;
  bool insecure = false;
  std::string authority_file;
  double timeout_seconds = 600.0;
};

// All but the URL and the model's name. `group`: of the help.
void add_endpoint_options(CLI::App& command, EndpointOptions& options, const std::string& group = "OPTIONS");

HttpClientOptions client_options(const EndpointOptions& options);

// One of those that /v1/models lists.
struct EndpointModel {
  std::string id;
  std::string root;           // the model itself, of which this may be one name of several; empty: not told
  int64_t max_model_len = 0;  // 0: not told
};

class Endpoint {
 public:
  // Throws Error for a URL that is none, and for a key that no header can carry.
  explicit Endpoint(const EndpointOptions& options);

  // "http://host:8000/x", without /v1.
  std::string url() const { return url_.origin() + url_.target; }

  // What /v1/models lists, at least one; or why that is not known.
  Result<std::vector<EndpointModel>, std::string> models(HttpClient& client) const;

  // A call to `path` ("/v1/models"), with the key and the timeout.
  HttpCall call_to(std::string_view path, std::string_view method, std::string body = {}) const;

 private:
  HttpUrl url_;  // its target: the folder that holds v1/, without a slash at its end
  std::string api_key_;
  double timeout_seconds_;
};

// What a server said in the body of an error: the message of OpenAI's form, or the beginning of what came.
std::string error_message(const std::string& body);

}  // namespace gossamer::apps
