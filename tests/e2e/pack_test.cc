// gossamer pack: the packed folder in place of the model, and what an interruption leaves.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <string>

#include "tests/checkpoint/test_folder.h"
#include "tests/e2e/program.h"

namespace gossamer::test {
namespace {

using testing::AllOf;
using testing::HasSubstr;

std::string token_ids(const std::string& model) {
  return json::serialize(
      run_json({"generate", model, "--prompt", "What is the capital of France?", "--json", "--greedy"})
          .at("token_ids"));
}

TEST(Pack, StandsForTheModelInEveryCommand) {
  const TestFolder folder;
  const std::string out = folder / "packed";
  const ProgramRun run = run_program({"pack", "demo", out, "--weights", "w8"});
  ASSERT_EQ(run.exit_code, 0) << run.err;
  EXPECT_THAT(run.out, HasSubstr("packed"));
  EXPECT_EQ(run.err, "");  // no progress where there is no terminal
  EXPECT_FALSE(fs::exists(out + ".partial"));

  const std::string answer =
      json::serialize(run_json({"generate", "demo", "--prompt", "What is the capital of France?", "--json",
                                "--greedy", "--weights", "w8"})
                          .at("token_ids"));
  EXPECT_EQ(token_ids(out), answer);
  EXPECT_THAT(run_program({"chat", out, "--greedy"}, "What is the capital of France?\n").out,
              HasSubstr("Paris"));
  write_file(folder / "ids.json", "[[1, 2, 3]]");
  for (const char* model : {"demo", "packed"}) {
    Arguments score = {
        "score", model == std::string("demo") ? "demo" : out,  "--token-ids-file", folder / "ids.json",
        "-o",    folder / fmt::format("{}.safetensors", model)};
    if (model == std::string("demo")) score.insert(score.end(), {"--weights", "w8"});
    ASSERT_EQ(run_program(score).exit_code, 0);
  }
  EXPECT_EQ(read_file(folder / "demo.safetensors"), read_file(folder / "packed.safetensors"));
  const ProgramRun inspect = run_program({"inspect", out, "--verify"});
  EXPECT_EQ(inspect.exit_code, 0) << inspect.err;
  EXPECT_THAT(inspect.out, AllOf(HasSubstr("packed  "), HasSubstr("--weights w8"), HasSubstr("int8")));
  EXPECT_EQ(run_json({"inspect", out, "--json"}).at("packed").at("weights").as_string(), "w8");
  EXPECT_EQ(run_program({"bench", "model", out, "-p", "8", "-n", "4", "--repeat", "1"}).exit_code, 0);
  EXPECT_EQ(run_program({"tokenize", out}, "hello").exit_code, 0);
}

TEST(Pack, SaysWhatDoesNotFitTogether) {
  const TestFolder folder;
  const std::string out = folder / "packed";
  ASSERT_EQ(run_program({"pack", "demo", out}).exit_code, 0);
  const auto error = [](const Arguments& arguments) {
    const ProgramRun run = run_program(arguments);
    EXPECT_EQ(run.exit_code, 1);
    EXPECT_EQ(run.out, "");
    return run.err;
  };
  EXPECT_THAT(error({"generate", out, "--prompt", "a", "--weights", "w4"}),
              HasSubstr("packed with --weights auto, found --weights w4"));
  EXPECT_THAT(error({"inspect", out, "--backend", "reference"}), HasSubstr("packed for the backend cpu"));
  EXPECT_THAT(error({"pack", "demo", out}), HasSubstr("found something there"));
  EXPECT_EQ(run_program({"pack", "demo", out, "--force", "--weights", "w4"}).exit_code, 0);
  EXPECT_THAT(error({"pack", out, out, "--force"}), HasSubstr("that is packed"));
  EXPECT_THAT(error({"inspect", "demo", "--verify"}), HasSubstr("only folders that `gossamer pack` wrote"));
  EXPECT_THAT(error({"pack", "demo", folder / "bf16", "--as", "bf16-checkpoint", "--weights", "w8"}),
              HasSubstr("leave out --weights"));
  std::string data = read_file(folder / "packed/packed.safetensors");
  data[data.size() / 2] ^= 1;
  write_file(folder / "packed/packed.safetensors", data);
  EXPECT_THAT(error({"generate", out, "--prompt", "a"}), HasSubstr("expected checksum"));
  EXPECT_THAT(error({"inspect", out, "--verify"}), HasSubstr("expected checksum"));
}

TEST(Pack, MakesABf16Checkpoint) {
  const TestFolder folder;
  const std::string out = folder / "bf16";
  ASSERT_EQ(run_program({"pack", fixture("gpt_oss_mxfp4"), out, "--as", "bf16-checkpoint"}).exit_code, 0);
  const json::object formats = run_json({"inspect", out, "--json"}).at("by_format").as_object();
  EXPECT_TRUE(formats.contains("bf16"));
  EXPECT_FALSE(formats.contains("mxfp4"));
}

TEST(Pack, LeavesNothingWhenInterrupted) {
  const TestFolder folder;
  Terminal terminal({"pack", "synth:gpt2-large", folder / "out"});
  ASSERT_TRUE(terminal.wait_for(" s left")) << terminal.screen();
  EXPECT_THAT(terminal.screen(), HasSubstr(" of 2.9 GiB, "));
  terminal.type("\x03");
  EXPECT_EQ(terminal.exit_code(), 1);
  EXPECT_THAT(terminal.screen(), HasSubstr("interrupted"));
  EXPECT_TRUE(fs::is_empty(folder.path()));

  const std::string script = fmt::format(
      "'{0}' pack synth:gpt2-large '{1}' & while ! [ -e '{1}.partial/packed.safetensors.partial' ]; do sleep "
      "0.01; "
      "done; kill -TERM $!; wait $!",
      GOSSAMER_PROGRAM, (folder / "out").string());
  const ProgramRun run = run_program({"-c", script}, "", "/bin/sh");
  EXPECT_EQ(run.exit_code, 1);
  EXPECT_THAT(run.err, HasSubstr("interrupted"));
  EXPECT_TRUE(fs::is_empty(folder.path()));
}

}  // namespace
}  // namespace gossamer::test
