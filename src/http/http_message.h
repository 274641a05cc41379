// What travels over HTTP, without the transport: the request that a handler gets, the response that it gives.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace gossamer {

using HttpHeaders = std::vector<std::pair<std::string, std::string>>;

struct HttpRequest {
  std::string method;  // "GET"
  std::string path;    // as sent, without the query: a %2F is still one
  std::string query;   // behind the "?", or empty
  HttpHeaders headers;
  std::string body;
  std::string client;  // "127.0.0.1:51000"

  // The first header of that name, in any case; nothing where there is none.
  std::optional<std::string_view> header(std::string_view name) const;
};

struct HttpResponse {
  int status = 200;
  std::string content_type = "application/json";
  HttpHeaders headers = {};
  std::string body = {};
};

// "a%2Fb" to "a/b"; nothing where an escape is broken.
std::optional<std::string> percent_decode(std::string_view text);

}  // namespace gossamer
