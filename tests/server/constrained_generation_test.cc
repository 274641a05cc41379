// Requests through prepare_call and an engine with random weights, which says anything that it is let: all
// that ends is Harmony by the reference's strict rules, calls declared tools, and satisfies its schema, as a
// validator says that shares nothing with the grammars.
//
//   GOSSAMER_CONSTRAINED_GENERATIONS=10000  so many answers (with the real vocabulary a fiftieth)
//   GOSSAMER_CONSTRAINED_DUMP=FILE          JSON lines {"kind", "schema", "text"} for another validator
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <map>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "grammar/schema_validator.h"
#include "server/constraints.h"
#include "server/grammar_cache.h"
#include "server/openai_call.h"
#include "tests/engine/engine_rig.h"
#include "tests/grammar/sample_schemas.h"
#include "tests/server/server_testing.h"
#include "tests/text/text_fixtures.h"
#include "text/harmony_reference.h"

namespace gossamer {
namespace {

using test::parse;

int64_t num_generations() {
  const char* number = std::getenv("GOSSAMER_CONSTRAINED_GENERATIONS");
  return number == nullptr ? 400 : std::strtoll(number, nullptr, 10);
}

// Processor time for masks. Those that take long are first uses of a grammar's wide states.
struct MaskTime {
  static constexpr double kLong = 1e-3;
  double seconds = 0.0;
  double seconds_of_long = 0.0;
  int64_t count = 0;
  int64_t count_of_long = 0;

  double average() const { return seconds / static_cast<double>(count); }
  double average_of_others() const {
    return (seconds - seconds_of_long) / static_cast<double>(count - count_of_long);
  }
};

// Of this thread: other work on the machine does not count.
double processor_seconds() {
  timespec time{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) * 1e-9;
}

// Runs on the engine's one thread for masks.
class Timed : public TokenConstraint {
 public:
  Timed(std::unique_ptr<TokenConstraint> inner, MaskTime& time) : inner_(std::move(inner)), time_(time) {}
  std::string fill_mask(std::span<const int32_t> output, TokenMask mask) override {
    const double begin = processor_seconds();
    std::string error = inner_->fill_mask(output, mask);
    const double taken = processor_seconds() - begin;
    time_.seconds += taken;
    ++time_.count;
    if (taken > MaskTime::kLong) {
      time_.seconds_of_long += taken;
      ++time_.count_of_long;
    }
    return error;
  }
  bool is_active(std::span<const int32_t> output) const override { return inner_->is_active(output); }

