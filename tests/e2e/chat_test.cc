// gossamer chat, in a pipe and on a terminal.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "tests/e2e/program.h"

namespace gossamer::test {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

TEST(Chat, AnswersEveryLineOfAPipe) {
  const ProgramRun run = run_program({"chat", demo_model(), "--greedy"},
                                     "What is the capital of France?\n\nWhat is the capital of Italy?\n");
  EXPECT_EQ(run.exit_code, 0) << run.err;
  EXPECT_THAT(run.out, AllOf(HasSubstr("Paris"), HasSubstr("Rome"), Not(HasSubstr("> "))));
}

TEST(Chat, RemembersUntilReset) {
  const auto prompt_sizes = [](const std::string& input) {
    const std::string err = run_program({"chat", demo_model(), "--greedy", "--verbose"}, input).err;
    std::vector<int> sizes;
    for (std::size_t at = 0; (at = err.find(" prompt tokens", at)) != std::string::npos; ++at) {
      const std::size_t begin = err.rfind('\n', at) + 1;
      sizes.push_back(std::stoi(err.substr(begin)));
    }
    return sizes;
  };
  const std::vector<int> kept =
      prompt_sizes("What is the capital of France?\nWhat is the capital of France?\n");
  const std::vector<int> reset =
      prompt_sizes("What is the capital of France?\n/reset\nWhat is the capital of France?\n");
  ASSERT_EQ(kept.size(), 2U);
  ASSERT_EQ(reset.size(), 2U);
  EXPECT_GT(kept[1], kept[0]);
  EXPECT_EQ(reset[1], reset[0]);
  const std::vector<int> with_system =
      prompt_sizes("/system Be brief.\nWhat is the capital of France?\n/quit\nignored\n");
  ASSERT_EQ(with_system.size(), 1U);
  EXPECT_GT(with_system[0], kept[0]);
}

TEST(Chat, RefusesAQuestionThatIsTooLongAndGoesOn) {
  std::string too_long = "What";
  for (int i = 0; i < 500; ++i) too_long += " is";
  const ProgramRun run = run_program(
      {"chat", demo_model(), "--greedy", "--max-model-len", "200"},
      "What is the capital of France?\n" + too_long + "\n/reset\nWhat is the capital of Italy?\n");
  EXPECT_EQ(run.exit_code, 0);
  EXPECT_THAT(run.err, AllOf(HasSubstr("only 199 fit"), HasSubstr("/reset")));
  EXPECT_THAT(run.out, AllOf(HasSubstr("Paris"), HasSubstr("Rome")));
}

TEST(Chat, NamesCommandsThatItDoesNotKnow) {
  const ProgramRun run = run_program({"chat", demo_model()}, "/dance\n");
  EXPECT_EQ(run.exit_code, 0);
  EXPECT_THAT(run.err, AllOf(HasSubstr("/dance"), HasSubstr("/reset")));
}

TEST(ChatOnATerminal, DimsReasoningAndEndsWithControlD) {
  Terminal terminal({"chat", demo_model(), "--greedy"});
  ASSERT_TRUE(terminal.wait_for("> ")) << terminal.screen();
  terminal.type("What is the capital of France?\n");
  EXPECT_TRUE(terminal.wait_for("\033[2m")) << terminal.screen();
  EXPECT_TRUE(terminal.wait_for("\033[0m")) << terminal.screen();
  EXPECT_TRUE(terminal.wait_for("Paris")) << terminal.screen();
  ASSERT_TRUE(terminal.wait_for("> ")) << terminal.screen();
  terminal.type("\x04");
  EXPECT_EQ(terminal.exit_code(), 0);
}

TEST(ChatOnATerminal, FoldsReasoningToOneLine) {
  Terminal terminal({"chat", demo_model(), "--greedy", "--hide-reasoning"});
  ASSERT_TRUE(terminal.wait_for("> ")) << terminal.screen();
  terminal.type("What is the capital of France?\n");
  EXPECT_TRUE(terminal.wait_for("(thinking)")) << terminal.screen();
  EXPECT_TRUE(terminal.wait_for("Paris")) << terminal.screen();
  terminal.type("/quit\n");
  EXPECT_EQ(terminal.exit_code(), 0);
  EXPECT_THAT(terminal.screen(), Not(HasSubstr("asks for")));
}

TEST(ChatOnATerminal, ControlCStopsTheAnswerNotTheProgram) {
  // An answer without end: the end tokens of the demo model are not obeyed.
  Terminal terminal({"chat", demo_model(), "--seed", "1", "--ignore-eos"});
  ASSERT_TRUE(terminal.wait_for("> ")) << terminal.screen();
  terminal.type("\x03");
  ASSERT_TRUE(terminal.wait_for("/quit ends the chat")) << terminal.screen();
  ASSERT_TRUE(terminal.wait_for("> ")) << terminal.screen();
  terminal.type("What is the capital of France?\n");
  ASSERT_TRUE(terminal.wait_for("\033[2m")) << terminal.screen();
  terminal.type("\x03");
  ASSERT_TRUE(terminal.wait_for("(stopped")) << terminal.screen();
  ASSERT_TRUE(terminal.wait_for("> ")) << terminal.screen();
  terminal.type("/quit\n");
  EXPECT_EQ(terminal.exit_code(), 0);
}

}  // namespace
}  // namespace gossamer::test
