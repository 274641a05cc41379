#include "http/transport.h"

#include <errno.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>

#include "base/check.h"
#include "base/error.h"

namespace gossamer {
namespace {

using Status = Transport::Status;

bool would_block() { return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR; }

class PlainTransport final : public Transport {
 public:
  explicit PlainTransport(int socket) : socket_(socket) {}

  Status handshake() override { return Status::kOk; }

  Status read(char* data, std::size_t capacity, std::size_t& got) override {
    const ssize_t result = recv(socket_, data, capacity, 0);
    if (result > 0) {
      got = static_cast<std::size_t>(result);
      return Status::kOk;
    }
    if (result == 0) return Status::kEnd;
    return would_block() ? Status::kWantRead : Status::kFailed;
  }

  Status write(const iovec* pieces, int count, std::size_t& taken) override {
    msghdr message{};
    message.msg_iov = const_cast<iovec*>(pieces);
    message.msg_iovlen = static_cast<std::size_t>(count);
    const ssize_t result = sendmsg(socket_, &message, MSG_NOSIGNAL);
    if (result >= 0) {
      taken = static_cast<std::size_t>(result);
      return Status::kOk;
    }
    return would_block() ? Status::kWantWrite : Status::kFailed;
  }

  void send_end() override { shutdown(socket_, SHUT_WR); }

 private:
  const int socket_;
};

// OpenSSL's own socket BIO writes without MSG_NOSIGNAL, and who embeds this room may not want SIGPIPE
// ignored.
int socket_of(BIO* bio) { return static_cast<int>(reinterpret_cast<intptr_t>(BIO_get_data(bio))); }

int bio_write(BIO* bio, const char* data, int size) {
  BIO_clear_retry_flags(bio);
  const ssize_t result = send(socket_of(bio), data, static_cast<std::size_t>(size), MSG_NOSIGNAL);
  if (result < 0 && would_block()) BIO_set_retry_write(bio);
  return static_cast<int>(result);
}

int bio_read(BIO* bio, char* data, int size) {
  BIO_clear_retry_flags(bio);
  const ssize_t result = recv(socket_of(bio), data, static_cast<std::size_t>(size), 0);
  if (result < 0 && would_block()) BIO_set_retry_read(bio);
  return static_cast<int>(result);
}

long bio_control(BIO*, int command, long, void*) { return command == BIO_CTRL_FLUSH ? 1 : 0; }

// Of the errors that OpenSSL has noted: the system's, which says most ("No such file"), else the last.
std::string openssl_reason() {
  std::string text = "unknown reason";
  for (unsigned long code = ERR_get_error(); code != 0; code = ERR_get_error()) {
    if (ERR_SYSTEM_ERROR(code)) {
      text = std::strerror(ERR_GET_REASON(code));
      break;
    }
    if (const char* reason = ERR_reason_error_string(code)) text = reason;
  }
  ERR_clear_error();
  return text;
}

// HTTP/1.1 is all that is spoken here: a client that offers more is told so.
int choose_protocol(SSL*, const unsigned char** chosen, unsigned char* chosen_size,
                    const unsigned char* offered, unsigned int offered_size, void*) {
  constexpr unsigned char kHttp11[] = "\x08http/1.1";
  unsigned char* selected = nullptr;
  if (SSL_select_next_proto(&selected, chosen_size, kHttp11, sizeof(kHttp11) - 1, offered, offered_size) !=
      OPENSSL_NPN_NEGOTIATED)
    return SSL_TLSEXT_ERR_NOACK;
  *chosen = selected;
  return SSL_TLSEXT_ERR_OK;
}

class TlsTransport final : public Transport {
 public:
  TlsTransport(SSL_CTX* context, BIO_METHOD* method, int socket) : ssl_(SSL_new(context)) {
    BIO* bio = BIO_new(method);
    GOSSAMER_CHECK(ssl_ != nullptr && bio != nullptr);
    BIO_set_data(bio, reinterpret_cast<void*>(static_cast<intptr_t>(socket)));
    BIO_set_init(bio, 1);
    SSL_set_bio(ssl_, bio, bio);  // takes it
    SSL_set_accept_state(ssl_);
    socket_ = socket;
  }
  ~TlsTransport() override { SSL_free(ssl_); }

  Status handshake() override {
    ERR_clear_error();
    const int result = SSL_do_handshake(ssl_);
    if (result == 1) return Status::kOk;
    const Status status = status_of(result);
    return status == Status::kFailed && plain_http_ ? Status::kPlainHttp : status;
  }