 private:
  std::unique_ptr<TokenConstraint> inner_;
  MaskTime& time_;
};

// An answer: all that the engine gave, and what became of it.
struct Answer {
  std::vector<int32_t> tokens;
  std::vector<float> logprobs;
  FinishReason reason = FinishReason::kError;
  std::string error;
  std::unique_ptr<CallResponse> response;
};

// GPT-OSS with random weights, as large as a vocabulary asks for and no larger.
class RandomModel {
 public:
  explicit RandomModel(const std::filesystem::path& tokenizer)
      : tokenizer_(Tokenizer::load(tokenizer)),
        grammars_(*tokenizer_),
        rig_(fmt::format(R"({{"model_type": "gpt_oss", "vocab_size": {}, "hidden_size": 32,
             "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 8,
             "intermediate_size": 32, "num_local_experts": 4, "num_experts_per_tok": 2,
             "sliding_window": 64, "max_position_embeddings": 4096, "rope_theta": 10000.0}})",
                         tokenizer_->vocab_size()),
             {.limits = {.max_num_seqs = 48,
                         .max_batched_tokens = 512,
                         .max_logit_rows = 256,
                         .prefix_cache = true},
              .max_draft_tokens = 6},
             "cpu", 2) {
    model_.names = {"random"};
    model_.tokenizer = tokenizer_.get();
    model_.grammars = &grammars_;
    model_.has_chat_form = true;
    model_.vocab_size = tokenizer_->vocab_size();
    model_.max_model_len = 4096;
    for (const char* end : {"<|return|>", "<|endoftext|>", "<|call|>"})
      model_.eos_ids.push_back(*tokenizer_->special_id(end));
  }

  const Tokenizer& tokenizer() const { return *tokenizer_; }
  MaskTime& mask_time() { return mask_time_; }

  // Random weights find one token as good as another: without these an answer would hardly ever end.
  json::object end_bias() const {
    const double all = 1.5 * std::log(static_cast<double>(tokenizer_->vocab_size()) / 2000.0);
    json::object bias;
    const auto add = [&](int32_t id, double value) { bias[std::to_string(id)] = value + all; };
    for (const char* end : {"<|end|>", "<|return|>", "<|call|>"}) add(*tokenizer_->special_id(end), 6.0);
    for (const char* text : {"\"", "}", "]"}) add(tokenizer_->encode(text).at(0), 7.0);
    return bias;
  }

  std::vector<Answer> run(std::span<const json::object> bodies, Endpoint endpoint = Endpoint::kChat) {
    std::vector<Answer> answers(bodies.size());
    std::unordered_map<RequestId, std::size_t> running;
    std::size_t next = 0;
    Engine& engine = rig_.engine();
    while (next < bodies.size() || !running.empty()) {
      for (; next < bodies.size() && running.size() < 96; ++next) {
        ApiResult<PreparedCall> call = prepare_call(endpoint, bodies[next], model_, {.id = "0"});
        if (!call.ok()) {
          ADD_FAILURE() << json::serialize(bodies[next]) << "\n" << call.error().message;
          continue;
        }
        PreparedCall prepared = std::move(call).value();
        Request& request = prepared.requests.at(0);
        if (request.make_constraint) {
          request.make_constraint = [this, make = request.make_constraint] {
            return std::make_unique<Timed>(make(), mask_time_);
          };
        }
        answers[next].response = std::move(prepared.response);
        running.emplace(rig_.submit(std::move(request)), next);
      }
      for (const Output& output : engine.step()) {
        Answer& answer = answers[running.at(output.id)];
        answer.response->add(0, output);
        if (output.token) answer.tokens.push_back(*output.token);
        if (output.logprobs) answer.logprobs.push_back(output.logprobs->token.logprob);
        if (!output.finish_reason) continue;
        answer.reason = *output.finish_reason;
        answer.error = output.error;
        running.erase(output.id);
      }
    }
    return answers;
  }
  Answer run(const std::string& body, Endpoint endpoint = Endpoint::kChat) {
    const std::vector<json::object> bodies = {parse(body).as_object()};
    return std::move(run(bodies, endpoint).at(0));
  }

 private:
  std::unique_ptr<Tokenizer> tokenizer_;
  GrammarCache grammars_;
  test::Rig rig_;
  ServedModel model_;
  MaskTime mask_time_;
};

std::filesystem::path demo_model() { return std::filesystem::path(GOSSAMER_SOURCE_DIR) / "models/demo"; }

// What a kind of request asks for, and what its answers must be.
struct Kind {
  std::string name;
  json::object body;
  std::map<std::string, json::value> arguments;  // schemas by the tools that may be called
  std::optional<json::value> answer;             // schema of the final answer
  bool may_answer = true;
  bool may_call = false;
  bool may_call_again = false;
};

json::value any_object() { return parse(R"({"type": "object"})"); }

