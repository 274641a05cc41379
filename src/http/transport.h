// The bytes of one connection, plain or under TLS, on a socket that does not block. Who calls (connection.cc)
// waits until the socket is ready and calls again. OpenSSL is called directly rather than through Asio's
// stream, whose buffers of 34 KB would stay with every idle connection.
#pragma once

#include <sys/uio.h>

#include <cstddef>
#include <memory>
#include <string>

namespace gossamer {

class Transport {
 public:
  enum class Status {
    kOk,
    kWantRead,   // call again when the socket is readable
    kWantWrite,  // when it is writable
    kEnd,        // the other side sends no more
    kPlainHttp,  // handshake: the client does not know that this is TLS
    kFailed,     // the connection is dead
  };

  virtual ~Transport() = default;
  virtual Status handshake() = 0;
  // At least one byte when kOk.
  virtual Status read(char* data, std::size_t capacity, std::size_t& got) = 0;
  virtual Status write(const iovec* pieces, int count, std::size_t& taken) = 0;
  // Tells the other side that nothing follows; reading goes on.
  virtual void send_end() = 0;
};

// `socket` stays the caller's.
std::unique_ptr<Transport> make_plain_transport(int socket);

// Certificate and key, shared by all connections.
class TlsContext {
 public:
  // Throws Error naming the file that cannot be used.
  TlsContext(const std::string& certificate_file, const std::string& private_key_file);
  ~TlsContext();

  std::unique_ptr<Transport> make_transport(int socket) const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace gossamer
