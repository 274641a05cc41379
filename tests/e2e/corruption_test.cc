// Damaged folders through the whole program: it answers or refuses, and never crashes. The checkpoint room's
// own test tries many more in-process; this one covers what main() makes of it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <random>
#include <string>

#include "tests/checkpoint/test_folder.h"
#include "tests/e2e/program.h"

namespace gossamer::test {
namespace {

TEST(Corruption, NeverCrashesTheProgram) {
  namespace fs = std::filesystem;
  std::mt19937 generator(1);
  int num_refused = 0;
  int num_trials = 0;
  for (const char* name : {"gpt2_f16_sharded", "gpt_neox_pythia_bf16", "gpt_oss_mxfp4"}) {
    std::vector<fs::path> files;
    for (const auto& entry : fs::directory_iterator(fixture(name))) {
      const std::string file = entry.path().filename();
      if (file != "prompts.json" && file != "expected.safetensors") files.push_back(entry.path());
    }
    std::sort(files.begin(), files.end());
    for (int trial = 0; trial < 15; ++trial) {
      const TestFolder folder;
      for (const fs::path& file : files) fs::copy_file(file, folder / file.filename().string());
      const fs::path victim = folder / files[generator() % files.size()].filename().string();
      std::string bytes = read_file(victim);
      const std::size_t reach = std::min<std::size_t>(bytes.size(), 2000);  // the header, most of the time
      if (trial % 3 == 0) {
        bytes.resize(generator() % bytes.size());
      } else {
        for (int flips = 0; flips < 3; ++flips) bytes[generator() % reach] = static_cast<char>(generator());
      }
      write_file(victim, bytes);
      const ProgramRun run =
          run_program({"generate", folder.path(), "--token-ids", "1,2,3", "-n", "2", "--json"});
      ASSERT_EQ(run.signal, 0) << victim << ", trial " << trial << ": " << run.err;
      ++num_trials;
      if (run.exit_code == 0) continue;
      ++num_refused;
      EXPECT_EQ(run.exit_code, 1);
      EXPECT_EQ(run.out, "");
      EXPECT_TRUE(run.err.starts_with("gossamer: ")) << run.err;
      EXPECT_LT(run.err.size(), 2000U);
    }
  }
  EXPECT_GT(num_refused, num_trials / 2);
}

}  // namespace
}  // namespace gossamer::test
