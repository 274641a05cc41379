// The head of a response as bytes, and which pages of other origins may read it (CORS). Called by
// connection.cc.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "http/http_message.h"

namespace gossamer {

// How the client sees where the body ends.
enum class BodyFraming {
  kLength,      // Content-Length
  kChunked,     // Transfer-Encoding: chunked
  kUntilClose,  // HTTP/1.0: with the connection
  kNone,        // there is none whatever the method: 204, 304
};

struct ResponseFraming {
  BodyFraming body = BodyFraming::kLength;
  std::size_t length = 0;
  bool close = false;           // "Connection: close"
  bool say_keep_alive = false;  // an HTTP/1.0 client must be told
};

// "HTTP/1.1 200 OK\r\n...\r\n\r\n". `extra_headers` are whole lines, each with its end.
std::string response_head(const HttpResponse& response, const ResponseFraming& framing,
                          std::string_view extra_headers);

bool status_has_body(int status);

class CorsPolicy {
 public:
  explicit CorsPolicy(std::vector<std::string> origins);

  // The lines that a response to a request from `origin` carries; empty where there is no list.
  std::string response_lines(std::optional<std::string_view> origin) const;

  // The answer to a preflight, or nothing when the request is not one or there is no list.
  std::optional<HttpResponse> preflight(const HttpRequest& request) const;

 private:
  bool allows(std::string_view origin) const;

  std::vector<std::string> origins_;
  bool all_ = false;
};

}  // namespace gossamer
