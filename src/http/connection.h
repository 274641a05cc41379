// One client's connection: its requests one after another, each to the handler, each answered before the
// next. Made by http_server.cc. Asio is only named here, so that its headers stay in the two sources that use
// them.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <string>

#include "http/http_server.h"
#include "http/response_head.h"
#include "http/transport.h"

namespace boost::asio {
class io_context;
}

namespace gossamer {

class Connection;

// What the connections of a server share; outlives them.
struct ConnectionShared {
  boost::asio::io_context& io;
  const HttpServerOptions options;
  const HttpHandler handler;
  const CorsPolicy cors;
  const std::unique_ptr<TlsContext> tls;  // none: plain
  std::atomic<bool> draining = false;
  // On a server thread, once for every connection, when its socket has been closed.
  std::function<void()> on_close;
  // When nobody holds it any more; on any thread.
  std::function<void(Connection*)> on_end;
};

// Members may be called from any thread.
class Connection {
 public:
  virtual ~Connection() = default;

  // Closes it if no request is on its way: kept by a client (drain), or also one that never sent anything.
  enum class Idle { kKept, kAny };
  virtual void close_if_idle(Idle which) = 0;

  // Closes it now; handlers that are answering learn it by on_disconnect.
  virtual void cut() = 0;

  // Once closed: lets go of what handlers still hold of it, so that it ends before the io_context.
  virtual void detach() = 0;
};

// Takes the socket, which must not block, and begins to serve it.
std::shared_ptr<Connection> start_connection(ConnectionShared& shared, int socket, std::string client);

}  // namespace gossamer