class KindMaker {
 public:
  std::vector<Kind> make() && {
    add("plain", "{}");
    add("json_object", R"({"response_format": {"type": "json_object"}})").answer = any_object();
    add("no reasoning", R"({"reasoning_effort": "none", "response_format": {"type": "json_object"}})")
        .answer = any_object();
    std::vector<std::string> objects;
    for (const char* schema : kSampleSchemas) {
      add_format(schema);
      const json::value parsed = parse(schema);
      if (parsed.as_object().contains("type") && parsed.at("type") == "object") objects.emplace_back(schema);
    }
    for (const char* format : kSampleFormats) {
      add_format(fmt::format(R"({{"type": "object", "properties": {{"x": {{"type": "string", "format": "{}"}},
          "again": {{"type": "array", "items": {{"type": "string", "format": "{}"}}, "maxItems": 2}}}},
          "required": ["x"], "additionalProperties": false}})",
                             format, format));
    }
    for (std::size_t i = 0; i + 2 < objects.size(); i += 3) {
      const std::vector<std::string> three(objects.begin() + static_cast<std::ptrdiff_t>(i),
                                           objects.begin() + static_cast<std::ptrdiff_t>(i) + 3);
      add_tools("auto", three, false, "{}");
      add_tools("auto, strict", three, true, "{}");
      add_tools("none", three, true, R"({"tool_choice": "none"})");
      add_tools("required", three, i % 2 == 0, R"({"tool_choice": "required"})");
      add_tools("named", three, false,
                R"({"tool_choice": {"type": "function", "function": {"name": "tool-1"}}})");
      add_tools("allowed", three, true, R"({"tool_choice": {"type": "allowed_tools", "allowed_tools": {
          "mode": "required", "tools": [{"type": "function", "function": {"name": "tool.0"}}]}}})");
      add_tools("parallel", three, true, R"({"tool_choice": "required", "parallel_tool_calls": true})");
      add_tools("with format", three, true,
                R"({"response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": )" +
                    three[0] + "}}}");
    }
    return std::move(kinds_);
  }

 private:
  Kind& add(std::string name, const std::string& fields) {
    Kind kind{.name = std::move(name), .body = parse(fields).as_object()};
    kind.body["messages"] = parse(R"([{"role": "user", "content": "What is the capital of France?"}])");
    return kinds_.emplace_back(std::move(kind));
  }

  void add_format(const std::string& schema) {
    add("json_schema",
        R"({"response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": )" + schema +
            "}}}")
        .answer = parse(schema);
  }

  void add_tools(const std::string& name, const std::vector<std::string>& schemas, bool strict,
                 const std::string& fields) {
    Kind& kind = add("tools " + name, fields);
    const std::vector<std::string> names = {"tool.0", "tool-1", "tool_2"};
    json::array tools;
    const json::value* choice = kind.body.if_contains("tool_choice");
    const std::string mode = choice == nullptr     ? "auto"
                             : choice->is_object() ? std::string(choice->at("type").as_string())
                                                   : std::string(choice->as_string());
    for (std::size_t i = 0; i < names.size(); ++i) {
      tools.push_back(json::object{{"type", "function"},
                                   {"function",
                                    {{"name", names[i]},
                                     {"description", "Does things."},
                                     {"strict", strict},
                                     {"parameters", parse(schemas[i])}}}});
      const bool callable = mode == "function" ? i == 1 : mode == "allowed_tools" ? i == 0 : mode != "none";
      if (callable) kind.arguments[names[i]] = strict || mode != "auto" ? parse(schemas[i]) : any_object();
    }
    kind.body["tools"] = std::move(tools);
    kind.may_call = mode != "none";
    kind.may_answer = mode == "auto" || mode == "none";
    kind.may_call_again = kind.body.contains("parallel_tool_calls");
    if (kind.body.contains("response_format")) kind.answer = parse(schemas[0]);
  }

  std::vector<Kind> kinds_;
};

struct Tally {
  int64_t answers = 0;
  int64_t cut = 0;  // by max_tokens
  int64_t tokens = 0;
  int64_t finals = 0;
  int64_t structured = 0;
  int64_t calls = 0;
  int64_t thoughts = 0;
};

class Judge {
 public:
  Judge(const Tokenizer& tokenizer, Tally& tally) : tokenizer_(tokenizer), tally_(tally) {
    if (const char* path = std::getenv("GOSSAMER_CONSTRAINED_DUMP")) dump_.open(path, std::ios::app);
  }

