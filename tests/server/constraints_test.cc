// What a request's answers are held to, told by which texts its constraint lets through.
#include "server/constraints.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "grammar/json_schema.h"
#include "server/grammar_cache.h"
#include "server/openai_call.h"
#include "tests/server/server_testing.h"

namespace gossamer {
namespace {

using test::parse;
using testing::AllOf;
using testing::HasSubstr;

const CallIdentity kIdentity{.id = "0123", .created = 1700000000, .default_seed = 77};

constexpr const char* kThought = "<|channel|>analysis<|message|>the day<|end|><|start|>assistant";
constexpr const char* kCallF = "<|channel|>commentary to=functions.f <|constrain|>json<|message|>";

std::string final_of(const std::string& text) { return "<|channel|>final<|message|>" + text + "<|return|>"; }
std::string call_of(const std::string& arguments) { return kCallF + arguments + "<|call|>"; }

std::string chat(const std::string& more = "") {
  return R"({"messages": [{"role": "user", "content": "hi"}])" + more + "}";
}
std::string tool(const std::string& name, const std::string& more = "") {
  return R"({"type": "function", "function": {"name": ")" + name + "\"" + more + "}}";
}
// Two tools: f with a schema, g without parameters.
std::string tools(const std::string& more = "", bool strict = false) {
  return R"(, "tools": [)" +
         tool("f", std::string(R"(, "parameters": {"type": "object", "properties": {"a": {"type": "integer"}},
              "required": ["a"], "additionalProperties": false}, "strict": )") +
                       (strict ? "true" : "false")) +
         ", " + tool("g") + "]" + more;
}
std::string json_schema(const std::string& schema) {
  return R"(, "response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": )" + schema +
         "}}";
}

class ConstraintsTest : public testing::Test {
 protected:
  Request request_of(const std::string& body, Endpoint endpoint = Endpoint::kChat) const {
    ApiResult<PreparedCall> call = prepare_call(endpoint, parse(body), model_, kIdentity);
    EXPECT_TRUE(call.ok()) << body << "\n" << (call.ok() ? "" : call.error().message);
    return call.ok() ? std::move(call).value().requests.at(0) : Request();
  }
  ApiError refusal(const std::string& body, Endpoint endpoint = Endpoint::kChat) const {
    const ApiResult<PreparedCall> call = prepare_call(endpoint, parse(body), model_, kIdentity);
    EXPECT_FALSE(call.ok()) << body;
    return call.ok() ? ApiError() : call.error();
  }

  // How far the request's constraint lets `text` through: all of it, or up to before "<here>".
  std::string let_through(const Request& request, const std::string& text) const {
    if (!request.make_constraint) return text + " (nothing asked)";
    const std::unique_ptr<TokenConstraint> constraint = request.make_constraint();
    const std::vector<int32_t> ids = test::ids_of_text(*tokenizer_, text);
    std::vector<uint64_t> mask(static_cast<std::size_t>(model_.vocab_size + 63) / 64);
    for (std::size_t i = 0; i < ids.size(); ++i) {
      std::fill(mask.begin(), mask.end(), 0);
      std::string error = constraint->fill_mask(std::span(ids).first(i), mask);
      if (!error.empty()) return error;
      if (!is_allowed(mask, ids[i])) return tokenizer_->decode(std::span(ids).first(i)) + "<here>";
    }
    return text;
  }
  bool allows(const std::string& body, const std::string& text) const {
    return let_through(request_of(body), text) == text;
  }
  bool completes(const std::string& more, const std::string& text) const {
    const Request request = request_of(R"({"prompt": "the", )" + more + "}", Endpoint::kCompletions);
    return let_through(request, text + "<|endoftext|>") == text + "<|endoftext|>";
  }
  int32_t id(const char* special) const { return *tokenizer_->special_id(special); }

