// gossamer generate, and what all commands have in common.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <string>
#include <vector>

#include "tests/checkpoint/test_folder.h"
#include "tests/e2e/program.h"

namespace gossamer::test {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

// A refusal: exit code not 0, nothing on standard output, one line on standard error.
void expect_refusal(const ProgramRun& run, const testing::Matcher<const std::string&>& error) {
  EXPECT_EQ(run.signal, 0);
  EXPECT_NE(run.exit_code, 0);
  EXPECT_EQ(run.out, "");
  EXPECT_THAT(run.err, error);
  EXPECT_EQ(std::count(run.err.begin(), run.err.end(), '\n'), 1) << run.err;
}

std::vector<int64_t> ids_of(const json::value& list) {
  std::vector<int64_t> ids;
  for (const json::value& id : list.as_array()) ids.push_back(id.as_int64());
  return ids;
}

// Ten tokens behind 1,2,3 of a fixture without tokenizer.
std::vector<int64_t> tokens(Arguments more, const std::string& name = "gpt2_f32") {
  Arguments arguments = {"generate", fixture(name), "--token-ids", "1,2,3", "--json", "-n", "10"};
  arguments.insert(arguments.end(), more.begin(), more.end());
  return ids_of(run_json(arguments)["token_ids"]);
}

TEST(Program, HelpsWithEveryCommand) {
  for (const char* command :
       {"", "generate", "chat", "batch", "score", "inspect", "tokenize", "harmony", "synth"}) {
    Arguments arguments = {"--help"};
    if (*command != '\0') arguments.insert(arguments.begin(), command);
    const ProgramRun run = run_program(arguments);
    EXPECT_EQ(run.exit_code, 0) << command;
    EXPECT_THAT(run.out, HasSubstr("Usage:")) << command;
    EXPECT_EQ(run.err, "") << command;
  }
}

TEST(Program, RefusesWhatItDoesNotKnowOnStandardError) {
  for (const Arguments& arguments :
       {Arguments{}, Arguments{"juggle"}, Arguments{"generate"},
        Arguments{"generate", "demo", "--no-such-flag"}, Arguments{"generate", "demo", "--prompt"},
        Arguments{"inspect", demo_model(), "--dtype", "int3"}}) {
    const ProgramRun run = run_program(arguments);
    EXPECT_GT(run.exit_code, 0);
    EXPECT_EQ(run.out, "");
    EXPECT_NE(run.err, "");
  }
}

TEST(Generate, GivesAllNumbersAsJson) {
  json::object result =
      run_json({"generate", fixture("gpt2_f32"), "--token-ids", "1,2,3", "--json", "-n", "10"});
  EXPECT_EQ(ids_of(result["prompt_token_ids"]), (std::vector<int64_t>{1, 2, 3}));
  EXPECT_EQ(result["token_ids"].as_array().size(), 10U);
  EXPECT_TRUE(result["text"].is_null()) << "there is no tokenizer";
  EXPECT_FALSE(result.contains("reasoning"));
  EXPECT_EQ(result["finish_reason"].as_string(), "length");
  EXPECT_EQ(result["prompt_tokens"].as_int64(), 3);
  EXPECT_EQ(result["completion_tokens"].as_int64(), 10);
  for (const char* key : {"load_s", "prefill_s", "decode_s", "prefill_tokens_per_s", "decode_tokens_per_s"})
    EXPECT_GT(result["timing"].as_object()[key].to_number<double>(), 0.0) << key;
}

TEST(Generate, SaysThatAFolderWithoutTokenizerHasNoText) {
  const ProgramRun run = run_program({"generate", fixture("gpt2_f32"), "--token-ids", "1,2,3", "-n", "2"});
  EXPECT_EQ(run.exit_code, 0);
  EXPECT_THAT(run.err, HasSubstr("no tokenizer"));
  EXPECT_THAT(run.out, testing::MatchesRegex("[0-9]+,[0-9]+\n"));
  expect_refusal(run_program({"generate", fixture("gpt2_f32"), "--prompt", "Hello"}),
                 AllOf(HasSubstr("tokenizer"), HasSubstr("--token-ids")));
  expect_refusal(run_program({"chat", fixture("gpt2_f32")}), HasSubstr("tokenizer"));
}

TEST(Generate, IsGreedyWithoutDoSampleAndSamplesWhenAsked) {
  const std::vector<int64_t> greedy = tokens({});
  EXPECT_EQ(tokens({}), greedy);
  EXPECT_EQ(tokens({"--greedy"}), greedy);
  EXPECT_EQ(tokens({"--temperature", "0", "--seed", "5"}), greedy);
  EXPECT_EQ(tokens({"--temperature", "3", "--top-k", "1"}), greedy);
  EXPECT_EQ(tokens({"--temperature", "3", "--top-p", "0.000001"}), greedy);
  EXPECT_EQ(tokens({"--temperature", "3", "--min-p", "1"}), greedy);
  EXPECT_NE(tokens({"--temperature", "3", "--seed", "1"}), greedy);
}

TEST(Generate, TheSameSeedGivesTheSameTokensHoweverItIsComputed) {
  const Arguments seeded = {"--temperature", "2", "--seed", "17"};
  const std::vector<int64_t> first = tokens(seeded);
  const auto with = [&](Arguments more) {
    more.insert(more.end(), seeded.begin(), seeded.end());
    return tokens(more);
  };
  EXPECT_EQ(with({}), first);
  EXPECT_EQ(with({"--threads", "3"}), first);
  EXPECT_EQ(with({"--chunk-tokens", "1"}), first);
  EXPECT_EQ(with({"--max-model-len", "200"}), first);
  EXPECT_NE(tokens({"--temperature", "2", "--seed", "18"}), first);
}

TEST(Generate, ObeysEverySamplingFlag) {
  const std::vector<int64_t> greedy = tokens({});
  EXPECT_EQ(tokens({"--logit-bias", "77:100"}), std::vector<int64_t>(10, 77));
  EXPECT_EQ(tokens({"--logit-bias", "77:100", "--logit-bias", "77:-100"}).front(), greedy.front());
  EXPECT_EQ(tokens({"--logit-bias", "77:100", "--stop-token-ids", "5,77"}), std::vector<int64_t>{77});
  const auto num_different = [](const std::vector<int64_t>& ids) {
    return std::set<int64_t>(ids.begin(), ids.end()).size();
  };
  EXPECT_LT(num_different(greedy), 10U) << "else the penalties could not be seen";
  EXPECT_EQ(num_different(tokens({"--repetition-penalty", "100"})), 10U);
  const std::vector<int64_t> sampled = tokens({"--temperature", "1", "--seed", "3"});
  EXPECT_NE(tokens({"--temperature", "1", "--seed", "3", "--frequency-penalty", "2"}), sampled);
  EXPECT_NE(tokens({"--temperature", "1", "--seed", "3", "--presence-penalty", "-2"}), sampled);
  // 0 is the fixture's end of text.
  EXPECT_EQ(tokens({"--logit-bias", "0:100"}), std::vector<int64_t>{0});
  EXPECT_EQ(tokens({"--logit-bias", "0:100", "--ignore-eos"}), std::vector<int64_t>(10, 0));
}

TEST(Generate, RefusesValuesOutOfRangeWithTheRange) {
  const std::vector<std::pair<Arguments, std::string>> cases = {
      {{"--temperature", "-1"}, "temperature"},
      {{"--temperature", "nan"}, "temperature"},
      {{"--top-p", "0"}, "top_p"},
      {{"--top-p", "1.5"}, "top_p"},
      {{"--top-k", "-2"}, "top_k"},
      {{"--min-p", "2"}, "min_p"},
      {{"--repetition-penalty", "0"}, "repetition_penalty"},
      {{"--presence-penalty", "3"}, "presence_penalty"},
      {{"--frequency-penalty", "-3"}, "frequency_penalty"},
      {{"--logit-bias", "256:1"}, "found 256"},
      {{"--logit-bias", "1"}, "ID:VALUE"},
      {{"--logit-bias", "1:200"}, "logit_bias"},
      {{"--stop-token-ids", "300"}, "found 300"},
      {{"--greedy", "--temperature", "1"}, "--greedy"},
      {{"--max-model-len", "100000"}, "beyond the model's limit"},
      {{"--instruction-set", "abacus"}, "abacus"},
      {{"--system", "Be brief."}, "chat form"},
      {{"--stop", "x"}, "tokenizer"},
      {{"--prompt", "x"}, "one of"},
  };
  for (const auto& [more, error] : cases) {
    Arguments arguments = {"generate", fixture("gpt2_f32"), "--token-ids", "1,2"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    expect_refusal(run_program(arguments), HasSubstr(error));
  }
  expect_refusal(run_program({"generate", fixture("gpt2_f32"), "--token-ids", "1,256"}),
                 HasSubstr("found 256"));
  expect_refusal(run_program({"generate", fixture("gpt2_f32")}), HasSubstr("--prompt"));
  expect_refusal(run_program({"generate", "/no/such/folder", "--token-ids", "1"}),
                 HasSubstr("/no/such/folder"));
}

TEST(Generate, RefusesAPromptBeyondTheLimitWithBothCounts) {
  std::string ids = "1";
  for (int i = 1; i < 50; ++i) ids += ",1";
  expect_refusal(run_program({"generate", fixture("gpt2_f32"), "--token-ids", ids, "--max-model-len", "50"}),
                 AllOf(HasSubstr("50 tokens"), HasSubstr("49 fit")));
  const json::object fits = run_json(
      {"generate", fixture("gpt2_f32"), "--token-ids", ids, "--max-model-len", "51", "-n", "9", "--json"});
  EXPECT_EQ(fits.at("completion_tokens").as_int64(), 1);
  EXPECT_EQ(fits.at("finish_reason").as_string(), "length");
}

TEST(Generate, SaysWhichKernelsItChoseWithVerbose) {
  const ProgramRun run = run_program({"generate", fixture("gpt2_f32"), "--token-ids", "1,2", "-n", "2",
                                      "--verbose", "--instruction-set", "portable"});
  EXPECT_EQ(run.exit_code, 0);
  EXPECT_THAT(run.err, AllOf(HasSubstr("portable"), HasSubstr("memory: weights"), HasSubstr("seed"),
                             HasSubstr("loaded")));
  EXPECT_THAT(run.out, Not(HasSubstr("memory")));
}

TEST(Generate, FailsWhenOutputCannotBeWritten) {
  if (!std::filesystem::exists("/dev/full")) GTEST_SKIP();
  const std::string command = std::string(GOSSAMER_PROGRAM) + " generate " + fixture("gpt2_f32").string() +
                              " --token-ids 1,2 -n 2 > /dev/full 2> /dev/null";
  EXPECT_NE(std::system(command.c_str()), 0);
}

// --- The demo model: a whole conversation form

json::object demo(Arguments more) {
  Arguments arguments = {"generate", demo_model(),    "--prompt", "What is the capital of France?",
                         "--json",   "--temperature", "0"};
  arguments.insert(arguments.end(), more.begin(), more.end());
  return run_json(arguments);
}

TEST(Demo, KnowsTheCapitalOfFrance) {
  json::object result = demo({});
  EXPECT_THAT(std::string(result["text"].as_string()), HasSubstr("Paris"));
  EXPECT_NE(result["reasoning"].as_string(), "");
  EXPECT_EQ(result["finish_reason"].as_string(), "stop");
}

TEST(Demo, AnswersTheSameWithInt8WeightsAndActivations) {
  for (const std::string question :
       {"What is the capital of France?", "Which city is the capital of Japan?", "Hello!", "Capital of Peru?",
        "Name the capital of Kenya.", "What is the capital city of Norway?"}) {
    const auto answer = [&](const std::string& weights) {
      return run_json({"generate", "demo", "--prompt", question, "--json", "--weights", weights}).at("text");
    };
    const json::value expected = answer("auto");
    EXPECT_FALSE(expected.as_string().empty());
    EXPECT_EQ(answer("w8a8"), expected) << question;
  }
}

TEST(Demo, StreamsOnlyTheAnswerIntoAPipe) {
  const std::string text(demo({}).at("text").as_string());
  const std::string reasoning(demo({}).at("reasoning").as_string());
  const Arguments plain = {"generate", demo_model(), "--prompt", "What is the capital of France?",
                           "--greedy"};
  const ProgramRun run = run_program(plain);
  EXPECT_EQ(run.exit_code, 0);
  EXPECT_EQ(run.out, text + "\n");
  EXPECT_THAT(run.err, testing::MatchesRegex(".*prompt tokens in .*tokens/s.*, .* tokens in .*tokens/s.*\n"));
  Arguments with_reasoning = plain;
  with_reasoning.push_back("--show-reasoning");
  EXPECT_EQ(run_program(with_reasoning).out, reasoning + "\n\n" + text + "\n");
}

TEST(Demo, SaysThatAnAnswerWasCut) {
  const ProgramRun run = run_program(
      {"generate", demo_model(), "--prompt", "What is the capital of France?", "--greedy", "-n", "4"});
  EXPECT_EQ(run.exit_code, 0);
  EXPECT_EQ(run.out, "\n") << "reasoning does not go into pipes";
  EXPECT_THAT(run.err, HasSubstr("cut after 4 tokens, while still reasoning"));
}

TEST(Demo, TakesThePromptFromAFileOrStandardInput) {
  const TestFolder folder;
  write_file(folder / "prompt.txt", "What is the capital of France?");
  const std::string text(demo({}).at("text").as_string());
  EXPECT_EQ(run_program({"generate", demo_model(), "--prompt-file", folder / "prompt.txt", "--greedy"}).out,
            text + "\n");
  EXPECT_EQ(run_program({"generate", demo_model(), "--prompt-file", "-", "--greedy"},
                        "What is the capital of France?")
                .out,
            text + "\n");
  expect_refusal(run_program({"generate", demo_model(), "--prompt-file", folder / "none.txt"}),
                 HasSubstr("none.txt"));
}

TEST(Demo, EndsBeforeAStopString) {
  const std::string text(demo({}).at("text").as_string());
  ASSERT_THAT(text, HasSubstr(" France"));
  const json::object result = demo({"--stop", "never", "--stop", "of Fra"});
  EXPECT_EQ(result.at("text").as_string(), text.substr(0, text.find("of Fra")));
  EXPECT_EQ(result.at("finish_reason").as_string(), "stop");
  EXPECT_NE(result.at("reasoning").as_string(), "") << "in which the stop string is not looked for";
}

TEST(Demo, PutsInstructionsEffortAndDateIntoThePrompt) {
  const std::vector<int64_t> plain = ids_of(demo({}).at("prompt_token_ids"));
  EXPECT_GT(ids_of(demo({"--system", "Answer briefly."}).at("prompt_token_ids")).size(), plain.size());
  EXPECT_NE(ids_of(demo({"--reasoning-effort", "high"}).at("prompt_token_ids")), plain);
  EXPECT_EQ(ids_of(demo({"--reasoning-effort", "medium"}).at("prompt_token_ids")), plain);
  EXPECT_GT(ids_of(demo({"--date", "2026-01-31"}).at("prompt_token_ids")).size(), plain.size());
  expect_refusal(run_program({"generate", demo_model(), "--prompt", "x", "--date", "tomorrow"}),
                 HasSubstr("tomorrow"));
}

TEST(Demo, ContinuesPlainlyWithRaw) {
  const json::object result = demo({"--raw", "-n", "4"});
  EXPECT_LT(ids_of(result.at("prompt_token_ids")).size(), ids_of(demo({}).at("prompt_token_ids")).size());
  EXPECT_FALSE(result.contains("reasoning"));
  // The same prompt written out by hand gives the same tokens: special tokens are read from it.
  const json::object by_hand =
      run_json({"generate", demo_model(), "--json", "--greedy", "--raw", "-n", "3", "--prompt",
                "<|start|>user<|message|>Hello<|end|><|start|>assistant<|channel|>final<|message|>"});
  EXPECT_EQ(by_hand.at("completion_tokens").as_int64() <= 3, true);
  expect_refusal(run_program({"generate", demo_model(), "--raw", "--system", "x", "--prompt", "y"}),
                 HasSubstr("--raw"));
}

TEST(Demo, IsFoundByItsNameWhereverTheProgramIsInstalled) {
  namespace fs = std::filesystem;
  const TestFolder prefix;
  fs::create_directories(prefix / "bin");
  fs::create_directories(prefix / "share/gossamer");
  fs::copy_file(GOSSAMER_PROGRAM, prefix / "bin/gossamer");
  const Arguments arguments = {"generate", "demo", "--prompt", "What is the capital of France?", "--greedy"};
  expect_refusal(run_program({"inspect", "/nowhere/demo"}, {}, prefix / "bin/gossamer"),
                 HasSubstr("/nowhere/demo"));
  fs::create_directory_symlink(demo_model(), prefix / "share/gossamer/demo");
  const ProgramRun run = run_program(arguments, {}, prefix / "bin/gossamer");
  EXPECT_EQ(run.exit_code, 0) << run.err;
  EXPECT_THAT(run.out, HasSubstr("Paris"));
}

}  // namespace
}  // namespace gossamer::test