  void judge(const Kind& kind, const Answer& answer) {
    SCOPED_TRACE(kind.name + ": " + tokenizer_.decode(answer.tokens));
    ++tally_.answers;
    tally_.tokens += static_cast<int64_t>(answer.tokens.size());
    ASSERT_EQ(answer.error, "");
    if (answer.reason == FinishReason::kLength) {
      ++tally_.cut;
      return;
    }
    ASSERT_EQ(answer.reason, FinishReason::kStop);
    const Result<std::vector<HarmonyMessage>> parsed =
        parse_harmony_as_reference(tokenizer_, answer.tokens, {.role = HarmonyRole::kAssistant});
    ASSERT_TRUE(parsed.ok()) << parsed.error().message;
    ASSERT_EQ(answer.response->recoveries().total(), 0);
    int calls = 0;
    for (const HarmonyMessage& message : parsed.value()) {
      const std::string& text = std::get<std::string>(message.content.at(0));
      if (message.recipient) {
        ++calls;
        judge_call(kind, *message.recipient, text);
      } else if (message.channel == "final") {
        ++tally_.finals;
        if (kind.answer) judge_json(kind, *kind.answer, text);
      } else {
        ASSERT_TRUE(message.channel == "analysis" || (kind.may_call && message.channel == "commentary"));
        ++tally_.thoughts;
      }
    }
    const HarmonyMessage& last = parsed.value().back();
    ASSERT_TRUE(calls > 0 ? kind.may_call : kind.may_answer);
    ASSERT_TRUE(calls > 0 ? last.recipient.has_value() : last.channel == "final");
    ASSERT_LE(calls, kind.may_call_again ? 800 : 1);
    judge_response(kind, answer, calls);
  }

 private:
  void judge_json(const Kind& kind, const json::value& schema, const std::string& text) {
    ++tally_.structured;
    ASSERT_EQ(violation(test::parse(text), schema, schema), "") << text;
    if (dump_.is_open()) {
      dump_ << json::serialize(json::object{{"kind", kind.name}, {"schema", schema}, {"text", text}}) << "\n";
    }
  }

  void judge_call(const Kind& kind, const std::string& recipient, const std::string& text) {
    ++tally_.calls;
    ASSERT_TRUE(recipient.starts_with("functions.")) << recipient;
    const auto tool = kind.arguments.find(recipient.substr(10));
    ASSERT_NE(tool, kind.arguments.end()) << recipient;
    judge_json(kind, tool->second, text);
  }

  // The response says the same as the tokens do.
  static void judge_response(const Kind& kind, const Answer& answer, int calls) {
    const json::object response = answer.response->to_json();
    const json::value& choice = response.at("choices").at(0);
    ASSERT_EQ(choice.at("finish_reason"), calls > 0 ? "tool_calls" : "stop");
    const json::object& message = choice.at("message").as_object();
    if (calls == 0) {
      ASSERT_FALSE(message.contains("tool_calls"));
      if (!kind.answer) return;
      ASSERT_EQ(violation(test::parse(message.at("content").as_string()), *kind.answer, *kind.answer), "");
      return;
    }
    ASSERT_EQ(message.at("tool_calls").as_array().size(), static_cast<std::size_t>(calls));
    for (const json::value& call : message.at("tool_calls").as_array()) {
      const json::value& function = call.at("function");
      const json::value& schema = kind.arguments.at(std::string(function.at("name").as_string()));
      ASSERT_EQ(violation(test::parse(function.at("arguments").as_string()), schema, schema), "");
    }
  }

  const Tokenizer& tokenizer_;
  Tally& tally_;
  std::ofstream dump_;
};

void generate_and_judge(RandomModel& model, int64_t count) {
  const std::vector<Kind> kinds = KindMaker().make();
  const json::object bias = model.end_bias();
  TestRandom random(17);
  Tally tally;
  Judge judge(model.tokenizer(), tally);
  for (int64_t done = 0; done < count;) {
    const int64_t some = std::min<int64_t>(500, count - done);
    std::vector<json::object> bodies;
    for (int64_t i = done; i < done + some; ++i) {
      json::object body = kinds[static_cast<std::size_t>(i) * 29 % kinds.size()].body;
      body["temperature"] = 1.5;
      body["seed"] = i;
      body["max_tokens"] = 800;
      body["logit_bias"] = bias;
      if (random.below(2) == 0) body["thinking_token_budget"] = static_cast<int64_t>(random.below(20));
      if (random.below(4) == 0) body["min_tokens"] = static_cast<int64_t>(random.below(60));
      bodies.push_back(std::move(body));
    }
    const std::vector<Answer> answers = model.run(bodies);
    for (int64_t i = 0; i < some; ++i)
      judge.judge(kinds[static_cast<std::size_t>(done + i) * 29 % kinds.size()],
                  answers[static_cast<std::size_t>(i)]);
    if (testing::Test::HasFatalFailure()) return;
    done += some;
  }
  const MaskTime& time = model.mask_time();
  std::cout << fmt::format(
      "{} answers of {} kinds, {} tokens: {} ended, {} cut by max_tokens; {} final answers, {} calls, {} "
      "thoughts; {} JSON values held to a schema. Masks: {:.1f} us of processor time on average, {:.1f} "
      "without "
      "{} long ones\n",
      tally.answers, kinds.size(), tally.tokens, tally.answers - tally.cut, tally.cut, tally.finals,
      tally.calls, tally.thoughts, tally.structured, time.average() * 1e6, time.average_of_others() * 1e6,
      time.count_of_long);
  EXPECT_EQ(tally.answers, count);
  EXPECT_LT(tally.cut, count / 5) << "too few to judge by";
  if (count < static_cast<int64_t>(kinds.size())) return;
  EXPECT_GT(tally.finals, 0);
  EXPECT_GT(tally.calls, 0);
  EXPECT_GT(tally.thoughts, 0);
}