  std::unique_ptr<Tokenizer> tokenizer_ = test::load_tokenizer("tiny_oss.json");
  GrammarCache grammars_{*tokenizer_};
  ServedModel model_ = [this] {
    ServedModel model = test::make_model(*tokenizer_, true);
    model.grammars = &grammars_;
    model.max_model_len = 1'000'000;
    return model;
  }();
};

TEST_F(ConstraintsTest, HoldsEveryChatToLegalChannels) {
  EXPECT_TRUE(allows(chat(), kThought + final_of("fine")));
  EXPECT_TRUE(allows(chat(), final_of("fine")));
  EXPECT_FALSE(allows(chat(), "fine"));
  EXPECT_FALSE(allows(chat(), "<|channel|>secret<|message|>x<|return|>"));
  EXPECT_FALSE(allows(chat(), call_of("{}"))) << "no tools are declared";
  EXPECT_EQ(let_through(request_of(chat()), final_of("a<|start|>")), "<|channel|>final<|message|>a<here>");
}

TEST_F(ConstraintsTest, LetsOnlyDeclaredToolsBeCalled) {
  EXPECT_TRUE(allows(chat(tools()), kThought + call_of(R"({"a": 1})")));
  EXPECT_TRUE(allows(chat(tools()), final_of("or no call")));
  EXPECT_FALSE(allows(chat(tools()), "<|channel|>commentary to=functions.h<|message|>{}<|call|>"));
  EXPECT_FALSE(allows(chat(tools(R"(, "tool_choice": "none")")), call_of("{}")));
}

TEST_F(ConstraintsTest, HoldsArgumentsToTheirSchemaWhereTheRequestInsists) {
  const std::string loose = call_of(R"({"b": [true]})");
  const std::string right = call_of(R"({"a": 1})");
  EXPECT_TRUE(allows(chat(tools()), loose)) << "not strict: any object";
  EXPECT_FALSE(allows(chat(tools()), call_of("[1]"))) << "but an object";
  for (const std::string& insisting :
       {tools("", true), tools(R"(, "tool_choice": "required")"),
        tools(R"(, "tool_choice": {"type": "function", "function": {"name": "f"}})")}) {
    EXPECT_FALSE(allows(chat(insisting), loose)) << insisting;
    EXPECT_TRUE(allows(chat(insisting), right)) << insisting;
  }
  const std::string g = "<|channel|>commentary to=functions.g<|message|>";
  EXPECT_TRUE(allows(chat(tools()), g + R"({"x": 1}<|call|>)"));
  EXPECT_FALSE(allows(chat(tools(R"(, "tool_choice": "required")")), g + R"({"x": 1}<|call|>)"))
      << "a function without parameters takes none";
  EXPECT_TRUE(allows(chat(tools(R"(, "tool_choice": "required")")), g + "{}<|call|>"));
}

TEST_F(ConstraintsTest, RequiresACallWhereTheRequestDoes) {
  const std::string g = "<|channel|>commentary to=functions.g<|message|>{}<|call|>";
  const std::string required = chat(tools(R"(, "tool_choice": "required")"));
  EXPECT_FALSE(allows(required, final_of("no")));
  EXPECT_FALSE(allows(required, kThought + final_of("no")));
  EXPECT_TRUE(allows(required, kThought + g));
  const std::string named =
      chat(tools(R"(, "tool_choice": {"type": "function", "function": {"name": "f"}})"));
  EXPECT_FALSE(allows(named, g));
  EXPECT_TRUE(allows(named, call_of(R"({"a": 1})")));
  const auto allowed = [](const char* mode) {
    return chat(tools(R"(, "tool_choice": {"type": "allowed_tools", "allowed_tools": {"mode": ")" +
                      std::string(mode) +
                      R"(", "tools": [{"type": "function", "function": {"name": "g"}}]}})"));
  };
  EXPECT_TRUE(allows(allowed("required"), g));
  EXPECT_FALSE(allows(allowed("required"), call_of(R"({"a": 1})")));
  EXPECT_FALSE(allows(allowed("required"), final_of("no")));
  EXPECT_TRUE(allows(allowed("auto"), final_of("no")));
  const ApiError error = refusal(chat(tools(
      R"(, "tool_choice": {"type": "allowed_tools", "allowed_tools": {"mode": "required", "tools": []}})")));
  EXPECT_EQ(error.status, 400);
  EXPECT_EQ(error.param, "tool_choice");
}

