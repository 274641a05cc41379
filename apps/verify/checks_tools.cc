// gossamer verify, tools: what is promised to be JSON of a schema is, however hot the sampling; judged by a
// validator that shares nothing with the grammars.
#include <string>

#include "apps/verify/check.h"
#include "apps/verify/deployment.h"
#include "grammar/schema_validator.h"

namespace gossamer::apps {
namespace {

constexpr const char* kChat = "/v1/chat/completions";
constexpr double kHot = 1.5;
constexpr int kNumSeeds = 6;

// Every kind of value, and short enough to end by itself.
const json::value& booking_schema() {
  static const json::value schema = json::parse(R"({"type": "object", "additionalProperties": false,
    "properties": {
      "city": {"type": "string", "enum": ["Paris", "K\u00f6ln", "\u6771\u4eac"]},
      "nights": {"type": "integer", "minimum": 1, "maximum": 30},
      "rooms": {"type": "array", "minItems": 1, "maxItems": 2, "items": {
        "type": "object", "additionalProperties": false,
        "properties": {"beds": {"type": "integer", "minimum": 1, "maximum": 3}, "sea_view": {"type": "boolean"}},
        "required": ["beds", "sea_view"]}},
      "code": {"anyOf": [{"type": "string", "pattern": "^[A-Z]{2}[0-9]{3}$"}, {"type": "null"}]}},
    "required": ["city", "nights", "rooms", "code"]})");
  return schema;
}

json::array tools() {
  json::array list;
  list.push_back(json::object{{"type", "function"},
                              {"function", json::object{{"name", "book_hotel"},
                                                        {"description", "Book a hotel."},
                                                        {"strict", true},
                                                        {"parameters", booking_schema()}}}});
  return list;
}

json::object chat(const Deployment& deployment, int seed) {
  if (!deployment.has_chat()) skip("the deployment answers no conversations");
  json::object body = deployment.request();
  body["messages"] = conversation("Book me a hotel in Paris for two nights.");
  body["temperature"] = kHot;
  body["seed"] = seed;
  body["max_tokens"] = 1024;
  if (deployment.is_harmony()) body["reasoning_effort"] = "low";
  return body;
}

// skip() where the endpoint refuses what is asked: tools and schemas are no part of every server.
Reply ask(Deployment& deployment, const json::object& body, const char* what) {
  Reply reply = deployment.post(kChat, body);
  constexpr int kUnprocessable = 422;
  if (reply.status == 400 || reply.status == kUnprocessable || reply.is_missing())
    skip("the deployment does not take {}: {}", what, reply.describe());
  expect(reply.ok(), "{}: expected an answer with {}, found {}", kChat, what, reply.describe());
  return reply;
}

void expect_valid(const std::string& text, const std::string& what) {
  boost::system::error_code error;
  const json::value value = json::parse(text, error);
  expect(!error, "{}: expected JSON, found {}", what, shown(text));
  const std::string wrong = violation(value, booking_schema(), booking_schema());
  expect(wrong.empty(), "{}: {} is against the schema: {}", what, shown(text), wrong);
}

bool was_cut(const Reply& reply) { return text_at(reply.json, "/choices/0/finish_reason") == "length"; }

CheckResult counted(int num_cut, const std::string& what) {
  if (num_cut == kNumSeeds) skip("all {} answers were longer than 1,024 tokens", kNumSeeds);
  return {.reason = fmt::format("{} of {} {} at temperature {}{}", kNumSeeds - num_cut, kNumSeeds, what, kHot,
                                num_cut == 0 ? "" : "; the others were cut by max_tokens")};
}

CheckResult calls_follow_their_schema(Deployment& deployment) {
  int num_cut = 0;
  for (int seed = 0; seed < kNumSeeds; ++seed) {
    json::object body = chat(deployment, seed);
    body["tools"] = tools();
    body["tool_choice"] = "required";
    const Reply reply = ask(deployment, body, "tool_choice required");
    if (was_cut(reply)) {
      ++num_cut;
      continue;
    }
    const json::array* calls = array_at(reply.json, "/choices/0/message/tool_calls");
    expect(calls != nullptr && !calls->empty(), "seed {}: expected a call, found {}", seed,
           shown(reply.body));
    for (const json::value& call : *calls) {
      const std::string name = text_at(call, "/function/name").value_or("");
      expect(name == "book_hotel", "seed {}: expected a call of book_hotel, found {}", seed, name);
      expect_valid(text_at(call, "/function/arguments").value_or(""),
                   fmt::format("seed {}, arguments", seed));
    }
  }
  return counted(num_cut, "calls are valid");
}

CheckResult answers_follow_their_schema(Deployment& deployment) {
  int num_cut = 0;
  for (int seed = 0; seed < kNumSeeds; ++seed) {
    json::object body = chat(deployment, seed);
    body["response_format"] = json::object{
        {"type", "json_schema"},
        {"json_schema", json::object{{"name", "booking"}, {"strict", true}, {"schema", booking_schema()}}}};
    const Reply reply = ask(deployment, body, "response_format json_schema");
    if (was_cut(reply)) {
      ++num_cut;
      continue;
    }
    expect_valid(text_at(reply.json, "/choices/0/message/content").value_or(""),
                 fmt::format("seed {}, content", seed));
  }
  return counted(num_cut, "answers are valid");
}

CheckResult none_means_no_call(Deployment& deployment) {
  for (int seed = 0; seed < kNumSeeds; ++seed) {
    json::object body = chat(deployment, seed);
    body["tools"] = tools();
    body["tool_choice"] = "none";
    body["max_tokens"] = 128;
    const Reply reply = ask(deployment, body, "tool_choice none");
    const json::array* calls = array_at(reply.json, "/choices/0/message/tool_calls");
    expect(calls == nullptr || calls->empty(), "seed {}: expected no call, found {}", seed,
           shown(reply.body));
  }
  return {.reason = fmt::format("{} answers without a call", kNumSeeds)};
}

}  // namespace

std::vector<Check> tools_theme() {
  return {{"tools", "a required call follows its schema", calls_follow_their_schema, 5.0},
          {"tools", "a structured answer follows its schema", answers_follow_their_schema, 5.0},
          {"tools", "tool_choice none: no call", none_means_no_call, 3.0}};
}

}  // namespace gossamer::apps
