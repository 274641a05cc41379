// Loading a checkpoint of real size: what it may hold in memory, and what `--weights` makes of it.
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <string>

#include "tests/e2e/program.h"

namespace gossamer::test {
namespace {

// Allocators of sanitizers keep memory of their own.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool kSanitized = true;
#else
constexpr bool kSanitized = false;
#endif

// GPT-2's real shapes: 548 MB as f32, transposed matrices among them.
class Load : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    folder_ = std::filesystem::temp_directory_path() / ("gossamer_load_test_" + std::to_string(getpid()));
    const ProgramRun run = run_program({"synth", "gpt2", folder_.string()});
    ASSERT_EQ(run.exit_code, 0) << run.err;
  }
  static void TearDownTestSuite() { std::filesystem::remove_all(folder_); }

  static inline std::filesystem::path folder_;
};

TEST_F(Load, PeakMemoryStaysNearThePreparedWeights) {
  if (kSanitized) GTEST_SKIP() << "a sanitizer's allocator takes memory of its own";
  for (const std::string weights : {"auto", "w8", "w4"}) {
    const Arguments options = {folder_.string(), "--weights", weights, "--max-model-len", "64"};
    Arguments inspect = {"inspect", "--json"};
    inspect.insert(inspect.end(), options.begin(), options.end());
    const json::object report = run_json(inspect);
    const auto prepared = report.at("plan").at("weights_bytes").to_number<double>();
    EXPECT_GT(prepared, 50e6);
    Arguments generate = {"generate", "--token-ids", "1,2,3", "--max-new-tokens", "2"};
    generate.insert(generate.end(), options.begin(), options.end());
    const ProgramRun run = run_program(generate);
    ASSERT_EQ(run.exit_code, 0) << run.err;
    const auto peak = static_cast<double>(run.peak_resident_bytes);
    EXPECT_GT(peak, prepared);  // or the figure is not what it seems
    EXPECT_LE(peak, 1.1 * prepared + 300e6) << weights;
  }
}

TEST_F(Load, PackingHoldsOneWeightAndAPackedFolderIsInMemoryOnce) {
  if (kSanitized) GTEST_SKIP() << "a sanitizer's allocator takes memory of its own";
  const std::string packed = folder_.string() + "_packed";
  constexpr double kLargest = 50257.0 * 768 * 4;  // the embedding, of 548 MB in all
  for (const std::string weights : {"auto", "w8"}) {
    const ProgramRun pack = run_program({"pack", folder_.string(), packed, "--weights", weights, "--force"});
    ASSERT_EQ(pack.exit_code, 0) << pack.err;
    EXPECT_LE(static_cast<double>(pack.peak_resident_bytes), 2 * kLargest + 100e6) << weights;
    const auto prepared =
        run_json({"inspect", "--json", packed}).at("plan").at("weights_bytes").to_number<double>();
    const ProgramRun run =
        run_program({"generate", packed, "--token-ids", "1,2,3", "-n", "2", "--max-model-len", "64"});
    ASSERT_EQ(run.exit_code, 0) << run.err;
    EXPECT_GT(static_cast<double>(run.peak_resident_bytes), prepared);
    EXPECT_LE(static_cast<double>(run.peak_resident_bytes), prepared + 60e6) << weights;
  }
  std::filesystem::remove_all(packed);
}

TEST_F(Load, SaysWhatIsWrongWithWeights) {
  const auto error = [](const std::string& weights) {
    const ProgramRun run = run_program({"inspect", folder_.string(), "--weights", weights});
    EXPECT_NE(run.exit_code, 0);
    return run.err;
  };
  EXPECT_NE(error("w5").find("expected auto, w8, w4, w8a8 or a list"), std::string::npos);
  EXPECT_NE(error("").find("expected auto, w8, w4, w8a8 or a list"), std::string::npos);
  EXPECT_NE(error("dense=int8,").find("expected auto, w8, w4, w8a8 or a list"), std::string::npos);
  EXPECT_NE(error("dense=int9").find("found \"int9\""), std::string::npos);
  EXPECT_NE(error("body=int8").find("found \"body\""), std::string::npos);
  EXPECT_NE(error("head=int8,head=int4").find("given twice"), std::string::npos);
  EXPECT_NE(error("dense=mxfp4").find("does not store them so"), std::string::npos);
}

}  // namespace
}  // namespace gossamer::test
