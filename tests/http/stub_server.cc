#include "tests/http/stub_server.h"

#include <fmt/format.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <cstdlib>
#include <utility>

#include "base/check.h"

namespace gossamer::test {

StubConnection::~StubConnection() { close(); }

bool StubConnection::read_more() {
  std::array<char, 65536> bytes;
  const ssize_t count = tls_ != nullptr ? SSL_read(tls_, bytes.data(), static_cast<int>(bytes.size()))
                                        : recv(fd_, bytes.data(), bytes.size(), 0);
  if (count <= 0) return false;
  in_.append(bytes.data(), static_cast<std::size_t>(count));
  return true;
}

std::optional<HttpRequest> StubConnection::read_request() {
  std::size_t end = 0;
  while ((end = in_.find("\r\n\r\n")) == std::string::npos) {
    if (!read_more()) return std::nullopt;
  }
  HttpRequest request;
  const std::string head = in_.substr(0, end + 2);
  in_.erase(0, end + 4);
  const std::string first = head.substr(0, head.find("\r\n"));
  const std::size_t path = first.find(' ');
  const std::size_t version = first.rfind(" HTTP/1.1");
  if (path == std::string::npos || version == std::string::npos || version <= path) return std::nullopt;
  request.method = first.substr(0, path);
  request.path = first.substr(path + 1, version - path - 1);
  if (const std::size_t query = request.path.find('?'); query != std::string::npos) {
    request.query = request.path.substr(query + 1);
    request.path.resize(query);
  }
  for (std::size_t at = first.size() + 2; at < head.size();) {
    const std::size_t line_end = head.find("\r\n", at);
    const std::string line = head.substr(at, line_end - at);
    const std::size_t colon = line.find(": ");
    if (colon == std::string::npos) return std::nullopt;
    request.headers.emplace_back(line.substr(0, colon), line.substr(colon + 2));
    at = line_end + 2;
  }
  const std::size_t length =
      std::strtoull(std::string(request.header("content-length").value_or("0")).c_str(), nullptr, 10);
  while (in_.size() < length) {
    if (!read_more()) return std::nullopt;
  }
  request.body = in_.substr(0, length);
  in_.erase(0, length);
  return request;
}

bool StubConnection::send(std::string_view bytes) {
  while (!bytes.empty() && fd_ >= 0) {
    const ssize_t count = tls_ != nullptr ? SSL_write(tls_, bytes.data(), static_cast<int>(bytes.size()))
                                          : ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (count <= 0) return false;
    bytes.remove_prefix(static_cast<std::size_t>(count));
  }
  return fd_ >= 0;
}

bool StubConnection::respond(int status, const std::string& body, const std::string& content_type,
                             const std::string& more_headers) {
  return send(fmt::format("HTTP/1.1 {} Stub\r\nContent-Type: {}\r\n{}Content-Length: {}\r\n\r\n{}", status,
                          content_type, more_headers, body.size(), body));
}

bool StubConnection::begin(const std::string& content_type) {
  return send(
      fmt::format("HTTP/1.1 200 OK\r\nContent-Type: {}\r\nTransfer-Encoding: chunked\r\n\r\n", content_type));
}

bool StubConnection::chunk(std::string_view bytes) {
  return send(fmt::format("{:x}\r\n{}\r\n", bytes.size(), bytes));
}

bool StubConnection::end() { return send("0\r\n\r\n"); }

void StubConnection::close() {
  if (fd_ < 0) return;
  if (tls_ != nullptr) {
    SSL_shutdown(tls_);
    SSL_free(std::exchange(tls_, nullptr));
  }
  ::shutdown(fd_, SHUT_RDWR);  // the server closes it
  fd_ = -1;
}

void StubConnection::reset() {
  const linger at_once{.l_onoff = 1, .l_linger = 0};
  setsockopt(fd_, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
  // A shutdown would end it in order: only the server's close() comes now.
  if (tls_ != nullptr) SSL_free(std::exchange(tls_, nullptr));
  fd_ = -1;
}

bool StubConnection::wait_for_end(int milliseconds) {
  pollfd waiting{.fd = fd_, .events = POLLIN, .revents = 0};
  while (poll(&waiting, 1, milliseconds) > 0) {
    if (!read_more()) return true;
  }
  return false;
}

StubServer::StubServer(Handler handler, bool tls) : handler_(std::move(handler)) {
  if (tls) make_certificate();
  listener_ = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  GOSSAMER_CHECK_GE(listener_, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t length = sizeof address;
  GOSSAMER_CHECK_EQ(bind(listener_, reinterpret_cast<sockaddr*>(&address), length), 0);
  GOSSAMER_CHECK_EQ(listen(listener_, 4096), 0);
  GOSSAMER_CHECK_EQ(getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &length), 0);
  port_ = ntohs(address.sin_port);
  acceptor_ = std::thread([this] { accept_all(); });
}

StubServer::~StubServer() {
  ::shutdown(listener_, SHUT_RDWR);  // wakes accept()
  acceptor_.join();
  ::close(listener_);
  {
    const std::lock_guard lock(mutex_);
    for (const int fd : open_) ::shutdown(fd, SHUT_RDWR);
  }
  for (std::thread& thread : threads_) thread.join();
  SSL_CTX_free(tls_);
}

std::string StubServer::url() const {
  return tls_ != nullptr ? fmt::format("https://localhost:{}", port_)
                         : fmt::format("http://127.0.0.1:{}", port_);
}

void StubServer::accept_all() {
  for (;;) {
    const int fd = accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
    if (fd < 0) return;
    const int yes = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    ++num_connections_;
    const std::lock_guard lock(mutex_);
    open_.push_back(fd);
    threads_.emplace_back([this, fd] { serve(fd); });
  }
}

void StubServer::serve(int fd) {
  {
    ssl_st* tls = nullptr;
    if (tls_ != nullptr) {
      tls = SSL_new(tls_);
      SSL_set_fd(tls, fd);
    }
    StubConnection connection(fd, tls);
    bool is_open = tls == nullptr || SSL_accept(tls) == 1;
    while (is_open && !connection.is_closed()) {
      const std::optional<HttpRequest> request = connection.read_request();
      if (!request) break;
      handler_(*request, connection);
    }
  }
  const std::lock_guard lock(mutex_);
  std::erase(open_, fd);
  ::close(fd);
}

void StubServer::make_certificate() {
  EVP_PKEY* key = EVP_EC_gen("P-256");
  X509* certificate = X509_new();
  X509_set_version(certificate, 2);
  ASN1_INTEGER_set(X509_get_serialNumber(certificate), 1);
  X509_gmtime_adj(X509_getm_notBefore(certificate), -3600);
  X509_gmtime_adj(X509_getm_notAfter(certificate), 3600);
  X509_set_pubkey(certificate, key);
  X509_NAME* name = X509_get_subject_name(certificate);
  X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, reinterpret_cast<const unsigned char*>("localhost"),
                             -1, -1, 0);
  X509_set_issuer_name(certificate, name);
  X509_EXTENSION* names = X509V3_EXT_conf_nid(nullptr, nullptr, NID_subject_alt_name, "DNS:localhost");
  X509_add_ext(certificate, names, -1);
  X509_EXTENSION_free(names);
  GOSSAMER_CHECK(X509_sign(certificate, key, EVP_sha256()) > 0);
  BIO* text = BIO_new(BIO_s_mem());
  PEM_write_bio_X509(text, certificate);
  char* bytes = nullptr;
  const long length = BIO_get_mem_data(text, &bytes);
  certificate_.assign(bytes, static_cast<std::size_t>(length));
  BIO_free(text);
  tls_ = SSL_CTX_new(TLS_server_method());
  GOSSAMER_CHECK_EQ(SSL_CTX_use_certificate(tls_, certificate), 1);
  GOSSAMER_CHECK_EQ(SSL_CTX_use_PrivateKey(tls_, key), 1);
  X509_free(certificate);
  EVP_PKEY_free(key);
}

}  // namespace gossamer::test