TEST(ConstrainedGeneration, EverythingThatEndsIsAsItWasAskedFor) {
  RandomModel model(demo_model());
  generate_and_judge(model, num_generations());
}

TEST(ConstrainedGeneration, EverythingThatEndsIsAsItWasAskedForWithTheRealVocabulary) {
  GOSSAMER_SKIP_WITHOUT_SHARED_DATA();
  RandomModel model(shared_path("tokenizers/gpt_oss"));
  generate_and_judge(model, std::max<int64_t>(num_generations() / 50, 10));
}

class ConstrainedEngineTest : public testing::Test {
 protected:
  static std::string chat(const std::string& more) {
    return R"({"messages": [{"role": "user", "content": "hi"}], "temperature": 1.5, "max_tokens": 200, )" +
           more + "}";
  }
  static std::string completion(const std::string& more) {
    return R"({"prompt": "The capital of France is", "temperature": 1.5, "max_tokens": 200, )" + more + "}";
  }
  static std::string text_of(const Answer& answer) {
    return std::string(answer.response->to_json().at("choices").at(0).at("text").as_string());
  }

  RandomModel model_{demo_model()};
};

TEST_F(ConstrainedEngineTest, MinTokensGivesWayWhereTheGrammarHasEnded) {
  const Answer answer = model_.run(chat(R"("min_tokens": 100, "reasoning_effort": "none", "response_format":
      {"type": "json_schema", "json_schema": {"name": "n", "schema": {"enum": ["yes"]}}})"));
  EXPECT_EQ(answer.reason, FinishReason::kStop) << answer.error;
  EXPECT_LT(answer.tokens.size(), 100U);
  EXPECT_EQ(answer.response->to_json().at("choices").at(0).at("message").at("content"), "\"yes\"");
  const Answer call = model_.run(chat(R"("min_tokens": 190, "reasoning_effort": "none",
      "tools": [{"type": "function", "function": {"name": "f"}}], "tool_choice": "required")"));
  EXPECT_EQ(call.error, "");
  // Where the grammar leaves a choice, as in text, the answer goes on.
  const std::string bias = json::serialize(model_.end_bias());
  for (int seed = 0; seed < 5; ++seed) {
    const Answer text = model_.run(chat(fmt::format(
        R"("min_tokens": 120, "reasoning_effort": "none", "seed": {}, "logit_bias": {})", seed, bias)));
    EXPECT_GE(text.tokens.size(), 120U) << text.error;
  }
}

TEST_F(ConstrainedEngineTest, TheGrammarWinsOverABias) {
  json::object bias;
  for (int32_t id = 0; id < model_.tokenizer().vocab_size(); ++id) {
    if (model_.tokenizer().token_bytes(id) != "x") bias[std::to_string(id)] = -100;
  }
  for (const char* temperature : {"0", "1.5"}) {
    const Answer answer = model_.run(completion(R"("guided_choice": ["yes", "no"], "logit_bias": )" +
                                                json::serialize(bias) + R"(, "temperature": )" + temperature),
                                     Endpoint::kCompletions);
    EXPECT_EQ(answer.reason, FinishReason::kStop) << answer.error;
    EXPECT_TRUE(text_of(answer) == "yes" || text_of(answer) == "no") << text_of(answer);
  }
}

TEST_F(ConstrainedEngineTest, CompletionsKeepToPatternsWithAnySampling) {
  for (const char* sampling : {R"("top_k": 1)", R"("top_p": 0.1)", R"("min_p": 0.9)", R"("temperature": 0)",
                               R"("repetition_penalty": 2.0, "frequency_penalty": 2.0)"}) {
    const Answer answer =
        model_.run(completion(std::string(R"("guided_regex": "[a-f]{3,20}(-[0-9]{2}){2}", )") + sampling),
                   Endpoint::kCompletions);
    EXPECT_EQ(answer.reason, FinishReason::kStop) << answer.error;
    EXPECT_THAT(text_of(answer), testing::MatchesRegex("[a-f]+-[0-9][0-9]-[0-9][0-9]")) << sampling;
  }
}

TEST_F(ConstrainedEngineTest, StopsOfTheRequestCutWhatTheGrammarAllows) {
  const std::string schema = R"("structured_outputs": {"json": {"const": {"a": "one two", "b": "three"}}})";
  const Answer whole = model_.run(completion(schema), Endpoint::kCompletions);
  EXPECT_EQ(parse(text_of(whole)), parse(R"({"a": "one two", "b": "three"})"));
  const Answer cut = model_.run(completion(schema + R"(, "stop": "two")"), Endpoint::kCompletions);
  EXPECT_TRUE(text_of(cut).ends_with("one ")) << text_of(cut);
  EXPECT_EQ(cut.response->to_json().at("choices").at(0).at("finish_reason"), "stop");
  const Answer ended = model_.run(completion(schema + R"(, "ignore_eos": true)"), Endpoint::kCompletions);
  EXPECT_EQ(ended.reason, FinishReason::kStop) << "its end is the end all the same";
  const Answer limited = model_.run(completion(schema + R"(, "max_tokens": 3)"), Endpoint::kCompletions);
  EXPECT_EQ(limited.response->to_json().at("choices").at(0).at("finish_reason"), "length");
}

TEST_F(ConstrainedEngineTest, LogprobsAreTheModelsOwn) {
  const Answer answer =
      model_.run(completion(R"("guided_regex": "[0-9]{30}", "logprobs": 0, "logit_bias": {"15": 5})"),
                 Endpoint::kCompletions);
  ASSERT_EQ(answer.reason, FinishReason::kStop) << answer.error;
  std::vector<int32_t> ids = model_.tokenizer().encode("The capital of France is");
  const std::size_t prompt_size = ids.size();
  ids.insert(ids.end(), answer.tokens.begin(), answer.tokens.end());
  const json::object body = {
      {"prompt", json::value_from(ids)}, {"echo", true}, {"logprobs", 0}, {"max_tokens", 0}};
  const json::object scored =
      std::move(model_.run(std::vector<json::object>{body}, Endpoint::kCompletions).at(0).response)
          ->to_json();
  const json::array& logprobs = scored.at("choices").at(0).at("logprobs").at("token_logprobs").as_array();
  ASSERT_EQ(logprobs.size(), ids.size());
  for (std::size_t i = 0; i < answer.logprobs.size(); ++i)
    EXPECT_EQ(static_cast<float>(logprobs[prompt_size + i].to_number<double>()), answer.logprobs[i]) << i;
}

TEST_F(ConstrainedEngineTest, ReasoningEndsWithItsBudgetAndAnswersAreLeftAlone) {
  for (int seed = 0; seed < 20; ++seed) {
    const Answer answer =
        model_.run(chat(fmt::format(R"("thinking_token_budget": {}, "seed": {})", seed, seed)));
    const json::object response = answer.response->to_json();
    EXPECT_EQ(answer.error, "");
    const json::object& usage = response.at("usage").as_object();
    // A character may be finished.
    EXPECT_LE(usage.at("completion_tokens_details").at("reasoning_tokens").to_number<int>(), seed + 3);
    EXPECT_EQ(answer.response->recoveries().total(), 0);
    const json::value& content = response.at("choices").at(0).at("message").at("content");
    EXPECT_TRUE(content.is_string()) << "200 tokens are enough to come to the answer";
  }
}

}  // namespace
}  // namespace gossamer
