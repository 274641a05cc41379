// Requests and their answers, whole and streamed: what a well-behaved client sees.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

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

}  // namespace
}  // namespace gossamer::test
