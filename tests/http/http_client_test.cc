#include "http/http_client.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <string>
#include <thread>
#include <vector>

#include "tests/http/stub_server.h"

namespace gossamer::test {
namespace {

using namespace std::chrono_literals;
using testing::AllOf;
using testing::HasSubstr;
using Clock = std::chrono::steady_clock;

HttpUrl url_of(const StubServer& server, const std::string& target = "/") {
  return HttpUrl::parse(server.url() + target).value();
}

HttpCall get(const StubServer& server) { return {.url = url_of(server)}; }

Result<HttpResponse, HttpFailure> fetch_once(const StubServer& server, HttpClientOptions options = {}) {
  HttpClient client(std::move(options));
  return fetch(client, get(server));
}

// Fails unless the call fails so.
void expect_failure(const Result<HttpResponse, HttpFailure>& result, HttpFailureKind kind,
                    const std::string& message) {
  ASSERT_FALSE(result.ok()) << result.value().status;
  EXPECT_EQ(result.error().kind, kind) << result.error().message;
  EXPECT_THAT(result.error().message, HasSubstr(message));
}

TEST(HttpUrl, TakesApartWhatItCanAndSaysWhyNot) {
  const HttpUrl url = HttpUrl::parse("http://host:81/v1?x=1#part").value();
  EXPECT_EQ(url.host, "host");
  EXPECT_EQ(url.port, 81);
  EXPECT_EQ(url.target, "/v1?x=1");
  EXPECT_EQ(HttpUrl::parse("https://a.example").value().origin(), "https://a.example:443");
  EXPECT_EQ(HttpUrl::parse("http://a?b").value().target, "/?b");
  const HttpUrl six = HttpUrl::parse("http://[::1]:8000/").value();
  EXPECT_EQ(six.host, "::1");
  EXPECT_EQ(six.origin(), "http://[::1]:8000");
  for (const char* wrong : {"", "host:80", "ftp://x", "http://", "http://:80", "http://a:", "http://a:0",
                            "http://a:65536", "http://a:99999999999999999999", "http://a:8x", "http://u:p@a",
                            "http://[::1", "http://[::1]80", "http://a/ b", "http://a/\r\nX: y"}) {
    ASSERT_FALSE(HttpUrl::parse(wrong).ok()) << wrong;
    EXPECT_THAT(HttpUrl::parse(wrong).error(), HasSubstr("expected http://HOST")) << wrong;
  }
}

TEST(HttpClient, SendsWhatIsAskedAndGivesTheWholeResponse) {
  HttpRequest seen;
  StubServer server([&](const HttpRequest& request, StubConnection& connection) {
    seen = request;
    connection.respond(418, "short and stout", "text/plain", "X-Pot: tea\r\n");
  });
  HttpClient client({});
  HttpCall call = {.method = "POST", .url = url_of(server, "/a%2Fb?c=d"), .body = "{\"x\": 1}"};
  call.headers = {{"Authorization", "Bearer k"}};
  const auto result = fetch(client, std::move(call));
  ASSERT_TRUE(result.ok()) << result.error().message;
  EXPECT_EQ(result.value().status, 418);
  EXPECT_EQ(result.value().content_type, "text/plain");
  EXPECT_EQ(result.value().body, "short and stout");
  EXPECT_EQ(HttpRequest{.headers = result.value().headers}.header("x-pot"), "tea");
  EXPECT_EQ(seen.method, "POST");
  EXPECT_EQ(seen.path, "/a%2Fb");
  EXPECT_EQ(seen.query, "c=d");
  EXPECT_EQ(seen.body, "{\"x\": 1}");
  EXPECT_EQ(seen.header("authorization"), "Bearer k");
  EXPECT_EQ(seen.header("content-type"), "application/json");
  EXPECT_EQ(seen.header("host"), fmt::format("127.0.0.1:{}", server.port()));
}

TEST(HttpClient, KeepsConnectionsAndDropsThoseThatTheServerClosed) {
  std::atomic<bool> close = false;
  std::atomic<bool> closed = false;
  StubServer server([&](const HttpRequest&, StubConnection& connection) {
    connection.respond(200, "{}");
    if (!close) return;
    connection.close();  // without having said so
    closed = true;
  });
  HttpClient client({});
  for (int i = 0; i < 5; ++i) ASSERT_TRUE(fetch(client, get(server)).ok());
  EXPECT_EQ(server.num_connections(), 1);
  EXPECT_EQ(client.num_connections_opened(), 1U);
  EXPECT_EQ(client.num_idle_connections(), 1U);
  close = true;
  ASSERT_TRUE(fetch(client, get(server)).ok());
  for (int i = 0; i < 1000 && !closed; ++i) std::this_thread::sleep_for(10ms);
  ASSERT_TRUE(closed);
  close = false;
  ASSERT_TRUE(fetch(client, get(server)).ok());
  EXPECT_EQ(server.num_connections(), 2);
}

TEST(HttpClient, DoesNotKeepWhatTheServerWillClose) {
  StubServer server([&](const HttpRequest&, StubConnection& connection) {
    connection.respond(200, "{}", "application/json", "Connection: close\r\n");
  });
  HttpClient client({});
  ASSERT_TRUE(fetch(client, get(server)).ok());
  EXPECT_EQ(client.num_idle_connections(), 0U);
}

TEST(HttpClient, GivesAStreamAsItArrives) {
  StubServer server([&](const HttpRequest&, StubConnection& connection) {
    connection.begin();
    for (int i = 0; i < 3; ++i) {
      connection.chunk(fmt::format("piece {};", i));
      std::this_thread::sleep_for(60ms);
    }
    connection.end();
  });
  HttpClient client({});
  std::vector<std::pair<std::string, Clock::time_point>> pieces;
  bool is_whole = false;
  client.send(get(server), {.on_body = [&](auto bytes) { pieces.emplace_back(bytes, Clock::now()); },
                            .on_end = [&](const auto& failure) { is_whole = !failure; }});
  client.run();
  ASSERT_EQ(pieces.size(), 3U);
  EXPECT_EQ(pieces[2].first, "piece 2;");
  EXPECT_GE(pieces[2].second - pieces[0].second, 100ms);
  EXPECT_TRUE(is_whole);
  EXPECT_EQ(client.num_idle_connections(), 1U);
}

TEST(HttpClient, ReadsBodiesUntilTheConnectionEndsWhereTheyHaveNoLength) {
  StubServer server([&](const HttpRequest&, StubConnection& connection) {
    connection.send("HTTP/1.1 200 OK\r\n\r\nall of it");
    connection.close();
  });
  const auto result = fetch_once(server);
  ASSERT_TRUE(result.ok()) << result.error().message;
  EXPECT_EQ(result.value().body, "all of it");
}

TEST(HttpClient, PassesOverInterimResponses) {
  StubServer server([&](const HttpRequest&, StubConnection& connection) {
    connection.send("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n");
    connection.respond(200, "real");
  });
  const auto result = fetch_once(server);
  ASSERT_TRUE(result.ok()) << result.error().message;
  EXPECT_EQ(result.value().status, 200);
  EXPECT_EQ(result.value().body, "real");
}

TEST(HttpClient, TakesNoCutOffResponseForAWholeOne) {
  for (const std::string& sent :
       {std::string(), std::string("HTTP/1.1 200 OK\r\nContent-"),
        std::string("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc"),
        std::string("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"),
        std::string("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n")}) {
    for (const bool reset : {false, true}) {
      StubServer server([&](const HttpRequest&, StubConnection& connection) {
        connection.send(sent);
        if (reset) std::this_thread::sleep_for(20ms);  // a reset overtakes what is not yet read
        reset ? connection.reset() : connection.close();
      });
      expect_failure(fetch_once(server), HttpFailureKind::kBroken,
                     sent.empty()             ? "before the first byte"
                     : sent.ends_with("ent-") ? "within the response's head"
                                              : "within the response's body");
    }
  }
}

TEST(HttpClient, SaysWhatIsNoHttp) {
  for (const char* sent :
       {"SSH-2.0-OpenSSH\r\n\r\n", "HTTP/1.1 abc OK\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"}) {
    StubServer server([&](const HttpRequest&, StubConnection& connection) {
      connection.send(sent);
      connection.wait_for_end(2000);
      connection.close();
    });
    expect_failure(fetch_once(server), HttpFailureKind::kMalformed, "no HTTP/1.1 response");
  }
  StubServer server([&](const HttpRequest&, StubConnection& connection) {
    connection.respond(200, "", "text/plain", "X: " + std::string(100'000, 'x') + "\r\n");
    connection.close();
  });
  expect_failure(fetch_once(server), HttpFailureKind::kMalformed, "limit");
}

TEST(HttpClient, GivesUpInTime) {
  StubServer silent([&](const HttpRequest&, StubConnection& connection) {
    connection.wait_for_end(5000);
    connection.close();
  });
  StubServer dripping([&](const HttpRequest&, StubConnection& connection) {
    connection.begin();
    for (int i = 0; i < 500 && connection.chunk("x"); ++i) std::this_thread::sleep_for(10ms);
    connection.close();
  });
  StubServer stalling([&](const HttpRequest&, StubConnection& connection) {
    connection.begin();
    for (int i = 0; i < 10 && connection.chunk("x"); ++i) std::this_thread::sleep_for(20ms);
    connection.wait_for_end(5000);
    connection.close();
  });
  const auto timed = [](const StubServer& server, std::chrono::milliseconds whole,
                        std::chrono::milliseconds idle) {
    HttpClient client({});
    HttpCall call = get(server);
    call.timeout = whole;
    call.idle_timeout = idle;
    const Clock::time_point start = Clock::now();
    expect_failure(fetch(client, std::move(call)), HttpFailureKind::kTimeout, "bytes came");
    return Clock::now() - start;
  };
  EXPECT_THAT(timed(silent, 100ms, 0ms), AllOf(testing::Ge(95ms), testing::Lt(3s)));
  EXPECT_THAT(timed(dripping, 150ms, 0ms), AllOf(testing::Ge(145ms), testing::Lt(3s)));
  // Ten pieces 20 ms apart, then silence: it is the silence that ends it.
  EXPECT_THAT(timed(stalling, 0ms, 120ms), AllOf(testing::Ge(280ms), testing::Lt(3s)));
}

TEST(HttpClient, SaysThatNobodyListens) {
  uint16_t port = 0;
  {
    const StubServer server([](const HttpRequest&, StubConnection&) {});
    port = server.port();
  }
  HttpClient client({});
  expect_failure(fetch(client, {.url = {.host = "127.0.0.1", .port = port}}), HttpFailureKind::kConnect,
                 fmt::format("http://127.0.0.1:{}: Connection refused", port));
  expect_failure(fetch(client, {.url = {.host = "no-such-host.invalid"}}), HttpFailureKind::kConnect,
                 "no-such-host.invalid");
}

TEST(HttpClient, CancellingClosesTheConnectionInMidStream) {
  std::atomic<bool> has_gone = false;
  StubServer server([&](const HttpRequest&, StubConnection& connection) {
    connection.begin();
    connection.chunk("one");
    has_gone = connection.wait_for_end(5000);
    connection.close();
  });
  HttpClient client({});
  HttpClient::CallId id = 0;
  int calls = 0;
  id = client.send(get(server), {.on_body =
                                     [&](auto) {
                                       ++calls;
                                       client.cancel(id);
                                     },
                                 .on_end = [&](const auto&) { calls += 100; }});
  client.run();
  EXPECT_EQ(calls, 1);
  EXPECT_EQ(client.num_calls(), 0U);
  for (int i = 0; i < 100 && !has_gone; ++i) std::this_thread::sleep_for(10ms);
  EXPECT_TRUE(has_gone);
}

TEST(HttpClient, CancelsBeforeItHasBegun) {
  StubServer server([](const HttpRequest&, StubConnection& connection) { connection.respond(200, ""); });
  HttpClient client({});
  bool called = false;
  const HttpClient::CallId id = client.send(get(server), {.on_end = [&](const auto&) { called = true; }});
  client.cancel(id);
  client.cancel(id);
  client.cancel(12345);
  client.run();
  EXPECT_FALSE(called);
  EXPECT_EQ(server.num_connections(), 0);
}

TEST(HttpClient, AnswersThatComeBeforeTheRequestIsTakenAreRead) {
  StubServer server([](const HttpRequest&, StubConnection&) {});
  StubServer early([](const HttpRequest& request, StubConnection& connection) {
    EXPECT_EQ(request.path, "/");
    connection.respond(431, "too large");
    connection.wait_for_end(2000);
    connection.close();
  });
  HttpClient client({});
  HttpCall call = get(early);
  // The stub answers what ends here, and never reads the rest.
  call.raw = "POST / HTTP/1.1\r\nHost: x\r\n\r\n" + std::string(1 << 16, 'x');
  const auto result = fetch(client, std::move(call));
  ASSERT_TRUE(result.ok()) << result.error().message;
  EXPECT_EQ(result.value().status, 431);
}

TEST(HttpClient, HalfClosedRequestsEndForTheServer) {
  std::atomic<int> handled = 0;
  StubServer server([&](const HttpRequest&, StubConnection& connection) {
    ++handled;
    connection.respond(200, "");
  });
  HttpClient client({});
  HttpCall call = get(server);
  call.raw = "GET / HT";
  call.half_close = true;
  expect_failure(fetch(client, std::move(call)), HttpFailureKind::kBroken, "before the first byte");
  EXPECT_EQ(handled, 0);
}

TEST(HttpClient, RunsAThousandStreamsAtOnce) {
  constexpr int kStreams = 1000;
  constexpr int kPieces = 5;
  std::atomic<int> waiting = 0;
  StubServer server([&](const HttpRequest&, StubConnection& connection) {
    connection.begin();
    ++waiting;
    for (int i = 0; i < 1000 && waiting < kStreams; ++i) std::this_thread::sleep_for(10ms);
    for (int i = 0; i < kPieces; ++i) connection.chunk("0123456789");
    connection.end();
  });
  HttpClient client({});
  std::vector<std::size_t> bytes(kStreams);
  int whole = 0;
  for (std::size_t& count : bytes) {
    client.send(get(server), {.on_body = [&](auto piece) { count += piece.size(); },
                              .on_end = [&](const auto& failure) { whole += failure ? 0 : 1; }});
  }
  EXPECT_EQ(client.num_calls(), static_cast<std::size_t>(kStreams));
  client.run();
  EXPECT_EQ(whole, kStreams);
  EXPECT_EQ(waiting, kStreams);  // all were open at once
  EXPECT_THAT(bytes, testing::Each(kPieces * 10));
}

TEST(HttpClient, SpeaksTlsToServersThatItTrusts) {
  StubServer server(
      [](const HttpRequest&, StubConnection& connection) {
        connection.begin();
        connection.chunk("secret");
        connection.end();
      },
      true);
  const std::filesystem::path file =
      std::filesystem::temp_directory_path() / fmt::format("gossamer_client_{}.pem", ::getpid());
  std::ofstream(file) << server.certificate();
  HttpClient client({.authority_file = file.string()});
  for (int i = 0; i < 2; ++i) {
    const auto trusted = fetch(client, get(server));
    ASSERT_TRUE(trusted.ok()) << trusted.error().message;
    EXPECT_EQ(trusted.value().body, "secret");
  }
  EXPECT_EQ(client.num_connections_opened(), 1U);
  // The same certificate under another name.
  HttpCall call = get(server);
  call.url.host = "127.0.0.1";
  HttpClient strict({.authority_file = file.string()});
  expect_failure(fetch(strict, std::move(call)), HttpFailureKind::kTls, "certificate verify failed");
  std::filesystem::remove(file);

  expect_failure(fetch_once(server), HttpFailureKind::kTls, "certificate verify failed");
  EXPECT_TRUE(fetch_once(server, {.verify_certificates = false}).ok());
  EXPECT_THROW(HttpClient({.authority_file = "/no/such/file.pem"}), Error);
}

TEST(HttpClient, TimersFireOnceAndNotAfterTheyAreGone) {
  HttpClient client({});
  std::vector<int> fired;
  const auto late = client.start_timer(40ms, [&] { fired.push_back(2); });
  const auto early = client.start_timer(5ms, [&] { fired.push_back(1); });
  auto never = client.start_timer(10ms, [&] { fired.push_back(3); });
  never.reset();
  client.run();
  EXPECT_THAT(fired, testing::ElementsAre(1, 2));
}

}  // namespace
}  // namespace gossamer::test
