// gossamer bench. Speeds are never asserted: only that every figure is there and possible.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/checkpoint/test_folder.h"
#include "tests/e2e/program.h"

namespace gossamer::test {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

void expect_positive(const json::object& object, const std::vector<const char*>& keys) {
  for (const char* key : keys) {
    ASSERT_TRUE(object.contains(key)) << key;
    EXPECT_GT(object.at(key).to_number<double>(), 0.0) << key;
  }
}

void expect_machine(const json::object& machine) {
  expect_positive(machine, {"physical_cores", "memory_bytes", "read_buffer_bytes"});
  const json::array& ceilings = machine.at("ceilings").as_array();
  ASSERT_FALSE(ceilings.empty());
  for (const json::value& of_threads : ceilings) {
    expect_positive(of_threads.as_object(), {"threads", "memory_read_bytes_per_s"});
    const json::array& rates = of_threads.at("dot_products").as_array();
    ASSERT_FALSE(rates.empty());
    for (const json::value& rate : rates) expect_positive(rate.as_object(), {"operations_per_s"});
  }
}

TEST(Bench, MachineMeasuresEveryThreadCount) {
  const TestFolder folder;
  const ProgramRun run = run_program({"bench", "machine", "--threads", "1,2", "--json", folder / "m.json"});
  ASSERT_EQ(run.exit_code, 0) << run.err;
  EXPECT_THAT(run.out, AllOf(HasSubstr("memory, read"), HasSubstr("portable")));
  const json::value report = read_json_file(folder / "m.json");
  expect_machine(report.at("machine").as_object());
  EXPECT_EQ(report.at("machine").at("ceilings").as_array().size(), 2U);
}

TEST(Bench, KernelsAreCheckedAndTimed) {
  const TestFolder folder;
  const ProgramRun run =
      run_program({"bench", "kernels", "--threads", "1", "--instruction-sets", "portable", "--tokens", "1",
                   "--only", "c_fc, bf16 x bf16", "--json", folder / "k.json"});
  ASSERT_EQ(run.exit_code, 0) << run.err;
  const json::value report = read_json_file(folder / "k.json");
  expect_machine(report.at("machine").as_object());
  const json::array& results = report.at("results").as_array();
  ASSERT_EQ(results.size(), 1U);
  expect_positive(results[0].as_object(),
                  {"tokens", "seconds", "bytes", "operations", "share_of_memory", "share_of_dot_product"});
  EXPECT_EQ(results[0].at("bytes").to_number<double>(), 6400 * 1600 * 2.0);
}

TEST(Bench, ModelReportsEveryRunInEveryForm) {
  const TestFolder folder;
  const ProgramRun run = run_program({"bench",
                                      "model",
                                      "demo",
                                      "-p",
                                      "8,40",
                                      "-n",
                                      "3",
                                      "-b",
                                      "1,3",
                                      "-d",
                                      "0,50",
                                      "--repeat",
                                      "2",
                                      "--threads",
                                      "1",
                                      "--json",
                                      folder / "m.json",
                                      "--html",
                                      folder / "m.html",
                                      "--csv",
                                      folder / "m.csv"});
  ASSERT_EQ(run.exit_code, 0) << run.err;
  EXPECT_THAT(run.out, AllOf(HasSubstr("prefill 40"), HasSubstr("decode 3 x 3 at 50")));

  const json::value report = read_json_file(folder / "m.json");
  expect_machine(report.at("machine").as_object());
  expect_positive(report.at("model").as_object(),
                  {"weight_bytes", "operations_per_token", "load_s", "peak_resident_bytes"});
  const json::array& results = report.at("results").as_array();
  ASSERT_EQ(results.size(), 2U + 4U);
  for (const json::value& value : results) {
    const json::object& result = value.as_object();
    expect_positive(result, {"tokens", "sequences", "tokens_per_s", "tokens_per_s_min", "tokens_per_s_max",
                             "bytes_per_step", "operations_per_token", "share_of_limit", "limit_per_s",
                             "experts_per_layer", "forward_s_per_step"});
    EXPECT_LE(result.at("share_of_limit").to_number<double>(), 1.5);
    EXPECT_LE(result.at("experts_per_layer").to_number<double>(), 8.0);
    const bool prefill = result.at("kind") == "prefill";
    EXPECT_EQ(result.at("limit"), prefill ? "dot product" : "memory");
  }

  const std::string csv = read_file(folder / "m.csv");
  EXPECT_THAT(csv, testing::StartsWith(
                       "batch_size,input_seq_len(Encoding),output_seq_len(Decoding),ResponseTime(s),"
                       "forward_first_token_time(ms),forward_next_token_time(ms),pre_next_token_time(ms),"
                       "post_next_token_time_post(ms)\n"));
  EXPECT_EQ(std::count(csv.begin(), csv.end(), '\n'), 1 + 4);

  const std::string page = read_file(folder / "m.html");
  EXPECT_THAT(page, AllOf(HasSubstr("<svg"), HasSubstr("decode 3 x 3 at 50"), HasSubstr("</html>")));
  EXPECT_THAT(page, AllOf(Not(HasSubstr("<script")), Not(HasSubstr("http"))));
}

TEST(Bench, SkippedPromptsLeaveTheSameBytesToRead) {
  const TestFolder folder;
  std::vector<double> bytes;
  for (const bool skip : {false, true}) {
    Arguments arguments = {"bench",
                           "model",
                           "demo",
                           "-p",
                           "1",
                           "-n",
                           "2",
                           "-b",
                           "1",
                           "-d",
                           "300",
                           "--repeat",
                           "1",
                           "--threads",
                           "1",
                           "--json",
                           folder / "m.json"};
    if (skip) arguments.push_back("--skip-prompts");
    const ProgramRun run = run_program(arguments);
    ASSERT_EQ(run.exit_code, 0) << run.err;
    const json::value report = read_json_file(folder / "m.json");
    bytes.push_back(report.at("results").at(1).at("kv_read_bytes_per_step").to_number<double>());
  }
  EXPECT_DOUBLE_EQ(bytes[0], bytes[1]);
  EXPECT_GT(bytes[0], 2 * 300 * 2 * 2 * 32 * 2.0);  // two full layers' keys and values
}

TEST(Bench, WhatCannotRunIsRefusedBeforeAnythingIsMeasured) {
  const ProgramRun longer = run_program({"bench", "model", "demo", "-d", "131000", "-n", "100"});
  EXPECT_EQ(longer.exit_code, 1);
  EXPECT_THAT(longer.err, AllOf(HasSubstr("131072"), HasSubstr("--repeat")));

  const ProgramRun folder = run_program({"bench", "model", "demo", "--json", "/no/such/folder/x.json"});
  EXPECT_EQ(folder.exit_code, 1);
  EXPECT_THAT(folder.err, HasSubstr("/no/such/folder/x.json: cannot write"));

  const ProgramRun architecture = run_program({"bench", "model", "synth:gpt-9"});
  EXPECT_EQ(architecture.exit_code, 1);
  EXPECT_THAT(architecture.err, AllOf(HasSubstr("gpt-oss-20b"), HasSubstr("gpt-9")));

  const ProgramRun level = run_program({"bench", "kernels", "--instruction-sets", "sse9"});
  EXPECT_EQ(level.exit_code, 1);
  EXPECT_THAT(level.err, AllOf(HasSubstr("portable"), HasSubstr("sse9")));

  EXPECT_NE(run_program({"bench", "model", "demo", "-b", "0"}).exit_code, 0);
  EXPECT_NE(run_program({"bench", "model", "demo", "-p", "x"}).exit_code, 0);
  EXPECT_NE(run_program({"bench", "machine", "--threads", "0"}).exit_code, 0);
  EXPECT_NE(run_program({"bench"}).exit_code, 0);
}

}  // namespace
}  // namespace gossamer::test
