// Bytes into HttpRequest, by Beast's parser. One for each request, dropped with it. Called by connection.cc.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "http/http_message.h"

namespace gossamer {

// What is wrong with a request, as the client is told.
struct HttpFault {
  int status = 400;
  std::string message;
};

class RequestParser {
 public:
  RequestParser(std::size_t max_header_bytes, std::size_t max_body_bytes);
  ~RequestParser();

  // Takes what it can and returns how many bytes that were; the rest comes again with more behind it. Not to
  // be called when done or after a fault.
  std::size_t feed(std::string_view bytes);

  bool done() const;
  const std::optional<HttpFault>& fault() const;

  // Known once the line or head has arrived.
  bool is_head_method() const;
  bool is_http_1_0() const;
  bool keep_alive() const;
  // The client waits for "100 Continue" and has sent nothing of the body.
  bool wants_continue() const;

  HttpRequest& request();

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace gossamer
