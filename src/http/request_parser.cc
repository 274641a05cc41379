#include "http/request_parser.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/asio/buffer.hpp>
#include <boost/beast/http/basic_parser.hpp>
#include <boost/beast/http/error.hpp>
#include <cstdint>
#include <utility>

namespace gossamer {
namespace {

namespace beast = boost::beast;
using ErrorCode = beast::error_code;
using Text = beast::string_view;

// A body's memory is taken as it arrives: who only announces 32 MiB gets this much.
constexpr std::size_t kMostReserved = std::size_t{256} << 10;

bool equals_in_any_case(Text a, Text b) { return beast::iequals(a, b); }

std::string to_text(Text text) { return std::string(text.data(), text.size()); }

}  // namespace

class RequestParser::Impl final : private beast::http::basic_parser<true> {
 public:
  Impl(std::size_t max_header_bytes, std::size_t max_body_bytes)
      : max_header_bytes_(max_header_bytes), max_body_bytes_(max_body_bytes) {
    header_limit(static_cast<std::uint32_t>(std::min<std::size_t>(max_header_bytes, UINT32_MAX)));
    body_limit(max_body_bytes);
  }

  std::size_t feed(std::string_view bytes) {
    std::size_t taken = 0;
    ErrorCode error;
    if (!head_done_) {
      taken = put({bytes.data(), bytes.size()}, error);
      head_bytes_ += taken;
      const std::size_t unfinished = head_done_ ? 0 : bytes.size() - taken;
      if (head_bytes_ + unfinished > max_header_bytes_ && (!error || error == beast::http::error::need_more))
        error = beast::http::error::header_limit;
    }
    if (head_done_ && !error && !is_done() && taken < bytes.size()) {
      eager(true);
      taken += put({bytes.data() + taken, bytes.size() - taken}, error);
      if (error == beast::http::error::need_more && bytes.size() - taken > max_header_bytes_)
        fault_ = HttpFault{
            400, "this is not a valid HTTP/1.1 request: a chunk's size line or trailer without end"};
    }
    if (!fault_ && error && error != beast::http::error::need_more) fault_ = fault_of(error);
    return taken;
  }

  bool done() const { return !fault_ && is_done(); }
  bool keeps_alive() const { return is_header_done() && keep_alive(); }
  bool wants_continue() const {
    return expects_continue_ && head_done_ && !is_done() && request.body.empty();
  }

  HttpRequest request;
  std::optional<HttpFault> fault_;
  int version_ = 11;

 private:
  void on_request_impl(beast::http::verb, Text method, Text target, int version, ErrorCode&) override {
    request.method = to_text(method);
    version_ = version;
    // "http://host/path", as proxies are asked, means the path.
    const std::size_t scheme = target.find("://");
    if (scheme != Text::npos && target.front() != '/') {
      const std::size_t path = target.find('/', scheme + 3);
      target = path == Text::npos ? Text("/") : target.substr(path);
    }
    const std::size_t question = target.find('?');
    request.path = to_text(target.substr(0, question));
    if (question != Text::npos) request.query = to_text(target.substr(question + 1));
  }

  void on_field_impl(beast::http::field, Text name, Text value, ErrorCode& error) override {
    if (head_done_) return;  // a trailer: nobody here has a use for one
    if (equals_in_any_case(name, "host")) ++num_hosts_;
    if (equals_in_any_case(name, "expect")) {
      if (equals_in_any_case(value, "100-continue")) {
        expects_continue_ = version_ >= 11;
      } else {
        refuse(417, fmt::format("Expect: {} is not supported, only 100-continue", to_text(value)), error);
      }
    }
    // Everything else would be a body whose end this server and a proxy before it might see differently.
    if (equals_in_any_case(name, "transfer-encoding") &&
        (!equals_in_any_case(value, "chunked") || version_ < 11))
      refuse(400,
             fmt::format("Transfer-Encoding: {} is not supported, only chunked in HTTP/1.1", to_text(value)),
             error);
    request.headers.emplace_back(to_text(name), to_text(value));
  }

  void on_header_impl(ErrorCode& error) override {
    head_done_ = true;
    if (version_ >= 11 && num_hosts_ == 0) refuse(400, "an HTTP/1.1 request needs a Host header", error);
    if (num_hosts_ > 1) refuse(400, "a request has one Host header, not several", error);
  }

  void on_body_init_impl(const boost::optional<std::uint64_t>& length, ErrorCode&) override {
    if (length)
      request.body.reserve(static_cast<std::size_t>(std::min<std::uint64_t>(*length, kMostReserved)));
  }
  std::size_t on_body_impl(Text body, ErrorCode&) override { return take(body); }
  void on_chunk_header_impl(std::uint64_t, Text, ErrorCode&) override {}
  std::size_t on_chunk_body_impl(std::uint64_t, Text body, ErrorCode&) override { return take(body); }
  void on_finish_impl(ErrorCode&) override {}
  void on_response_impl(int, Text, int, ErrorCode&) override {}

  std::size_t take(Text body) {
    request.body.append(body.data(), body.size());
    return body.size();
  }
  HttpFault fault_of(const ErrorCode& error) const {
    if (error == beast::http::error::header_limit)
      return {431, fmt::format("the request's head is longer than the {} bytes that this server takes",
                               max_header_bytes_)};
    if (error == beast::http::error::body_limit)
      return {413, fmt::format("the request's body is longer than the {} bytes that this server takes",
                               max_body_bytes_)};
    return {400, fmt::format("this is not a valid HTTP/1.1 request: {}", error.message())};
  }
  // Says more than Beast's error does.
  void refuse(int status, std::string message, ErrorCode& error) {
    fault_ = HttpFault{status, std::move(message)};
    error = beast::http::error::bad_value;
  }

  const std::size_t max_header_bytes_;
  const std::size_t max_body_bytes_;
  std::size_t head_bytes_ = 0;
  int num_hosts_ = 0;
  bool head_done_ = false;
  bool expects_continue_ = false;
};

RequestParser::RequestParser(std::size_t max_header_bytes, std::size_t max_body_bytes)
    : impl_(std::make_unique<Impl>(max_header_bytes, max_body_bytes)) {}
RequestParser::~RequestParser() = default;

std::size_t RequestParser::feed(std::string_view bytes) { return impl_->feed(bytes); }
bool RequestParser::done() const { return impl_->done(); }
const std::optional<HttpFault>& RequestParser::fault() const { return impl_->fault_; }
bool RequestParser::is_head_method() const { return impl_->request.method == "HEAD"; }
bool RequestParser::is_http_1_0() const { return impl_->version_ < 11; }
bool RequestParser::keep_alive() const { return impl_->keeps_alive(); }
bool RequestParser::wants_continue() const { return impl_->wants_continue(); }
HttpRequest& RequestParser::request() { return impl_->request; }

}  // namespace gossamer
