// The same server under TLS, with a certificate made here.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

#include <atomic>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <string>
#include <thread>
#include <vector>

#include "base/error.h"
#include "base/system_memory.h"
#include "http/http_server.h"
#include "tests/http/http_testing.h"

namespace gossamer::test {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;
using Clock = std::chrono::steady_clock;

// cert.pem and key.pem for "localhost" in `folder`.
void make_certificate(const fs::path& folder) {
  EVP_PKEY* key = EVP_EC_gen("P-256");
  X509* certificate = X509_new();
  ASN1_INTEGER_set(X509_get_serialNumber(certificate), 1);
  X509_gmtime_adj(X509_getm_notBefore(certificate), 0);
  X509_gmtime_adj(X509_getm_notAfter(certificate), 3600);
  X509_set_pubkey(certificate, key);
  X509_NAME* name = X509_get_subject_name(certificate);
  X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, reinterpret_cast<const unsigned char*>("localhost"),
                             -1, -1, 0);
  X509_set_issuer_name(certificate, name);
  X509_sign(certificate, key, EVP_sha256());
  std::FILE* file = std::fopen((folder / "cert.pem").c_str(), "w");
  PEM_write_X509(file, certificate);
  std::fclose(file);
  file = std::fopen((folder / "key.pem").c_str(), "w");
  PEM_write_PrivateKey(file, key, nullptr, nullptr, 0, nullptr, nullptr);
  std::fclose(file);
  X509_free(certificate);
  EVP_PKEY_free(key);
}

class HttpTlsTest : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    std::string name = (fs::temp_directory_path() / "gossamer_tls_XXXXXX").string();
    folder_ = mkdtemp(name.data());
    make_certificate(folder_);
  }
  static void TearDownTestSuite() { fs::remove_all(folder_); }

  static HttpServerOptions options() {
    return {.port = 0, .certificate_file = folder_ / "cert.pem", .private_key_file = folder_ / "key.pem"};
  }
  HttpHandler handler() {
    return [this](HttpRequest request, std::shared_ptr<HttpExchange> exchange) {
      if (request.path == "/wait") return waiting_.put(std::move(request), std::move(exchange));
      exchange->respond({.body = std::move(request.body)});
    };
  }

  static fs::path folder_;
  Waiting waiting_;
};
fs::path HttpTlsTest::folder_;

// A client's end, blocking.
class TlsClient {
 public:
  explicit TlsClient(uint16_t port, int version = TLS1_3_VERSION, int receive_buffer = 0)
      : client_(port, receive_buffer), context_(SSL_CTX_new(TLS_client_method())), ssl_(SSL_new(context_)) {
    SSL_set_min_proto_version(ssl_, version);
    SSL_set_max_proto_version(ssl_, version);
    if (version < TLS1_2_VERSION) SSL_set_security_level(ssl_, 0);
    SSL_set_fd(ssl_, client_.socket());
    connected_ = SSL_connect(ssl_) == 1;
  }
  ~TlsClient() {
    SSL_free(ssl_);
    SSL_CTX_free(context_);
    ERR_clear_error();
  }
  TlsClient(const TlsClient&) = delete;
  TlsClient& operator=(const TlsClient&) = delete;

  bool connected() const { return connected_; }
  void send(std::string_view bytes) { SSL_write(ssl_, bytes.data(), static_cast<int>(bytes.size())); }
  // Reads until `size` bytes have come, or the end; `clean_end` tells how that came.
  std::string read(std::size_t size) {
    std::string all(size, 0);
    std::size_t got = 0;
    while (got < size) {
      const int result = SSL_read(ssl_, all.data() + got, static_cast<int>(size - got));
      if (result <= 0) {
        clean_end = SSL_get_error(ssl_, result) == SSL_ERROR_ZERO_RETURN;
        break;
      }
      got += static_cast<std::size_t>(result);
    }
    all.resize(got);
    return all;
  }
  std::string read_until(std::string_view text) {
    std::string all;
    while (all.find(text) == std::string::npos) {
      const std::string byte = read(1);
      if (byte.empty()) break;
      all += byte;
    }
    return all;
  }
  Client& below() { return client_; }

  bool clean_end = false;

 private:
  Client client_;
  SSL_CTX* context_;
  SSL* ssl_;
  bool connected_ = false;
};

TEST_F(HttpTlsTest, ServesTls12And13AndNothingOlder) {
  HttpServer server(options(), handler());
  EXPECT_EQ(server.url(), fmt::format("https://127.0.0.1:{}", server.port()));
  for (const int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
    TlsClient client(server.port(), version);
    ASSERT_TRUE(client.connected());
    for (int i = 0; i < 2; ++i) {
      client.send(post("/", "hello"));
      EXPECT_THAT(client.read_until("hello"), HasSubstr("Content-Length: 5\r\n"));
    }
  }
  EXPECT_FALSE(TlsClient(server.port(), TLS1_1_VERSION).connected());
}

TEST_F(HttpTlsTest, CarriesLargeBodiesBothWaysToASlowReader) {
  HttpServer server(options(), handler());
  TlsClient client(server.port(), TLS1_3_VERSION, 8192);
  ASSERT_TRUE(client.connected());
  std::string body(3 << 20, 0);
  for (std::size_t i = 0; i < body.size(); ++i) body[i] = static_cast<char>('a' + i * 7 % 26);
  client.send(post("/", body));
  client.read_until("\r\n\r\n");
  std::this_thread::sleep_for(50ms);
  EXPECT_TRUE(client.read(body.size()) == body);
  client.send(get("/", "Connection: close\r\n"));
  client.read_until("\r\n\r\n");
  EXPECT_EQ(client.read(1), "");
  EXPECT_TRUE(client.clean_end) << "a close_notify, so that nobody takes it for cut off";
}

