// gossamer run on the samples, on the founding documents' own files, and on files that are wrong.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <ctime>
#include <sstream>
#include <string>
#include <vector>

#include "base/json.h"
#include "tests/checkpoint/test_folder.h"
#include "tests/e2e/program.h"

namespace gossamer::test {
namespace {

using testing::AllOf;
using testing::ContainsRegex;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

constexpr const char* kColumns =
    "batch_size,input_seq_len(Encoding),output_seq_len(Decoding),ResponseTime(s),forward_first_token_time(ms)"
    ","
    "forward_next_token_time(ms),pre_next_token_time(ms),post_next_token_time_post(ms)";

std::string today() {
  const std::time_t now = std::time(nullptr);
  std::tm local{};
  localtime_r(&now, &local);
  char text[16];
  return {text, std::strftime(text, sizeof text, "%Y%m%d", &local)};
}

std::vector<std::string> split(const std::string& text, char at) {
  std::vector<std::string> parts;
  std::istringstream stream(text);
  for (std::string part; std::getline(stream, part, at);) parts.push_back(part);
  if (text.ends_with(at) && at != '\n') parts.emplace_back();
  return parts;
}

class RunTest : public testing::Test {
 protected:
  // In the test's own folder, with these variables in the environment.
  ProgramRun run(const Arguments& arguments, const Arguments& variables = {}) const {
    Arguments all = {"-C", folder_.path().string()};
    all.insert(all.end(), variables.begin(), variables.end());
    all.insert(all.end(), {GOSSAMER_PROGRAM, "run"});
    all.insert(all.end(), arguments.begin(), arguments.end());
    all.insert(all.end(), {"--threads", "1"});
    return run_program(all, {}, "/usr/bin/env");
  }
  std::string write(const std::string& name, const std::string& text) const {
    fs::create_directories((folder_ / name).parent_path());
    write_file(folder_ / name, text);
    return folder_ / name;
  }
  std::string text_of(const fs::path& name) const { return read_file(folder_.path() / name); }
  json::array results(const fs::path& folder) const {
    return parse_json(text_of(folder / "results.json"), "results").at("results").as_array();
  }
  // The rows of the only CSV file here.
  std::vector<std::vector<std::string>> csv(const std::string& name_begins) const {
    std::vector<std::vector<std::string>> rows;
    for (const auto& entry : fs::directory_iterator(folder_.path())) {
      if (entry.path().extension() != ".csv") continue;
      EXPECT_THAT(rows, IsEmpty()) << "more than one CSV file";
      EXPECT_TRUE(entry.path().filename().string().starts_with(name_begins)) << entry.path();
      const std::vector<std::string> lines = split(read_file(entry.path()), '\n');
      EXPECT_EQ(lines.at(0), kColumns);
      for (std::size_t i = 1; i < lines.size(); ++i) rows.push_back(split(lines[i], ','));
    }
    return rows;
  }
  static std::string sample(const std::string& name) {
    return fs::path(GOSSAMER_SOURCE_DIR) / "examples" / name;
  }
  TestFolder folder_;
};

TEST_F(RunTest, RunsTheDemoSampleAsItIs) {
  const ProgramRun done = run({sample("demo.yaml")});
  ASSERT_EQ(done.exit_code, 0) << done.err << done.out;
  const fs::path folder = fs::path("res") / today() / "demo_demo";
  const std::string log = text_of(folder / "log_0.log");
  EXPECT_EQ(log, done.out);
  EXPECT_THAT(
      log,
      AllOf(ContainsRegex("^20..-..-.. ..:..:..,... - INFO - \\[LLM\\]\\(gossamer\\): runner_settings is: "),
            HasSubstr("Prompt lens is : "),
            ContainsRegex("demo inference time cost of prefill is [0-9.]+ ms"),
            ContainsRegex("demo inference time cost of decode is [0-9.]+ ms"),
            ContainsRegex("demo average inference time cost is [0-9.]+ ms")));
  EXPECT_THAT(log, AllOf(HasSubstr("Inference decode result for batch 0: \n"), HasSubstr("Paris"),
                         HasSubstr("model run success\n"), Not(HasSubstr("WARNING"))));
  // Side by side they are what each is alone.
  const json::array answers = results(folder);
  ASSERT_EQ(answers.size(), 2U);
  for (const json::value& answer : answers) {
    const json::object alone =
        run_json({"generate", "demo", "--prompt", std::string(answer.at("prompt").as_string()), "-n", "64",
                  "--greedy", "--json", "--threads", "1"});
    EXPECT_EQ(answer.at("token_ids"), alone.at("token_ids"));
    EXPECT_EQ(answer.at("text"), alone.at("text"));
    EXPECT_EQ(answer.at("finish_reason"), alone.at("finish_reason"));
    EXPECT_EQ(answer.at("prompt_tokens"), alone.at("prompt_tokens"));
  }
}

// The file of the founding document, with another path and fewer tokens.
TEST_F(RunTest, SummarisesLongBenchWithinInputMaxLen) {
  const std::string words = "The secret of the house lies in the garden, and nobody knows it. ";
  std::string text;
  for (int i = 0; i < 200; ++i) text += words;
  write("dataset/LongBench/data/narrativeqa.jsonl",
        "{\"context\": \"" + text + "\", \"input\": \"?\"}\nnot json\n{\"context\": \"Short.\"}\n");
  write(
      "gpt_oss_20b.yaml",
      "model_name: \"gpt_oss_20b\"\nmodel_path: \"demo\"\nexe_mode: \"eager\"\nworld_size: 1\n\n"
      "model_config:\n  enable_profiler: False\n  enable_online_split_weight: True\n\n"
      "data_config:\n  dataset: \"LongBench\"\n  input_max_len: 200\n  max_new_tokens: 3\n  batch_size: 2\n\n"
      "parallel_config:\n  tp_size: 1\n");
  const ProgramRun done = run({"gpt_oss_20b.yaml"});
  ASSERT_EQ(done.exit_code, 0) << done.err << done.out;
  EXPECT_THAT(done.out, AllOf(HasSubstr("WARNING - [LLM](gossamer): gpt_oss_20b.yaml:8: "
                                        "model_config.enable_online_split_weight: "),
                              HasSubstr("narrativeqa.jsonl:2: "), HasSubstr("cut after 3 tokens")));
  const fs::path folder = fs::path("res") / today() / "gpt_oss_20b_gpt_oss_20b";
  const json::array answers = results(folder);
  ASSERT_EQ(answers.size(), 2U);
  EXPECT_EQ(answers[1].at("prompt"), "Short.");

  // Harmony's frame comes on top: as many tokens as around any other user's text.
  const std::string asked = "Hello";
  const json::object hello =
      run_json({"generate", "demo", "--prompt", asked, "-n", "1", "--json", "--threads", "1"});
  const auto frame = hello.at("prompt_tokens").to_number<int64_t>() -
                     static_cast<int64_t>(split(run_program({"tokenize", "demo"}, asked).out, ',').size());
  EXPECT_LE(answers[0].at("prompt_tokens").to_number<int64_t>(), 200 + frame);
  EXPECT_GE(answers[0].at("prompt_tokens").to_number<int64_t>(), 195 + frame);
  EXPECT_LT(answers[1].at("prompt_tokens").to_number<int64_t>(),
            answers[0].at("prompt_tokens").to_number<int64_t>());
}

TEST_F(RunTest, TakesPromptsOfTheUsersOwn) {
  write("dataset/default_prompt.json", R"({"text": "What is the capital of Italy?"})");
  write("a.yaml", "model_name: a\nmodel_path: demo\ndata_config: {max_new_tokens: 48}\n");
  const ProgramRun done = run({"a.yaml", "--output", "here"});
  ASSERT_EQ(done.exit_code, 0) << done.err << done.out;
  EXPECT_EQ(results("here").at(0).at("prompt"), "What is the capital of Italy?");
  EXPECT_THAT(done.out, AllOf(HasSubstr("Inference decode result: \n"), HasSubstr("Rome")));
}

TEST_F(RunTest, SaysWhereItLookedForADataSet) {
  write("a.yaml", "model_path: demo\ndata_config: {dataset: InfiniteBench}\n");
  const ProgramRun done = run({"a.yaml", "--dataset-path", "/nowhere"});
  EXPECT_EQ(done.exit_code, 1);
  EXPECT_THAT(done.err, AllOf(HasSubstr("nothing is downloaded"), HasSubstr("/nowhere/InfiniteBench"),
                              HasSubstr("dataset/InfiniteBench")));
  EXPECT_THAT(text_of(fs::path("res") / today() / "model_a" / "log_0.log"), HasSubstr(" - ERROR - "));
}

TEST_F(RunTest, RefusesBeforeAnythingIsLoaded) {
  write("placeholder.yaml", "model_name: a\nmodel_path: \"your_model_path\"\n");
  const ProgramRun placeholder = run({"placeholder.yaml"});
  EXPECT_EQ(placeholder.exit_code, 1);
  EXPECT_THAT(placeholder.err,
              HasSubstr("placeholder.yaml:2: model_path: expected the folder of the weights, found "
                        "\"your_model_path\", which does not exist"));
  write("unknown.yaml", "model_path: demo\nmodel_config:\n  enable_profile: True\n");
  EXPECT_THAT(run({"unknown.yaml"}).err, HasSubstr("unknown.yaml:3: model_config.enable_profile: unknown "
                                                   "key; is model_config.enable_profiler meant?"));
  write("short.yaml", "model_path: demo\ndata_config:\n  dataset: LongBench\n  input_max_len: 10\n");
  write("dataset/LongBench/data/qasper.jsonl",
        "{\"context\": \"A text of more than ten tokens, or so it seems.\"}\n");
  EXPECT_THAT(run({"short.yaml"}).err,
              AllOf(HasSubstr("short.yaml:4: data_config.input_max_len is 10 tokens"),
                    HasSubstr("the system prompt alone takes")));
  EXPECT_THAT(run({"short.yaml", "--task", "performance"}).err, HasSubstr("is a task of INI files"));
  EXPECT_THAT(run({"short.yaml", "--model", "demo"}, {"MAX_SEQ_LEN=many"}).err,
              HasSubstr("MAX_SEQ_LEN: expected a number of tokens from 1 on, found \"many\""));
}

// What of every sample is wrong when its model is not there: nothing else.
TEST_F(RunTest, ReadsEverySample) {
  int count = 0;
  for (const auto& entry : fs::directory_iterator(fs::path(GOSSAMER_SOURCE_DIR) / "examples")) {
    write("dataset/LongBench/data/qasper.jsonl", "{\"context\": \"A text.\"}\n");
    const ProgramRun done = run({entry.path(), "--model", "/nowhere"});
    EXPECT_EQ(done.exit_code, 1) << entry.path();
    EXPECT_THAT(done.err, HasSubstr("/nowhere: no such file or folder")) << entry.path();
    ++count;
  }
  EXPECT_EQ(count, 7);
}

TEST_F(RunTest, WritesThePerformanceTableOfTheSdk) {
  const std::string file =
      write("a.ini", "[model]\nmodel_path=" + fixture("gpt_neox_sequential_f32").string() +
                         "\n[performance]\nmodel_name=gpt_neox_20b\nbatch_size=1,2\n"
                         "case_pair=[[40,6],[8,1]]\nperf_mode=detail\n");
  const ProgramRun done = run({file, "--task", "performance"}, {"RETURN_PERF_DETAIL=1"});
  ASSERT_EQ(done.exit_code, 0) << done.err << done.out;
  EXPECT_THAT(done.out, AllOf(HasSubstr("warm-up"), HasSubstr("batch: 2, seq_len_in: 40, seq_len_out: 6")));
  EXPECT_EQ(text_of("run_performance.log"), done.out);
  const auto rows = csv("performance_test_cpu_gpt_neox_20b_20");
  ASSERT_EQ(rows.size(), 4U);
  EXPECT_THAT(std::vector<std::string>(rows[0].begin(), rows[0].begin() + 3), ElementsAre("1", "40", "6"));
  EXPECT_THAT(std::vector<std::string>(rows[3].begin(), rows[3].begin() + 3), ElementsAre("2", "8", "1"));
  for (const std::vector<std::string>& row : rows) {
    ASSERT_EQ(row.size(), 8U);
    const int others = std::stoi(row[2]) - 1;
    const double response_ms = 1e3 * std::stod(row[3]);
    const double first = std::stod(row[4]);
    const double per_step = std::stod(row[5]) + std::stod(row[6]) + std::stod(row[7]);
    EXPECT_GT(first, 0.0);
    EXPECT_EQ(per_step > 0.0, others > 0);
    // The whole is its parts, and what lies between steps.
    EXPECT_LE(first + others * per_step, response_ms * 1.01);
  }
}

TEST_F(RunTest, EstimatesByDifferenceInNormalMode) {
  const std::string file =
      write("a.ini", "[performance]\nmin_len_exp=2\nmax_len_exp=3\nsave_file_name=mine\n");
  const ProgramRun done =
      run({file, "--task", "performance", "--model", fixture("gpt_neox_sequential_f32"), "--output", "."});
  ASSERT_EQ(done.exit_code, 0) << done.err << done.out;
  const auto rows = csv("mine.csv");
  ASSERT_EQ(rows.size(), 4U);
  for (const std::vector<std::string>& row : rows) {
    ASSERT_EQ(row.size(), 8U);
    const double estimate = std::stod(row[4]) + (std::stoi(row[2]) - 1) * std::stod(row[5]);
    EXPECT_NEAR(estimate, 1e3 * std::stod(row[3]), 0.01);
    EXPECT_THAT(row[6] + row[7], IsEmpty());  // nobody has measured them
  }
  // The variable of the documents asks for them all the same.
  fs::remove(folder_ / "mine.csv");
  ASSERT_EQ(run({file, "--task", "performance", "--model", fixture("gpt_neox_sequential_f32")},
                {"RETURN_PERF_DETAIL=1"})
                .exit_code,
            0);
  EXPECT_GT(std::stod(csv("mine.csv").at(0).at(7)), 0.0);
}

TEST_F(RunTest, HoldsToMaxSeqLen) {
  const std::string file = write("a.ini", "[performance]\ncase_pair=[[60,10]]\n");
  const Arguments arguments = {file, "--task", "performance", "--model", fixture("gpt_neox_sequential_f32")};
  const ProgramRun short_one = run(arguments, {"MAX_SEQ_LEN=69"});
  EXPECT_EQ(short_one.exit_code, 1);
  EXPECT_THAT(short_one.err,
              AllOf(HasSubstr("a.ini:2: [performance] case_pair: a case has 70 tokens, but at most 69 fit"),
                    HasSubstr("MAX_SEQ_LEN")));
  EXPECT_EQ(run(arguments, {"MAX_SEQ_LEN=70"}).exit_code, 0);
}

TEST_F(RunTest, RunsPrecisionThroughTheEvaluations) {
  std::string rows = "id,question,A,B,C,D,answer\n";
  for (int i = 0; i < 5; ++i)
    rows += std::to_string(i) + ",Which one?,one,two,three,four," + "ABCD"[i % 4] + "\n";
  write("data/dev/law_dev.csv", rows);
  write("data/val/law_val.csv", rows);
  const std::string file =
      write("a.ini", "[model]\nmodel_path=demo\n[precision]\nmode=ceval\nwork_dir=./\nbatch=2\nshot=2\n");
  const ProgramRun done = run({file, "--task", "precision"});
  ASSERT_EQ(done.exit_code, 0) << done.err << done.out;
  for (const char* name :
       {"device0.log", "cache0.csv", "result_0_classes_acc.json", "result_0_subject_acc.json"})
    EXPECT_TRUE(fs::exists(folder_ / "test_result" / name)) << name;
  // The same as the evaluation by itself.
  const ProgramRun by_itself = run_program({"eval", "ceval", "demo", folder_ / "data", "--shots", "2",
                                            "--output", folder_ / "other", "--threads", "1"});
  ASSERT_EQ(by_itself.exit_code, 0) << by_itself.err;
  EXPECT_EQ(text_of("test_result/cache0.csv"), text_of("other/cache0.csv"));
  EXPECT_EQ(text_of("test_result/result_0_subject_acc.json"), text_of("other/result_0_subject_acc.json"));
  // As the documents warn, a second run reads what the first has left.
  const ProgramRun again = run({file, "--task", "precision"});
  ASSERT_EQ(again.exit_code, 0) << again.err << again.out;
  EXPECT_THAT(again.out, HasSubstr("test_result is there from an earlier run"));
  EXPECT_THAT(again.out, HasSubstr("delete the folder"));
  EXPECT_THAT(again.err, HasSubstr("nothing to compute"));
  // Without a folder to work in there is nothing to do.
  write("b.ini", "[model]\nmodel_path=demo\n");
  EXPECT_THAT(run({"b.ini", "--task", "precision"}).err,
              HasSubstr("b.ini: [precision] work_dir: expected the folder"));
}

TEST_F(RunTest, RunsInferenceAsQuestionsAndAnswers) {
  write("prompts.json", R"({"text": ["What is the capital of France?", "What is the capital of Italy?"]})");
  write("a.ini",
        "[model]\nmodel_path=demo\nlog_dir=logs\n[inference]\nprompt_file=prompts.json\nmax_new_tokens=48\n");
  const ProgramRun done = run({"a.ini"});
  ASSERT_EQ(done.exit_code, 0) << done.err << done.out;
  EXPECT_THAT(done.out, AllOf(HasSubstr("---------------warm-up---------------"),
                              HasSubstr("---------------inference---------------"),
                              HasSubstr("question: What is the capital of Italy?"), HasSubstr("Rome")));
  EXPECT_EQ(text_of("logs/run_inference.log"), done.out);
}

// As with synthetic weights: the sample as it is, the model another.
TEST_F(RunTest, RunsASampleOnWeightsWithoutATokenizer) {
  const ProgramRun done =
      run({sample("gpt_oss_20b.yaml"), "--model", fixture("gpt_oss_mxfp4")}, {"MAX_SEQ_LEN=300"});
  ASSERT_EQ(done.exit_code, 0) << done.err << done.out;
  EXPECT_THAT(done.out, AllOf(HasSubstr("there is no tokenizer.json: prompts are random tokens"),
                              HasSubstr("Prompt lens is : 200\n"), HasSubstr("Inference decode result: \n")));
  const json::array answers = results(fs::path("res") / today() / "gpt_oss_20b_gpt_oss_20b");
  EXPECT_EQ(answers.at(0).at("token_ids").as_array().size(), 100U);
}

// A tokenizer whose tokens are the bytes, for a fixture of 256 rows: a family without a chat form.
std::string byte_tokenizer() {
  json::object vocab;
  int num_moved = 0;
  for (int byte = 0; byte < 256; ++byte) {
    const bool visible = (byte >= '!' && byte <= '~') || (byte >= 0xA1 && byte <= 0xAC) || byte >= 0xAE;
    const int code = visible ? byte : 256 + num_moved++;
    std::string character;
    if (code >= 0x80) character += static_cast<char>(0xC0 | code >> 6);
    character += static_cast<char>(code >= 0x80 ? 0x80 | (code & 0x3F) : code);
    vocab[character] = byte;
  }
  const json::object byte_level = {{"type", "ByteLevel"}, {"add_prefix_space", false}, {"use_regex", true}};
  return json::serialize(
      json::object{{"added_tokens", json::array()},
                   {"normalizer", nullptr},
                   {"pre_tokenizer", byte_level},
                   {"decoder", byte_level},
                   {"model", {{"type", "BPE"}, {"vocab", std::move(vocab)}, {"merges", json::array()}}}});
}

TEST_F(RunTest, GoesOnWithPlainTextWhereTheModelHasNoChatForm) {
  for (const char* name : {"config.json", "model.safetensors"}) {
    fs::create_directories(folder_ / "gpt2");
    fs::create_symlink(fixture("gpt2_f32") / name, folder_ / "gpt2" / name);
  }
  write("gpt2/tokenizer.json", byte_tokenizer());
  write("a.yaml",
        "model_name: gpt2\nmodel_path: gpt2\ndata_config: {input_max_len: 20, max_new_tokens: 5}\n");
  const ProgramRun done = run({"a.yaml", "--output", "here"});
  ASSERT_EQ(done.exit_code, 0) << done.err << done.out;
  EXPECT_THAT(done.out, HasSubstr("Prompt lens is : 20\n"));
  const json::object alone = run_json({"generate", folder_ / "gpt2", "--prompt", "What is the capital ", "-n",
                                       "5", "--greedy", "--json", "--threads", "1"});
  EXPECT_EQ(results("here").at(0).at("token_ids"), alone.at("token_ids"));
  EXPECT_EQ(results("here").at(0).at("text"), alone.at("text"));
}

}  // namespace
}  // namespace gossamer::test