TEST_F(ConstraintsTest, LetsSeveralCallsBeMadeOnlyWhereTheRequestSaysSo) {
  const std::string one = std::string(kCallF) + R"({"a": 1})";
  const std::string two = one + "<|end|><|start|>assistant" + one + "<|call|>";
  EXPECT_FALSE(allows(chat(tools()), two));
  EXPECT_FALSE(allows(chat(tools(R"(, "parallel_tool_calls": false)")), two));
  EXPECT_TRUE(allows(chat(tools(R"(, "parallel_tool_calls": true)")), two));
  EXPECT_TRUE(allows(chat(tools(R"(, "parallel_tool_calls": true)")), one + "<|call|>"));
}

TEST_F(ConstraintsTest, HoldsTheFinalChannelAloneToAResponseFormat) {
  const std::string body = chat(json_schema(R"({"type": "object", "properties": {"x": {"enum": ["u", "v"]}},
                                                "required": ["x"], "additionalProperties": false})"));
  EXPECT_TRUE(allows(body, kThought + final_of(R"({"x": "u"})")));
  EXPECT_FALSE(allows(body, final_of(R"({"x": "w"})")));
  EXPECT_FALSE(allows(body, final_of("text")));
  const std::string object = chat(R"(, "response_format": {"type": "json_object"})");
  EXPECT_TRUE(allows(object, kThought + final_of(R"({"any": [1, null]})")));
  EXPECT_FALSE(allows(object, final_of("[1]")));
  const std::string open =
      chat(R"(, "response_format": {"type": "json_schema", "json_schema": {"name": "n"}})");
  EXPECT_TRUE(allows(open, final_of(R"({"any": 1})"))) << "without a schema any object will do";
  const std::string with_tools = chat(tools() + json_schema(R"({"type": "object"})"));
  EXPECT_TRUE(allows(with_tools, call_of("{}")));
  EXPECT_TRUE(allows(with_tools, final_of("{}")));
  EXPECT_FALSE(allows(with_tools, "<|channel|>commentary<|message|>I look.<|end|>"));
}

TEST_F(ConstraintsTest, LeavesReasoningOutWhereTheEffortIsNone) {
  const std::string none = chat(R"(, "reasoning_effort": "none")");
  EXPECT_FALSE(allows(none, kThought + final_of("fine")));
  EXPECT_TRUE(allows(none, final_of("fine")));
  EXPECT_TRUE(allows(chat(R"(, "reasoning_effort": "minimal")"), kThought + final_of("fine")));
  EXPECT_FALSE(allows(chat(R"(, "chat_template_kwargs": {"reasoning_effort": "none"})"), kThought));
}

TEST_F(ConstraintsTest, EndsReasoningOnceItsBudgetIsUsedUp) {
  const auto body = [](int budget, const std::string& more = "") {
    return chat(fmt::format(R"(, "thinking_token_budget": {}{})", budget, more));
  };
  const std::string thought = "<|channel|>analysis<|message|>";
  const std::string next = "<|end|><|start|>assistant";
  ASSERT_EQ(tokenizer_->encode("aaa").size(), 3U) << "the test counts tokens";
  EXPECT_TRUE(allows(body(3), thought + "aaa" + next + final_of("a longer answer than the budget")));
  EXPECT_EQ(let_through(request_of(body(2)), thought + "aaa"), thought + "aa<here>");
  EXPECT_TRUE(allows(body(3), thought + "a" + next + thought + "aa" + next + final_of("x")));
  EXPECT_EQ(let_through(request_of(body(3)), thought + "a" + next + thought + "aaa"),
            thought + "a" + next + thought + "aa<here>");
  EXPECT_EQ(let_through(request_of(body(3)), thought + "aaa" + next + thought),
            thought + "aaa" + next + "<|channel|><here>")
      << "no further thought";
  EXPECT_FALSE(allows(body(0), thought));
  EXPECT_TRUE(allows(body(0), final_of("x")));
  EXPECT_TRUE(allows(body(1), final_of("an answer without reasoning has no budget to keep")));
  // A character of four tokens is finished first.
  const std::string emoji = "\xF0\x9F\x98\x81";
  ASSERT_GT(tokenizer_->encode(emoji).size(), 1U);
  EXPECT_TRUE(allows(body(1), thought + emoji + next + final_of("x")));
  const std::string required = tools(R"(, "tool_choice": "required")");
  EXPECT_TRUE(allows(body(1, required), thought + "a" + next + call_of(R"({"a": 1})")));
  EXPECT_FALSE(allows(body(1, required), thought + "a" + next + final_of("no")));
  EXPECT_EQ(refusal(body(-1)).param, "thinking_token_budget");
}

