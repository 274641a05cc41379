// Requests and their answers, whole and streamed: what a well-behaved client sees.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>

#include <atomic>
#include <chrono>
#include <thread>

#include "http/http_server.h"
#include "tests/http/http_testing.h"

namespace gossamer::test {
namespace {

using testing::EndsWith;
using testing::HasSubstr;
using testing::Not;
using Clock = std::chrono::steady_clock;

// "/echo" answers with what it got; "/big" with a megabyte; "/stream" in three chunks; everything else waits.
class HttpExchangeTest : public testing::Test {
 protected:
  HttpHandler handler() {
    return [this](HttpRequest request, std::shared_ptr<HttpExchange> exchange) {
      if (request.path == "/echo") {
        std::string body = request.method + " " + request.path + "?" + request.query + " " + request.body;
        exchange->respond({.content_type = "text/plain", .body = std::move(body)});
      } else if (request.path == "/big") {
        exchange->respond({.body = std::string(1 << 20, 'b')});
      } else if (request.path == "/stream") {
        exchange->begin({.content_type = "text/event-stream", .body = "one,"});
        exchange->write("two,");
        exchange->write("three");
        exchange->finish();
      } else {
        waiting_.put(std::move(request), std::move(exchange));
      }
    };
  }

  Waiting waiting_;
  HttpServer server_{{.port = 0}, handler()};
};

TEST_F(HttpExchangeTest, AnswersAndKeepsTheConnection) {
  Client client(server_.port());
  for (int i = 0; i < 3; ++i) {
    client.send(post("/echo?a=1&b=%2F", "hello"));
    const Response response = client.read_response();
    EXPECT_EQ(response.status, 200);
    EXPECT_EQ(response.body, "POST /echo?a=1&b=%2F hello");
    EXPECT_EQ(response.headers.at("server"), "gossamer");
    EXPECT_EQ(response.headers.at("content-type"), "text/plain");
    EXPECT_THAT(response.headers.at("date"), EndsWith(" GMT"));
    EXPECT_FALSE(response.headers.contains("connection"));
  }
  EXPECT_EQ(server_.num_connections(), 1U);
}

TEST_F(HttpExchangeTest, StreamsInChunks) {
  Client client(server_.port());
  client.send(get("/wait"));
  const auto exchange = waiting_.take();
  exchange->begin({.status = 201, .content_type = "text/event-stream", .headers = {{"x-request-id", "7"}}});
  ASSERT_TRUE(client.read_until("\r\n\r\n"));
  exchange->write("data: 1\n\n");
  EXPECT_TRUE(client.read_until("9\r\ndata: 1\n\n\r\n"));
  exchange->write("data: 2\n\n");
  EXPECT_TRUE(client.read_until("9\r\ndata: 2\n\n\r\n"));
  exchange->finish();
  EXPECT_TRUE(client.read_until("0\r\n\r\n"));
  client.send(get("/stream"));
  const Response next = client.read_response();
  EXPECT_EQ(next.body, "one,two,three");
  EXPECT_EQ(next.num_chunks, 1) << "what waits together goes together";
}

TEST_F(HttpExchangeTest, AnswersPipelinedRequestsInOrder) {
  Client client(server_.port());
  std::string all =
      get("/wait") + post("/echo", "second") + get("/stream") + get("/big") + post("/echo", "last");
  client.send(all);
  const auto exchange = waiting_.take();
  EXPECT_EQ(client.read_some(50ms), "");
  exchange->respond({.body = "first"});
  EXPECT_EQ(client.read_response().body, "first");
  EXPECT_EQ(client.read_response().body, "POST /echo? second");
  EXPECT_EQ(client.read_response().body, "one,two,three");
  EXPECT_EQ(client.read_response().body.size(), std::size_t{1} << 20);
  EXPECT_EQ(client.read_response().body, "POST /echo? last");
}

TEST_F(HttpExchangeTest, NoticesAClientThatLeavesWhileItWaits) {
  for (const bool reset : {false, true}) {
    Client client(server_.port());
    client.send(get("/wait"));
    const auto exchange = waiting_.take();
    std::atomic<int> gone = 0;
    exchange->on_disconnect([&] { ++gone; });
    const auto left = Clock::now();
    reset ? client.reset() : client.close();
    ASSERT_TRUE(eventually([&] { return gone == 1; }));
    EXPECT_LT(Clock::now() - left, 100ms);
    exchange->respond({.body = "too late"});
    EXPECT_TRUE(eventually([&] { return server_.num_connections() == 0; }));
    EXPECT_EQ(gone, 1);
  }
}

TEST_F(HttpExchangeTest, NoticesAClientThatLeavesAStream) {
  for (const bool reset : {false, true}) {
    Client client(server_.port());
    client.send(get("/wait"));
    const auto exchange = waiting_.take();
    std::atomic<int> gone = 0;
    exchange->begin({});
    exchange->on_disconnect([&] { ++gone; });
    exchange->write("token");
    ASSERT_TRUE(client.read_until("token\r\n"));
    const auto left = Clock::now();
    reset ? client.reset() : client.close();
    ASSERT_TRUE(eventually([&] { return gone == 1; }));
    EXPECT_LT(Clock::now() - left, 100ms);
    exchange->write("too late");
    exchange->finish();
  }
}

TEST_F(HttpExchangeTest, TakesAClosedSendingSideForGoneButSendsWhatIsComplete) {
  Client quick(server_.port());
  quick.send(get("/big"));
  quick.shut_down_sending();
  EXPECT_EQ(quick.read_response().body.size(), std::size_t{1} << 20);

  Client waits(server_.port());
  waits.send(get("/wait"));
  const auto exchange = waiting_.take();
  std::atomic<bool> gone = false;
  exchange->on_disconnect([&] { gone = true; });
  waits.shut_down_sending();
  EXPECT_TRUE(eventually([&] { return gone.load(); }));
  EXPECT_EQ(waits.read_rest(), "");
}

TEST_F(HttpExchangeTest, CallsBackAtOnceWhenTheClientHasGoneBefore) {
  Client client(server_.port());
  client.send(get("/wait"));
  const auto exchange = waiting_.take();
  client.close();
  ASSERT_TRUE(eventually([&] { return server_.num_connections() == 0; }));
  std::atomic<bool> gone = false;
  exchange->on_disconnect([&] { gone = true; });
  EXPECT_TRUE(eventually([&] { return gone.load(); }));
}

TEST_F(HttpExchangeTest, NeverCallsBackAfterACompleteAnswer) {
  std::atomic<int> gone = 0;
  for (int i = 0; i < 50; ++i) {
    Client client(server_.port());
    client.send(get("/wait"));
    const auto exchange = waiting_.take();
    exchange->on_disconnect([&] { ++gone; });
    exchange->respond({.body = std::string(100, 'x')});
    client.reset();
    exchange->on_disconnect([&] { ++gone; });
  }
  EXPECT_TRUE(eventually([&] { return server_.num_connections() == 0; }));
  EXPECT_EQ(gone, 0);
}

TEST_F(HttpExchangeTest, BreaksTheCycleOfACallbackThatHoldsItsExchange) {
  std::weak_ptr<HttpExchange> seen;
  Client client(server_.port());
  client.send(get("/wait"));
  {
    auto exchange = waiting_.take();
    seen = exchange;
    exchange->on_disconnect([exchange] { exchange->abort(); });
    exchange->respond({});
  }
  EXPECT_TRUE(eventually([&] { return seen.expired(); }));
}

TEST_F(HttpExchangeTest, RunsPostedTasksOneAtATime) {
  Client client(server_.port());
  client.send(get("/wait"));
  const auto exchange = waiting_.take();
  int count = 0;  // neither atomic nor locked: the thread sanitizer watches
  std::atomic<int> done = 0;
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 250; ++i) {
        exchange->post([&] {
          ++count;
          ++done;
        });
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  ASSERT_TRUE(eventually([&] { return done == 1000; }));
  EXPECT_EQ(count, 1000);
  exchange->respond({});
  EXPECT_EQ(client.read_response().status, 200);
}

TEST_F(HttpExchangeTest, KeepsTheOrderOfWritesFromAnotherThread) {
  Client client(server_.port());
  client.send(get("/wait"));
  const auto exchange = waiting_.take();
  std::string expected;
  for (int i = 0; i < 3000; ++i)
    expected += std::string(static_cast<std::size_t>(i % 97 == 0 ? 5000 : 20), 'a' + i % 26);
  std::thread writer([&] {
    exchange->begin({});
    for (std::size_t at = 0, i = 0; at < expected.size(); ++i) {
      const std::size_t size = i % 97 == 0 ? 5000 : 20;
      exchange->write(expected.substr(at, size));
      at += size;
    }
    exchange->finish();
  });
  const Response response = client.read_response();
  writer.join();
  EXPECT_TRUE(response.complete);
  EXPECT_TRUE(response.body == expected);
}

TEST_F(HttpExchangeTest, AnswersADroppedRequestWith500) {
  Client client(server_.port());
  client.send(get("/wait"));
  waiting_.take().reset();
  const Response response = client.read_response();
  EXPECT_EQ(response.status, 500);
  EXPECT_THAT(response.body, HasSubstr("without an answer"));
  client.send(post("/echo", "goes on"));
  EXPECT_EQ(client.read_response().status, 200);
}

TEST_F(HttpExchangeTest, BreaksAStreamOffThatIsDroppedOrAborted) {
  for (const bool drop : {true, false}) {
    for (const std::string version : {"1.1", "1.0"}) {
      Client client(server_.port());
      client.send("GET /wait HTTP/" + version + "\r\nHost: test\r\n\r\n");
      auto exchange = waiting_.take();
      exchange->begin({.body = "part"});
      ASSERT_TRUE(client.read_until("part"));
      drop ? exchange.reset() : exchange->abort();
      EXPECT_THAT(client.read_rest(), Not(HasSubstr("0\r\n\r\n")));
      char byte = 0;  // by a reset, so that a reader until the end sees it too
      EXPECT_LE(recv(client.socket(), &byte, 1, 0), 0);
      EXPECT_TRUE(eventually([&] { return server_.num_connections() == 0; }));
    }
  }
}

TEST_F(HttpExchangeTest, CountsTheFirstAnswerOnly) {
  Client client(server_.port());
  client.send(get("/wait"));
  const auto exchange = waiting_.take();
  exchange->write("before begin");
  exchange->finish();
  exchange->respond({.status = 201, .body = "first"});
  exchange->respond({.status = 202, .body = "second"});
  exchange->begin({});
  exchange->write("third");
  exchange->abort();
  const Response response = client.read_response();
  EXPECT_EQ(response.status, 201);
  EXPECT_EQ(response.body, "first");
  client.send(get("/stream"));
  EXPECT_EQ(client.read_response().body, "one,two,three");
}

TEST_F(HttpExchangeTest, DelimitsByClosingForHttp10) {
  Client streamed(server_.port());
  streamed.send("GET /stream HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
  const std::string all = streamed.read_rest();
  EXPECT_THAT(all, EndsWith("\r\n\r\none,two,three"));
  EXPECT_THAT(all, HasSubstr("Connection: close\r\n"));
  EXPECT_THAT(all, Not(HasSubstr("Transfer-Encoding")));

  Client plain(server_.port());
  plain.send("GET /echo HTTP/1.0\r\n\r\n");
  EXPECT_EQ(plain.read_response().headers.at("connection"), "close");
  EXPECT_TRUE(plain.sees_close());

  Client kept(server_.port());
  for (int i = 0; i < 2; ++i) {
    kept.send("GET /echo HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n");
    EXPECT_EQ(kept.read_response().headers.at("connection"), "keep-alive");
  }
}

TEST_F(HttpExchangeTest, SendsNoBodyToHead) {
  Client client(server_.port());
  client.send("HEAD /big HTTP/1.1\r\nHost: a\r\n\r\nHEAD /stream HTTP/1.1\r\nHost: a\r\n\r\n");
  EXPECT_EQ(client.read_response(true).headers.at("content-length"), "1048576");
  EXPECT_EQ(client.read_response(true).headers.at("transfer-encoding"), "chunked");
  client.send(post("/echo", "next"));
  EXPECT_EQ(client.read_response().body, "POST /echo? next");
}

TEST_F(HttpExchangeTest, SendsNoBodyWith204) {
  Client client(server_.port());
  client.send(get("/wait"));
  waiting_.take()->respond({.status = 204, .body = "never"});
  const Response response = client.read_response();
  EXPECT_FALSE(response.headers.contains("content-length"));
  client.send(post("/echo", "next"));
  EXPECT_EQ(client.read_response().body, "POST /echo? next");
}

TEST_F(HttpExchangeTest, ClosesWhenAskedTo) {
  Client client(server_.port());
  client.send(get("/big", "Connection: close\r\n"));
  const Response response = client.read_response();
  EXPECT_TRUE(response.complete);
  EXPECT_EQ(response.headers.at("connection"), "close");
  EXPECT_TRUE(client.sees_close());
}

TEST_F(HttpExchangeTest, AsksForTheBodyOfAClientThatWaitsForIt) {
  Client client(server_.port());
  client.send("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n");
  EXPECT_EQ(client.read_response().status, 100);
  client.send("body");
  EXPECT_EQ(client.read_response().body, "POST /echo? body");
  client.send("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\nbody");
  EXPECT_EQ(client.read_response().status, 200) << "who sends the body at once is not asked for it";
  client.send("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nExpect: a miracle\r\n\r\n");
  EXPECT_EQ(client.read_response().status, 417);
}

TEST_F(HttpExchangeTest, ReadsChunkedBodiesByteByByte) {
  const std::string request =
      "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
      "5;name=value\r\nhello\r\nA\r\n, chunked!\r\n0\r\nTrailer: x\r\n\r\n";
  Client client(server_.port());
  client.send(request);
  EXPECT_EQ(client.read_response().body, "POST /echo? hello, chunked!");
  for (const char byte : request) {
    client.send({&byte, 1});
    std::this_thread::sleep_for(100us);
  }
  EXPECT_EQ(client.read_response().body, "POST /echo? hello, chunked!");
}

TEST_F(HttpExchangeTest, TakesAbsoluteTargetsAndEmptyLinesBetweenRequests) {
  Client client(server_.port());
  client.send("\r\n\r\nGET http://some.host/echo?x HTTP/1.1\r\nHost: some.host\r\n\r\n");
  EXPECT_EQ(client.read_response().body, "GET /echo?x ");
}

TEST_F(HttpExchangeTest, LetsNoHeaderValueEndItsLine) {
  Client client(server_.port());
  client.send(get("/wait"));
  waiting_.take()->respond({.headers = {{"x-request-id", "a\r\nSet-Cookie: b"}}});
  const Response response = client.read_response();
  EXPECT_EQ(response.headers.at("x-request-id"), "a  Set-Cookie: b");
  EXPECT_FALSE(response.headers.contains("set-cookie"));
}

TEST(HttpServer, TellsTheHandlerWhoAsksAndSinceWhen) {
  HttpRequest seen;
  Clock::duration age{};
  HttpServer server({.port = 0}, [&](HttpRequest request, std::shared_ptr<HttpExchange> exchange) {
    seen = std::move(request);
    age = Clock::now() - exchange->start();
    exchange->respond({});
  });
  Client client(server.port());
  client.send("GET / HT");
  std::this_thread::sleep_for(30ms);
  client.send("TP/1.1\r\nHost: a\r\nX-Two:  b c \r\n\r\n");
  EXPECT_EQ(client.read_response().status, 200);
  EXPECT_EQ(seen.header("x-two"), "b c");
  EXPECT_THAT(seen.client, testing::StartsWith("127.0.0.1:"));
  EXPECT_GE(age, 25ms);
  EXPECT_EQ(server.url(), "http://127.0.0.1:" + std::to_string(server.port()));
}

TEST(HttpServer, AnswersPreflightsOfItsOriginsAndMarksResponses) {
  HttpServer server(
      {.port = 0, .cors_origins = {"https://a.example"}},
      [](HttpRequest, std::shared_ptr<HttpExchange> exchange) { exchange->respond({.status = 202}); });
  Client client(server.port());
  const auto preflight = [&](const std::string& origin) {
    client.send(
        "OPTIONS /v1 HTTP/1.1\r\nHost: a\r\nOrigin: " + origin +
        "\r\nAccess-Control-Request-Method: POST\r\nAccess-Control-Request-Headers: authorization\r\n\r\n");
    return client.read_response();
  };
  const Response allowed = preflight("https://a.example");
  EXPECT_EQ(allowed.status, 204);
  EXPECT_EQ(allowed.headers.at("access-control-allow-origin"), "https://a.example");
  EXPECT_EQ(allowed.headers.at("access-control-allow-methods"), "GET, POST, DELETE, OPTIONS");
  EXPECT_EQ(allowed.headers.at("access-control-allow-headers"), "authorization");
  EXPECT_EQ(allowed.headers.at("access-control-max-age"), "86400");
  EXPECT_FALSE(preflight("https://b.example").headers.contains("access-control-allow-origin"));

  client.send(get("/", "Origin: https://a.example\r\n"));
  const Response response = client.read_response();
  EXPECT_EQ(response.status, 202);
  EXPECT_EQ(response.headers.at("access-control-allow-origin"), "https://a.example");
  EXPECT_EQ(response.headers.at("access-control-expose-headers"), "x-request-id");
  EXPECT_EQ(response.headers.at("vary"), "Origin");
  client.send(get("/", "Origin: https://b.example\r\n"));
  EXPECT_FALSE(client.read_response().headers.contains("access-control-allow-origin"));
  client.send("OPTIONS / HTTP/1.1\r\nHost: a\r\n\r\n");
  EXPECT_EQ(client.read_response().status, 202) << "not a preflight";
}

TEST(HttpServer, SaysNothingOfOriginsWithoutAList) {
  HttpServer server({.port = 0}, [](HttpRequest, std::shared_ptr<HttpExchange> exchange) {
    exchange->respond({.status = 405});
  });
  Client client(server.port());
  client.send(
      "OPTIONS / HTTP/1.1\r\nHost: a\r\nOrigin: https://a.example\r\nAccess-Control-Request-Method: "
      "GET\r\n\r\n");
  const Response response = client.read_response();
  EXPECT_EQ(response.status, 405);
  EXPECT_THAT(response.head, Not(HasSubstr("Access-Control")));
}

TEST(HttpServer, AllowsEveryOriginWithAStar) {
  HttpServer server({.port = 0, .cors_origins = {"*"}},
                    [](HttpRequest, std::shared_ptr<HttpExchange> exchange) { exchange->respond({}); });
  Client client(server.port());
  client.send(get("/", "Origin: https://any.example\r\n"));
  EXPECT_EQ(client.read_response().headers.at("access-control-allow-origin"), "*");
}

}  // namespace
}  // namespace gossamer::test
