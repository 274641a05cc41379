// Beginning and end of servers and connections: binding, many connections, out of descriptors, drain, stop.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <ctime>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "base/error.h"
#include "base/system_memory.h"
#include "http/http_server.h"
#include "tests/http/http_testing.h"

namespace gossamer::test {
namespace {

using testing::HasSubstr;
using Clock = std::chrono::steady_clock;

void echo(HttpRequest request, std::shared_ptr<HttpExchange> exchange) {
  exchange->respond({.content_type = "text/plain", .body = std::move(request.body)});
}

std::string error_of(HttpServerOptions options) {
  try {
    const HttpServer server(std::move(options), echo);
  } catch (const Error& error) {
    return error.what();
  }
  return "none";
}

TEST(HttpServer, SaysWhyItCannotListen) {
  HttpServer first({.port = 0}, echo);
  EXPECT_THAT(
      error_of({.port = first.port()}),
      HasSubstr(fmt::format("cannot listen on 127.0.0.1, port {}: Address already in use", first.port())));
  EXPECT_THAT(error_of({.host = "localhost", .port = 0}),
              HasSubstr("host \"localhost\": expected an IP address"));
  EXPECT_THAT(error_of({.host = "192.0.2.1", .port = 0}), HasSubstr("cannot listen on 192.0.2.1"));
}

TEST(HttpServer, ListensOnIpv6) {
  try {
    const HttpServer server({.host = "::1", .port = 0}, echo);
    EXPECT_EQ(server.url(), fmt::format("http://[::1]:{}", server.port()));
  } catch (const Error&) {
    GTEST_SKIP() << "no IPv6 here";
  }
}

TEST(HttpServer, HoldsAThousandIdleConnectionsIn10KbEach) {
  HttpServer server({.port = 0}, echo);
  std::vector<Client> clients;
  const auto add = [&] {
    clients.emplace_back(server.port());
    clients.back().send(post("/", std::string(2000, 'x')));
    ASSERT_EQ(clients.back().read_response().status, 200);
  };
  for (int i = 0; i < 50; ++i) add();
  const std::size_t before = resident_bytes();
  for (int i = 0; i < 1000; ++i) add();
  const std::size_t grown = resident_bytes() - before;
  EXPECT_EQ(server.num_connections(), 1050U);
  RecordProperty("bytes_per_connection", static_cast<int>(grown / 1000));
  if (!kSanitized) {
    EXPECT_LT(grown / 1000, 10'000U) << "bytes for each connection";
  }
  for (Client& client : clients) {
    client.send(get("/"));
    ASSERT_EQ(client.read_response().status, 200);
  }
  clients.clear();
  EXPECT_TRUE(eventually([&] { return server.num_connections() == 0; }));
}

TEST(HttpServer, LetsNewConnectionsWaitBeyondTheLimit) {
  HttpServer server({.port = 0, .max_connections = 3}, echo);
  std::vector<Client> clients;
  for (int i = 0; i < 6; ++i) {
    clients.emplace_back(server.port());
    clients.back().send(get("/"));
  }
  for (int i = 0; i < 3; ++i) EXPECT_EQ(clients[static_cast<std::size_t>(i)].read_response().status, 200);
  EXPECT_EQ(clients[3].read_some(50ms), "");
  EXPECT_EQ(server.num_connections(), 3U);
  clients[0].close();
  EXPECT_EQ(clients[3].read_response().status, 200);
  clients[1].close();
  clients[2].close();
  EXPECT_EQ(clients[4].read_response().status, 200);
  EXPECT_EQ(clients[5].read_response().status, 200);
}

TEST(HttpServer, RaisesTheLimitOfDescriptors) {
  rlimit before{};
  getrlimit(RLIMIT_NOFILE, &before);
  rlimit low = before;
  low.rlim_cur = std::min<rlim_t>(512, before.rlim_max);
  setrlimit(RLIMIT_NOFILE, &low);
  const HttpServer server({.port = 0}, echo);
  rlimit after{};
  getrlimit(RLIMIT_NOFILE, &after);
  EXPECT_EQ(after.rlim_cur, before.rlim_max);
  setrlimit(RLIMIT_NOFILE, &before);
}

TEST(HttpServer, OutlivesTheLastDescriptorWithoutSpinning) {
#ifdef __SANITIZE_ADDRESS__
  GTEST_SKIP() << "the sanitizers need a descriptor of their own to look at memory";
#endif
  HttpServer server({.port = 0}, echo);
  rlimit before{};
  getrlimit(RLIMIT_NOFILE, &before);
  rlimit low = before;
  low.rlim_cur = 256;
  setrlimit(RLIMIT_NOFILE, &low);
  std::vector<int> held;
  for (int fd = dup(0); fd >= 0; fd = dup(0)) held.push_back(fd);
  ASSERT_FALSE(held.empty());
  close(held.back());
  held.pop_back();
  Client client(server.port());  // takes the last one
  client.send(get("/"));
  const std::clock_t cpu = std::clock();
  EXPECT_EQ(client.read_some(400ms), "");
  EXPECT_LT(static_cast<double>(std::clock() - cpu) / CLOCKS_PER_SEC, 0.2);
  for (const int fd : held) close(fd);
  EXPECT_EQ(client.read_response().status, 200);
  setrlimit(RLIMIT_NOFILE, &before);
}

// ---- drain and stop

class HttpStopTest : public testing::Test {
 protected:
  std::shared_ptr<HttpExchange> begin_stream(Client& client) {
    client.send(get("/"));
    auto exchange = waiting_.take();
    exchange->begin({.body = "begun"});
    EXPECT_TRUE(client.read_until("begun\r\n"));
    return exchange;
  }

  Waiting waiting_;
  std::unique_ptr<HttpServer> server_ = std::make_unique<HttpServer>(
      HttpServerOptions{.port = 0}, [this](HttpRequest request, std::shared_ptr<HttpExchange> exchange) {
        if (request.path == "/now") return exchange->respond({.body = "now"});
        waiting_.put(std::move(request), std::move(exchange));
      });
};

TEST_F(HttpStopTest, DrainClosesIdleConnectionsAndLetsStreamsFinish) {
  Client idle(server_->port());
  idle.send(get("/now"));
  EXPECT_EQ(idle.read_response().status, 200);
  Client arriving(server_->port());
  arriving.send("GET /now HTTP/1.1\r\n");
  Client streaming(server_->port());
  const auto exchange = begin_stream(streaming);
  ASSERT_TRUE(eventually([&] { return server_->num_connections() == 3; }));

  server_->drain();
  EXPECT_TRUE(idle.sees_close());
  exchange->write("more");
  EXPECT_TRUE(streaming.read_until("more\r\n"));
  exchange->finish();
  EXPECT_TRUE(streaming.read_until("0\r\n\r\n"));
  EXPECT_TRUE(streaming.sees_close());
  arriving.send("Host: a\r\n\r\n");
  EXPECT_EQ(arriving.read_response().headers.at("connection"), "close");
  EXPECT_TRUE(arriving.sees_close());

  Client late(server_->port());
  late.send(get("/now"));
  const Response response = late.read_response();
  EXPECT_EQ(response.body, "now");
  EXPECT_EQ(response.headers.at("connection"), "close");
}

TEST_F(HttpStopTest, DrainAnswersWhatHasAlreadyBeenSent) {
  for (int i = 0; i < 50; ++i) {
    HttpServer server({.port = 0}, echo);
    Client client(server.port());
    client.send(post("/", "first"));
    EXPECT_EQ(client.read_response().body, "first");
    client.send(post("/", "second") + post("/", "third"));
    server.drain();
    EXPECT_EQ(client.read_response().body, "second");
  }
}

TEST_F(HttpStopTest, StopWaitsForAStreamInFlight) {
  Client client(server_->port());
  Client idle(server_->port());
  const auto exchange = begin_stream(client);
  std::thread stopper([&] { server_->stop(kPatience); });
  EXPECT_TRUE(idle.sees_close());
  std::this_thread::sleep_for(50ms);
  EXPECT_THROW(Client late(server_->port()), std::runtime_error) << "the port is closed";
  exchange->write("rest");
  exchange->finish();
  EXPECT_EQ(client.read_rest(), "4\r\nrest\r\n0\r\n\r\n");
  client.close();
  const auto finished = Clock::now();
  stopper.join();
  EXPECT_LT(Clock::now() - finished, 5s);
  EXPECT_EQ(server_->num_connections(), 0U);
}

TEST_F(HttpStopTest, StopCutsOffWhatTakesLonger) {
  Client client(server_->port());
  const auto exchange = begin_stream(client);
  std::atomic<int> gone = 0;
  exchange->on_disconnect([&] { ++gone; });
  const auto start = Clock::now();
  server_->stop(100ms);
  EXPECT_GE(Clock::now() - start, 90ms);
  EXPECT_LT(Clock::now() - start, 5s);
  EXPECT_EQ(gone, 1) << "the callback has run when stop returns";
  EXPECT_THAT(client.read_rest(), testing::Not(HasSubstr("0\r\n\r\n")));
}

TEST_F(HttpStopTest, ExchangesMayOutliveTheirServer) {
  Client client(server_->port());
  const auto complete = begin_stream(client);
  complete->finish();
  EXPECT_TRUE(client.read_until("0\r\n\r\n"));
  const auto cut = begin_stream(client);
  server_.reset();
  bool gone = false;
  cut->on_disconnect([&] { gone = true; });
  EXPECT_TRUE(gone);
  for (const auto& exchange : {complete, cut}) {
    exchange->write("x");
    exchange->post([] { ADD_FAILURE() << "there is no strand left"; });
    exchange->respond({});
    exchange->finish();
  }
}

TEST_F(HttpStopTest, IsThrownAwayUnderLoad) {
  for (int round = 0; round < 5; ++round) {
    Waiting waiting;
    auto server = std::make_unique<HttpServer>(
        HttpServerOptions{.port = 0}, [&](HttpRequest request, std::shared_ptr<HttpExchange> exchange) {
          if (request.path == "/now") return exchange->respond({.body = std::string(100'000, 'x')});
          exchange->on_disconnect([exchange] { exchange->abort(); });
          exchange->begin({});
          waiting.put(std::move(request), std::move(exchange));
        });
    std::atomic<bool> ended = false;
    std::vector<std::thread> threads;
    for (int t = 0; t < 4; ++t) {
      threads.emplace_back([&, t, port = server->port()] {
        std::mt19937 random(static_cast<unsigned>(round * 10 + t));
        while (!ended) {
          try {
            Client client(port);
            client.send(get(random() % 2 == 0 ? "/now" : "/stream"));
            client.read_some(std::chrono::milliseconds(random() % 5));
            if (random() % 4 == 0) client.reset();
          } catch (const std::runtime_error&) {
            return;  // the port is closed
          }
        }
      });
    }
    threads.emplace_back([&] {
      int streams = 0;
      while (!ended) {
        if (waiting.size() == 0) {
          std::this_thread::sleep_for(100us);
          continue;
        }
        const auto exchange = waiting.take();
        for (int i = 0; i < 20; ++i) exchange->write("token");
        if (++streams % 3 == 0) exchange->finish();
      }
    });
    std::this_thread::sleep_for(100ms);
    server.reset();
    ended = true;
    for (std::thread& thread : threads) thread.join();
  }
}

}  // namespace
}  // namespace gossamer::test