TEST_F(ConstraintsTest, EndsWhatItPromisedThoughTheRequestIgnoresTheEnd) {
  const std::string ignore = R"(, "ignore_eos": true)";
  EXPECT_FALSE(request_of(chat(ignore)).make_constraint) << "tokens without end, as benchmarks want them";
  EXPECT_TRUE(request_of(chat(ignore)).stop_token_ids.empty());
  const Request promised = request_of(chat(ignore + json_schema(R"({"type": "object"})")));
  EXPECT_TRUE(promised.make_constraint);
  EXPECT_THAT(promised.stop_token_ids, testing::ElementsAre(id("<|return|>"), id("<|call|>")));
  const Request plain = request_of(chat(R"(, "stop_token_ids": [7])"));
  EXPECT_THAT(plain.stop_token_ids,
              testing::ElementsAre(id("<|endoftext|>"), 7, id("<|return|>"), id("<|call|>")));
}

TEST_F(ConstraintsTest, NamesTheUnsupportedPartOfASchema) {
  const std::string bad = R"({"type": "object", "properties": {"p": {"not": {}}}})";
  const ApiError format = refusal(chat(json_schema(bad)));
  EXPECT_EQ(format.status, 400);
  EXPECT_EQ(format.param, "response_format.json_schema.schema");
  EXPECT_EQ(format.code, "invalid_json_schema");
  EXPECT_THAT(format.message, AllOf(HasSubstr("#/properties/p"), HasSubstr("not")));
  const auto two_tools = [&](const char* strict) {
    return chat(R"(, "tools": [)" + tool("f") + "," +
                tool("g", R"(, "strict": )" + std::string(strict) + R"(, "parameters": )" + bad) + "]");
  };
  const ApiError arguments = refusal(two_tools("true"));
  EXPECT_EQ(arguments.param, "tools[1].function.parameters");
  EXPECT_EQ(arguments.code, "invalid_function_parameters");
  EXPECT_THAT(arguments.message, HasSubstr("#/properties/p"));
  EXPECT_TRUE(request_of(two_tools("false")).make_constraint) << "a description, not a promise";
}

TEST_F(ConstraintsTest, RefusesWhatItCannotPromise) {
  model_.grammars = nullptr;
  EXPECT_FALSE(request_of(chat(tools())).make_constraint);
  for (const auto& [body, param] : std::vector<std::pair<std::string, std::string>>{
           {tools(R"(, "tool_choice": "required")"), "tool_choice"},
           {tools("", true), "tools[0].function.strict"},
           {json_schema("{}"), "response_format"},
           {R"(, "thinking_token_budget": 5)", "thinking_token_budget"}}) {
    const ApiError error = refusal(chat(body));
    EXPECT_EQ(error.param, param);
    EXPECT_EQ(error.code, "unsupported_parameter");
  }
  EXPECT_EQ(refusal(R"({"prompt": "x", "guided_choice": ["a"]})", Endpoint::kCompletions).param,
            "guided_choice");
}

