// Clients that do wrong or nothing: each gets its answer or its end, in bounded time and memory.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <string>
#include <thread>
#include <vector>

#include "http/http_server.h"
#include "tests/http/http_testing.h"

namespace gossamer::test {
namespace {

using testing::HasSubstr;
using Clock = std::chrono::steady_clock;

void echo(HttpRequest request, std::shared_ptr<HttpExchange> exchange) {
  exchange->respond({.content_type = "text/plain", .body = std::move(request.body)});
}

HttpServerOptions small() {
  return {.port = 0, .max_header_bytes = 1000, .max_body_bytes = 5000, .request_timeout = 10s};
}

Response ask(uint16_t port, const std::string& bytes) {
  Client client(port);
  client.send(bytes);
  const Response response = client.read_response();
  EXPECT_TRUE(client.sees_close()) << "after an error the connection ends";
  EXPECT_EQ(response.headers.at("connection"), "close");
  return response;
}

TEST(HttpLimits, RefusesMalformedHeadsWith400) {
  HttpServer server(small(), echo);
  for (const std::string bytes : {
           "nonsense\r\n\r\n",
           "GET\r\n\r\n",
           "GET / HTTP/2.0\r\n\r\n",
           "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
           "GET / HTTP/1.1\r\nno colon\r\n\r\n",
           "GET / HTTP/1.1\r\nHost: a\r\nbad name: x\r\n\r\n",
           "GET / HTTP/1.1\nHost: a\n\n",
           "GET / HTTP/1.1\r\n\r\n",  // no Host
           "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
           "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: x\r\n\r\n",
           "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n",
           "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
           "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
           "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\n",
           "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
           "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: identity\r\n\r\n",
           "POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n",
           "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
           "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabcdef\r\n",
           "\x16\x03\x01\x02\x01\x01\x01\xfc\x03\x03 TLS\r\n\r\n",
       }) {
    const Response response = ask(server.port(), bytes);
    EXPECT_EQ(response.status, 400) << bytes;
    EXPECT_THAT(response.headers.at("content-type"), HasSubstr("text/plain"));
    EXPECT_GT(response.body.size(), 20U);
  }
}

TEST(HttpLimits, RefusesLongHeadsWith431) {
  HttpServer server(small(), echo);
  EXPECT_EQ(ask(server.port(), "GET /" + std::string(2000, 'a')).status, 431);
  EXPECT_EQ(ask(server.port(), get("/", "X: " + std::string(990, 'a') + "\r\n")).status, 431);
  std::string many;
  for (int i = 0; i < 200; ++i) many += fmt::format("X-{}: y\r\n", i);
  EXPECT_EQ(ask(server.port(), get("/", many)).status, 431);
  EXPECT_EQ(ask(server.port(), "GET /" + std::string(600, 'a') +
                                   " HTTP/1.1\r\nHost: a\r\nX: " + std::string(600, 'b') + "\r\n\r\n")
                .status,
            431);
  Client client(server.port());
  client.send(get("/", "X: " + std::string(900, 'a') + "\r\n"));
  EXPECT_EQ(client.read_response().status, 200);
}

TEST(HttpLimits, RefusesLongBodiesWith413WithoutReadingThem) {
  HttpServer server(small(), echo);
  EXPECT_EQ(ask(server.port(), "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5001\r\n\r\n").status, 413);
  EXPECT_EQ(ask(server.port(),
                "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999\r\nExpect: 100-continue\r\n\r\n")
                .status,
            413)
      << "nor asks for them";
  EXPECT_EQ(
      ask(server.port(), "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nfffffffffff\r\n")
          .status,
      413);
  std::string chunks = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
  for (int i = 0; i < 6; ++i) chunks += "3e8\r\n" + std::string(1000, 'x') + "\r\n";
  EXPECT_EQ(ask(server.port(), chunks).status, 413);

  Client client(server.port());
  client.send(post("/", std::string(5000, 'x')));
  EXPECT_EQ(client.read_response().body.size(), 5000U);
}

TEST(HttpLimits, LetsAClientReadItsErrorWhileItStillSends) {
  HttpServer server(small(), echo);
  for (int i = 0; i < 20; ++i) {
    Client client(server.port());
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3000000\r\n\r\n");
    const std::string part(100'000, 'x');
    for (int k = 0; k < 30; ++k) client.send(part);
    const Response response = client.read_response();
    EXPECT_EQ(response.status, 413);
    EXPECT_TRUE(response.complete);
  }
}

TEST(HttpLimits, RefusesAnEndlessChunkHeader) {
  HttpServer server(small(), echo);
  EXPECT_EQ(ask(server.port(),
                "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1;" + std::string(3000, 'x'))
                .status,
            400);
}

TEST(HttpLimits, GivesASlowRequestUpWith408) {
  HttpServer server({.port = 0, .request_timeout = 150ms}, echo);
  for (const std::string beginning :
       {"G", "GET / HTTP/1.1\r\nHost: a\r\n", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nx"}) {
    Client client(server.port());
    client.send(beginning);
    const auto start = Clock::now();
    // A byte now and then buys no time.
    std::thread drip([&] {
      for (int i = 0; i < 8; ++i) {
        std::this_thread::sleep_for(30ms);
        client.send("x");
      }
    });
    const Response response = client.read_response();
    const auto took = Clock::now() - start;
    drip.join();
    EXPECT_EQ(response.status, 408);
    EXPECT_GE(took, 140ms);
    EXPECT_LT(took, 2s);
    EXPECT_TRUE(client.sees_close());
  }
}

TEST(HttpLimits, MeasuresTheTimeOfEachRequestOfAConnection) {
  HttpServer server({.port = 0, .request_timeout = 300ms}, echo);
  Client client(server.port());
  for (int i = 0; i < 4; ++i) {
    std::this_thread::sleep_for(120ms);
    client.send("GET / HTTP/1.1\r\n");
    std::this_thread::sleep_for(30ms);
    client.send("Host: a\r\n\r\n");
    EXPECT_EQ(client.read_response().status, 200);
  }
}

TEST(HttpLimits, ClosesIdleConnectionsSilently) {
  HttpServer server({.port = 0, .idle_timeout = 100ms}, echo);
  Client never(server.port());
  Client once(server.port());
  once.send(get("/"));
  EXPECT_EQ(once.read_response().status, 200);
  const auto start = Clock::now();
  EXPECT_TRUE(once.sees_close());
  EXPECT_GE(Clock::now() - start, 90ms);
  EXPECT_TRUE(never.sees_close());
  EXPECT_TRUE(eventually([&] { return server.num_connections() == 0; }));
}

TEST(HttpLimits, DoesNotCallAConnectionIdleThatWaitsForItsAnswer) {
  Waiting waiting;
  HttpServer server({.port = 0, .request_timeout = 60ms, .idle_timeout = 50ms, .write_timeout = 50ms},
                    [&](HttpRequest request, auto exchange) { waiting.put(std::move(request), exchange); });
  Client client(server.port());
  client.send(get("/"));
  const auto exchange = waiting.take();
  std::this_thread::sleep_for(150ms);
  exchange->begin({});
  std::this_thread::sleep_for(150ms);
  exchange->write("x");
  exchange->finish();
  EXPECT_EQ(client.read_response().body, "x");
}

TEST(HttpLimits, CutsOffAReaderThatTakesNothing) {
  Waiting waiting;
  HttpServer server({.port = 0, .write_timeout = 150ms, .max_unsent_bytes = std::size_t{1} << 30},
                    [&](HttpRequest request, auto exchange) { waiting.put(std::move(request), exchange); });
  for (const bool whole : {false, true}) {
    Client client(server.port(), 4096);
    client.send(get("/"));
    const auto exchange = waiting.take();
    std::atomic<bool> gone = false;
    const auto start = Clock::now();
    if (whole) {
      exchange->respond({.body = std::string(20 << 20, 'x')});
    } else {
      exchange->on_disconnect([&] { gone = true; });
      exchange->begin({.body = std::string(20 << 20, 'x')});
      EXPECT_TRUE(eventually([&] { return gone.load(); }));
    }
    EXPECT_TRUE(eventually([&] { return server.num_connections() == 0; }));
    EXPECT_GE(Clock::now() - start, 140ms);
    EXPECT_LT(Clock::now() - start, 5s);
  }
}

TEST(HttpLimits, CutsOffAReaderThatFallsTooFarBehind) {
  Waiting waiting;
  HttpServer server({.port = 0, .max_unsent_bytes = 1 << 20},
                    [&](HttpRequest request, auto exchange) { waiting.put(std::move(request), exchange); });
  Client client(server.port(), 4096);
  client.send(get("/"));
  const auto exchange = waiting.take();
  std::atomic<bool> gone = false;
  exchange->on_disconnect([&] { gone = true; });
  exchange->begin({});
  std::size_t written = 0;
  while (!gone && written < (std::size_t{256} << 20)) {
    exchange->write(std::string(64 << 10, 'x'));
    written += 64 << 10;
    std::this_thread::sleep_for(100us);
  }
  EXPECT_TRUE(gone);
  EXPECT_GE(written, std::size_t{1} << 20);
  EXPECT_LT(written, std::size_t{32} << 20) << "what the system buffers, the limit, and little more";
}

TEST(HttpLimits, ComputesNothingMoreForAPipelinerWhoDoesNotRead) {
  std::atomic<int> asked = 0;
  HttpServer server({.port = 0}, [&](HttpRequest, std::shared_ptr<HttpExchange> exchange) {
    ++asked;
    exchange->respond({.body = std::string(5 << 20, 'x')});
  });
  Client client(server.port(), 4096);
  std::string requests;
  for (int i = 0; i < 10; ++i) requests += get("/");
  client.send(requests);
  ASSERT_TRUE(eventually([&] { return asked > 0; }));
  std::this_thread::sleep_for(100ms);
  EXPECT_LE(asked, 2);
  for (int i = 0; i < 10; ++i) ASSERT_EQ(client.read_response().body.size(), std::size_t{5} << 20);
}

TEST(HttpLimits, LosesNothingOfManyRequestsSentEarly) {
  HttpServer server({.port = 0, .num_threads = 1}, echo);
  Client client(server.port());
  constexpr int kRequests = 3000;  // several times what is read ahead
  std::thread sender([&] {
    std::string requests;
    for (int i = 0; i < kRequests; ++i) requests += post("/", fmt::format("{} {}", i, std::string(100, 'x')));
    client.send(requests);
  });
  for (int i = 0; i < kRequests; ++i) {
    ASSERT_EQ(client.read_response().body, fmt::format("{} {}", i, std::string(100, 'x')));
  }
  sender.join();
}

TEST(HttpLimits, NoticesAResetBehindMoreThanItReadsAhead) {
  Waiting waiting;
  HttpServer server({.port = 0},
                    [&](HttpRequest request, auto exchange) { waiting.put(std::move(request), exchange); });
  Client client(server.port());
  client.send(get("/"));
  const auto exchange = waiting.take();
  client.send(std::string(300'000, 'x'));
  std::this_thread::sleep_for(20ms);
  std::atomic<bool> gone = false;
  exchange->on_disconnect([&] { gone = true; });
  EXPECT_FALSE(gone);
  client.reset();
  EXPECT_TRUE(eventually([&] { return gone.load(); }));
}

TEST(HttpLimits, AnswersErrorsInTheFormOfItsUser) {
  HttpServerOptions options = small();
  options.make_error = [](int status, std::string message) {
    return HttpResponse{.status = status, .headers = {{"x-kind", "ours"}}, .body = "{" + message + "}"};
  };
  HttpServer server(std::move(options), [](HttpRequest, std::shared_ptr<HttpExchange>) {});
  Client client(server.port());
  client.send(get("/"));
  const Response dropped = client.read_response();
  EXPECT_EQ(dropped.status, 500);
  EXPECT_EQ(dropped.headers.at("x-kind"), "ours");
  const Response malformed = ask(server.port(), "nonsense\r\n\r\n");
  EXPECT_EQ(malformed.headers.at("x-kind"), "ours");
  EXPECT_EQ(malformed.body.front(), '{');
}

}  // namespace
}  // namespace gossamer::test
