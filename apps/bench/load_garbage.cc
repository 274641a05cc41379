#include "apps/bench/load_garbage.h"

#include <fmt/format.h>

#include <utility>

#include "base/check.h"
#include "base/json.h"

namespace gossamer::apps {
namespace {

// The fields of a request that would be right.
json::object right_body(const LoadPlan& plan) {
  json::object body = {{"model", plan.model()}, {"max_tokens", 4}};
  if (plan.endpoint() == LoadEndpoint::kChat) {
    body["messages"] = json::array{json::object{{"role", "user"}, {"content", "Hello"}}};
  } else {
    body["prompt"] = "Hello";
  }
  return body;
}

std::string with(const LoadPlan& plan, const char* key, json::value value) {
  json::object body = right_body(plan);
  body[key] = std::move(value);
  return json::serialize(body);
}

GarbageRequest body_of(const char* name, const LoadPlan& plan, std::string body) {
  return {.name = name, .call = plan.post(std::move(body))};
}

// Bytes instead of a request, after which nothing comes.
GarbageRequest bytes_of(const char* name, const LoadPlan& plan, const std::string& head, std::string rest) {
  GarbageRequest garbage{.name = name, .call = plan.post({}), .may_close = true};
  std::string text = head;
  if (!head.empty()) {
    text = fmt::format("POST {} HTTP/1.1\r\nHost: {}\r\n", garbage.call.url.target, garbage.call.url.host);
    for (const auto& [key, value] : garbage.call.headers) text += key + ": " + value + "\r\n";
    text += head;
  }
  garbage.call.raw = text + std::move(rest);
  garbage.call.half_close = !garbage.call.url.is_tls;
  return garbage;
}

}  // namespace

GarbageRequest make_garbage(std::size_t kind, const LoadPlan& plan) {
  const char* content = plan.endpoint() == LoadEndpoint::kChat ? "messages" : "prompt";
  switch (kind) {
    case 0:
      return body_of("cut-off JSON", plan, "{\"model\": \"x\", \"messages\": [{\"role\": \"us");
    case 1:
      return body_of("a body that is no object", plan, "[1, 2, 3]");
    case 2:
      return body_of("a prompt of the wrong type", plan, with(plan, content, 42));
    case 3:
      return body_of("max_tokens of the wrong type", plan, with(plan, "max_tokens", "many"));
    case 4:
      return body_of("negative max_tokens", plan, with(plan, "max_tokens", -5));
    case 5:
      return body_of("temperature out of range", plan, with(plan, "temperature", 1e9));
    case 6:
      return body_of("JSON 100,000 deep", plan, std::string(100'000, '['));
    case 7:
      return body_of("bytes that are not UTF-8", plan, "{\"model\": \"\xFF\xFE\xC0\x80\"}");
    case 8: {
      GarbageRequest garbage = body_of("a header of 256 KiB", plan, json::serialize(right_body(plan)));
      garbage.call.headers.emplace_back("X-Large", std::string(std::size_t{256} << 10, 'x'));
      garbage.may_close = true;
      return garbage;
    }
    case 9:
      return bytes_of("no HTTP", plan, {}, "\x16\x03\x01\x02 not a request\r\n\r\n");
    case 10:
      return bytes_of("a cut-off head", plan, "Content-Le", {});
    case 11:
      return bytes_of("a cut-off body", plan,
                      "Content-Type: application/json\r\nContent-Length: 5000\r\n\r\n", "{\"model\": ");
    case 12:
      return bytes_of("broken chunks", plan,
                      "Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n",
                      "zz\r\n{}\r\n0\r\n\r\n");
    default:
      break;
  }
  GOSSAMER_CHECK_LT(kind, kNumGarbageKinds);
  return {};
}

}  // namespace gossamer::apps