TEST_F(ConstraintsTest, RefusesHugeSchemasInBoundedTime) {
  std::string deep = R"({"type": "integer"})";
  for (int i = 0; i < 25; ++i) deep = R"({"type": "array", "items": )" + deep + "}";
  EXPECT_TRUE(request_of(chat(json_schema(deep))).make_constraint);
  std::string wide = R"({"enum": ["a")";
  for (int i = 0; i < 40'000; ++i) wide += fmt::format(",\"value {}\"", i);
  // Each of these takes long to compile; together they have the time of one.
  const std::string pattern = R"JSON({"type": "string", "pattern": "(a|b)*a(a|b){11}(c|d)*c(c|d){11}"})JSON";
  std::string many;
  for (int i = 0; i < 200; ++i) {
    many += fmt::format("{}{}", i == 0 ? "" : ",",
                        tool(fmt::format("f{}", i), R"(, "strict": true, "parameters": {"type": "object",
                             "properties": {"p": )" + pattern +
                                                        "}}"));
  }
  for (const std::string& body : {chat(json_schema(wide + "]}")), chat(R"(, "tools": [)" + many + "]")}) {
    const auto begin = std::chrono::steady_clock::now();
    EXPECT_EQ(refusal(body).status, 400);
    const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - begin;
    EXPECT_LT(seconds.count(), 20.0) << "most of it for one budget of work; slower under sanitizers";
  }
}

TEST_F(ConstraintsTest, HoldsACompletionToWhatGuidesIt) {
  model_.has_chat_form = false;
  const std::string schema = R"({"type": "object", "properties": {"a": {"type": "integer"}},
                                 "required": ["a"], "additionalProperties": false})";
  for (const std::string& asked :
       {R"("guided_json": )" + schema, R"("structured_outputs": {"json": )" + schema + "}",
        R"("guided_json": )" + json::serialize(json::value(schema)),
        R"("response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": )" + schema +
            "}}"}) {
    EXPECT_TRUE(completes(asked, R"({"a": 12})")) << asked;
    EXPECT_FALSE(completes(asked, R"({"b": 12})")) << asked;
  }
  for (const char* asked :
       {R"("structured_outputs": {"json_object": true})", R"("response_format": {"type": "json_object"})"}) {
    EXPECT_TRUE(completes(asked, R"({"b": [12]})")) << asked;
    EXPECT_FALSE(completes(asked, "[12]")) << asked;
  }
  for (const char* asked :
       {R"("guided_regex": "(ab|cd)+[0-9]{2}")", R"("guided_regex": "^(ab|cd)+[0-9]{2}$")",
        R"("structured_outputs": {"regex": "(ab|cd)+\\d{2}"})"}) {
    EXPECT_TRUE(completes(asked, "abcdab17")) << asked;
    EXPECT_FALSE(completes(asked, "abcdab1")) << asked;
    EXPECT_FALSE(completes(asked, "xab17")) << asked << ": the whole text, not a part of it";
  }
  for (const char* asked : {R"("guided_choice": ["yes", "no", "not at all"])",
                            R"("structured_outputs": {"choice": ["yes", "no", "not at all"]})"}) {
    EXPECT_TRUE(completes(asked, "no")) << asked;
    EXPECT_TRUE(completes(asked, "not at all")) << asked;
    EXPECT_FALSE(completes(asked, "not")) << asked;
  }
  EXPECT_FALSE(request_of(R"({"prompt": "x", "response_format": {"type": "text"}})", Endpoint::kCompletions)
                   .make_constraint);
  const Request request =
      request_of(R"({"prompt": "x", "guided_choice": ["a"], "ignore_eos": true})", Endpoint::kCompletions);
  EXPECT_THAT(request.stop_token_ids, testing::ElementsAre(id("<|endoftext|>")));
}