  Status read(char* data, std::size_t capacity, std::size_t& got) override {
    ERR_clear_error();
    const int result = SSL_read_ex(ssl_, data, capacity, &got);
    return result == 1 ? Status::kOk : status_of(result);
  }

  Status write(const iovec* pieces, int count, std::size_t& taken) override {
    // One record of what fits. A repeated call after kWantWrite has at least the bytes of the first, since
    // the queue only grows behind: OpenSSL insists on that.
    std::array<char, SSL3_RT_MAX_PLAIN_LENGTH> record;
    const char* data = static_cast<const char*>(pieces[0].iov_base);
    std::size_t size = std::min(pieces[0].iov_len, record.size());
    if (count > 1 && size < record.size()) {
      size = 0;
      for (int i = 0; i < count && size < record.size(); ++i) {
        const std::size_t part = std::min(pieces[i].iov_len, record.size() - size);
        std::memcpy(record.data() + size, pieces[i].iov_base, part);
        size += part;
      }
      data = record.data();
    }
    ERR_clear_error();
    const int result = SSL_write_ex(ssl_, data, size, &taken);
    return result == 1 ? Status::kOk : status_of(result);
  }

  void send_end() override {
    ERR_clear_error();
    if (!failed_ && SSL_is_init_finished(ssl_)) SSL_shutdown(ssl_);
    ERR_clear_error();
    shutdown(socket_, SHUT_WR);
  }

 private:
  Status status_of(int result) {
    switch (SSL_get_error(ssl_, result)) {
      case SSL_ERROR_WANT_READ:
        return Status::kWantRead;
      case SSL_ERROR_WANT_WRITE:
        return Status::kWantWrite;
      case SSL_ERROR_ZERO_RETURN:
        return Status::kEnd;
      default:
        failed_ = true;
        plain_http_ = ERR_GET_REASON(ERR_peek_error()) == SSL_R_HTTP_REQUEST;
        ERR_clear_error();
        return Status::kFailed;
    }
  }

  SSL* const ssl_;
  int socket_ = -1;
  bool failed_ = false;
  bool plain_http_ = false;
};

}  // namespace

std::unique_ptr<Transport> make_plain_transport(int socket) {
  return std::make_unique<PlainTransport>(socket);
}

struct TlsContext::Impl {
  Impl()
      : context(SSL_CTX_new(TLS_server_method())),
        method(BIO_meth_new(BIO_get_new_index(), "gossamer socket")) {
    GOSSAMER_CHECK(context != nullptr && method != nullptr);
  }
  ~Impl() {
    SSL_CTX_free(context);
    BIO_meth_free(method);
  }
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;

  SSL_CTX* const context;
  BIO_METHOD* const method;
};

TlsContext::TlsContext(const std::string& certificate_file, const std::string& private_key_file)
    : impl_(std::make_unique<Impl>()) {
  BIO_meth_set_write(impl_->method, bio_write);
  BIO_meth_set_read(impl_->method, bio_read);
  BIO_meth_set_ctrl(impl_->method, bio_control);
  SSL_CTX* const context = impl_->context;
  SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
  SSL_CTX_set_options(context,
                      SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION | SSL_OP_CIPHER_SERVER_PREFERENCE);
  SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                                SSL_MODE_RELEASE_BUFFERS);
  SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);  // tickets resume sessions without memory here
  SSL_CTX_set_alpn_select_cb(context, choose_protocol, nullptr);
  // A key under a passphrase is an error, not a question on the terminal.
  SSL_CTX_set_default_passwd_cb(context, [](char*, int, int, void*) { return 0; });
  ERR_clear_error();
  if (SSL_CTX_use_certificate_chain_file(context, certificate_file.c_str()) != 1)
    throw Error("certificate file {}: expected a certificate chain in PEM form: {}", certificate_file,
                openssl_reason());
  if (SSL_CTX_use_PrivateKey_file(context, private_key_file.c_str(), SSL_FILETYPE_PEM) != 1)
    throw Error("private key file {}: expected the private key of {} in PEM form: {}", private_key_file,
                certificate_file, openssl_reason());
}

TlsContext::~TlsContext() = default;

std::unique_ptr<Transport> TlsContext::make_transport(int socket) const {
  return std::make_unique<TlsTransport>(impl_->context, impl_->method, socket);
}

}  // namespace gossamer