TEST_F(HttpTlsTest, StreamsAndNoticesAClientThatLeaves) {
  HttpServer server(options(), handler());
  for (const bool reset : {false, true}) {
    TlsClient client(server.port());
    ASSERT_TRUE(client.connected());
    client.send(get("/wait"));
    const auto exchange = waiting_.take();
    std::atomic<bool> gone = false;
    exchange->on_disconnect([&] { gone = true; });
    exchange->begin({});
    for (int i = 0; i < 100; ++i) exchange->write(fmt::format("token {},", i));
    EXPECT_THAT(client.read_until("token 99,"), HasSubstr("token 98,"));
    EXPECT_FALSE(gone);
    const auto left = Clock::now();
    reset ? client.below().reset() : client.below().close();
    EXPECT_TRUE(eventually([&] { return gone.load(); }));
    EXPECT_LT(Clock::now() - left, 100ms);
  }
}

TEST_F(HttpTlsTest, TellsPlainHttpThatThisIsTls) {
  HttpServer server(options(), handler());
  Client client(server.port());
  client.send(get("/"));
  const Response response = client.read_response();
  EXPECT_EQ(response.status, 400);
  EXPECT_THAT(response.body, HasSubstr("this port speaks TLS"));
  EXPECT_TRUE(client.sees_close());
}

TEST_F(HttpTlsTest, GivesUpOnHandshakesThatAreNoneOrNeverEnd) {
  HttpServerOptions impatient = options();
  impatient.request_timeout = 150ms;
  HttpServer server(std::move(impatient), handler());
  Client garbage(server.port());
  garbage.send(std::string(1000, '\x17'));
  EXPECT_NE(garbage.read_rest(), "HTTP");
  Client silent(server.port());
  EXPECT_TRUE(silent.sees_close());
  Client half(server.port());
  half.send(std::string("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 11));
  EXPECT_TRUE(half.sees_close());
  EXPECT_TRUE(eventually([&] { return server.num_connections() == 0; }));
}

TEST_F(HttpTlsTest, DrainsAndStopsWithAStreamInFlight) {
  HttpServer server(options(), handler());
  TlsClient idle(server.port());
  TlsClient client(server.port());
  client.send(get("/wait"));
  const auto exchange = waiting_.take();
  exchange->begin({.body = "begun"});
  client.read_until("begun\r\n");
  std::thread stopper([&] { server.stop(kPatience); });
  EXPECT_EQ(idle.read(1), "");
  EXPECT_TRUE(idle.clean_end);
  exchange->write("rest");
  exchange->finish();
  EXPECT_EQ(client.read_until("0\r\n\r\n"), "4\r\nrest\r\n0\r\n\r\n");
  EXPECT_EQ(client.read(1), "");
  EXPECT_TRUE(client.clean_end);
  client.below().close();
  stopper.join();
}

TEST_F(HttpTlsTest, NamesTheFileThatCannotBeUsed) {
  const auto error_of = [&](const HttpServerOptions& bad) -> std::string {
    try {
      const HttpServer server(bad, handler());
    } catch (const Error& error) {
      return error.what();
    }
    return "none";
  };
  HttpServerOptions bad = options();
  bad.certificate_file = folder_ / "missing.pem";
  EXPECT_THAT(error_of(bad),
              HasSubstr("missing.pem: expected a certificate chain in PEM form: No such file"));
  bad = options();
  bad.certificate_file = folder_ / "key.pem";
  EXPECT_THAT(error_of(bad), HasSubstr("key.pem: expected a certificate chain"));
  bad = options();
  bad.private_key_file = folder_ / "cert.pem";
  EXPECT_THAT(error_of(bad), HasSubstr("cert.pem: expected the private key of"));
  bad = options();
  bad.private_key_file.clear();
  EXPECT_THAT(error_of(bad), HasSubstr("TLS needs both"));
  fs::create_directory(folder_ / "other");
  make_certificate(folder_ / "other");
  bad = options();
  bad.private_key_file = folder_ / "other" / "key.pem";
  EXPECT_THAT(error_of(bad), HasSubstr("key values mismatch"));
}

TEST_F(HttpTlsTest, KeepsNoBuffersOfIdleConnections) {
  HttpServer server(options(), handler());
  std::vector<std::unique_ptr<TlsClient>> clients;
  const auto add = [&] {
    clients.push_back(std::make_unique<TlsClient>(server.port()));
    clients.back()->send(get("/"));
    clients.back()->read_until("\r\n\r\n");
  };
  for (int i = 0; i < 10; ++i) add();
  const std::size_t before = resident_bytes();
  for (int i = 0; i < 100; ++i) add();
  const std::size_t grown = (resident_bytes() - before) / 100;
  RecordProperty("bytes_per_connection", static_cast<int>(grown));
  if (!kSanitized) {
    EXPECT_LT(grown, std::size_t{64} << 10) << "with the client's end, which has a context of its own";
  }
  EXPECT_EQ(server.num_connections(), 110U);
}

}  // namespace
}  // namespace gossamer::test