TEST_F(ConstraintsTest, RefusesGuidanceThatItCannotFollow) {
  const auto error = [&](const std::string& more) {
    return refusal(R"({"prompt": "x", )" + more + "}", Endpoint::kCompletions);
  };
  EXPECT_EQ(error(R"_("guided_regex": "a(?=b)")_").param, "guided_regex");
  EXPECT_EQ(error(R"("guided_regex": "[^\\s\\S]")").param, "guided_regex");
  EXPECT_EQ(error(R"_("guided_regex": "(((a{999}){999}){999})")_").param, "guided_regex");
  EXPECT_EQ(error(R"("guided_json": {"not": {}})").param, "guided_json");
  EXPECT_EQ(error(R"("guided_json": "{")").param, "guided_json");
  EXPECT_EQ(error(R"("guided_json": 5)").param, "guided_json");
  EXPECT_EQ(error(R"("guided_choice": [])").param, "guided_choice");
  EXPECT_EQ(error(R"("guided_choice": ["a", ""])").param, "guided_choice[1]");
  EXPECT_EQ(error(R"("guided_choice": ["a"], "guided_regex": "b")").param, "guided_choice");
  EXPECT_EQ(error(R"("guided_regex": "b", "response_format": {"type": "json_object"})").param,
            "response_format");
  EXPECT_EQ(error(R"("structured_outputs": {"grammar": "root ::= x"})").param, "structured_outputs.grammar");
  EXPECT_EQ(error(R"("guided_choice": [")" + std::string(60'000, 'a') + R"("])").param, "guided_choice");
}

TEST(GrammarCache, MakesAGrammarOnceAndForgetsTheLeastUsed) {
  const std::unique_ptr<Tokenizer> tokenizer = test::load_tokenizer("tiny_oss.json");
  GrammarCache cache(*tokenizer, {.max_grammars = 2, .max_bytes = std::size_t{1} << 30});
  const auto ask = [&](const std::string& definition) {
    return cache.find_or_make(definition, [] { return json_object_grammar(); }).value().get();
  };
  const GrammarMasks* a = ask("a");
  EXPECT_EQ(ask("a"), a);
  ask("b");
  EXPECT_EQ(ask("a"), a) << "now b is the least recently used";
  ask("c");
  EXPECT_EQ(cache.counts().made, 3);
  EXPECT_EQ(cache.counts().num_grammars, 2U);
  ask("a");
  EXPECT_EQ(cache.counts().made, 3) << "a was kept";
  ask("b");
  EXPECT_EQ(cache.counts().made, 4) << "b was not";
  EXPECT_GT(cache.counts().num_bytes, 0U);
}

TEST(GrammarCache, KeepsNoMoreBytesThanItMay) {
  const std::unique_ptr<Tokenizer> tokenizer = test::load_tokenizer("tiny_oss.json");
  const auto make = [] { return json_object_grammar(); };
  GrammarCache small(*tokenizer, {.max_grammars = 100, .max_bytes = 1});
  ASSERT_TRUE(small.find_or_make("a", make).ok());
  ASSERT_TRUE(small.find_or_make("b", make).ok());
  EXPECT_EQ(small.counts().num_grammars, 1U) << "the last one is always kept";
}

TEST(GrammarCache, ForgetsARefusalAndServesManyThreads) {
  const std::unique_ptr<Tokenizer> tokenizer = test::load_tokenizer("tiny_oss.json");
  GrammarCache cache(*tokenizer);
  const auto refuse = []() -> Result<Grammar> { return RequestError{RequestErrorKind::kInvalid, "no"}; };
  EXPECT_FALSE(cache.find_or_make("a", refuse).ok());
  EXPECT_TRUE(cache.find_or_make("a", [] { return json_object_grammar(); }).ok());
  std::atomic<int> made = 0;
  std::vector<std::thread> threads;
  threads.reserve(8);
  for (int t = 0; t < 8; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 50; ++i) {
        const auto masks = cache.find_or_make("number " + std::to_string(i), [&] {
          ++made;
          return json_object_grammar();
        });
        EXPECT_TRUE(masks.ok());
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(made, 50);
}

}  // namespace
}  // namespace gossamer
