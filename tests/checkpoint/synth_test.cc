#include "checkpoint/synth.h"

#include <cmath>

#include "checkpoint/checkpoint.h"
#include "checkpoint/synth_checkpoint.h"
#include "tensor/weight.h"
#include "tests/checkpoint/test_folder.h"

namespace gossamer {
namespace {

using test::error_of;
using test::TestFolder;
using testing::ElementsAre;
using testing::HasSubstr;

SynthArchitecture tiny() {
  SynthArchitecture tiny;
  tiny.config = {{"model_type", "tiny"}, {"list", {1, 2}}, {"nested", {{"a", 1e-5}, {"b", json::object()}}}};
  tiny.generation_config = {{"eos_token_id", 3}};
  tiny.tensors = {{{"bf16", DType::kBf16, {300, 1000}}, Fill::kNormal, 0.02F},
                  {{"f16", DType::kF16, {70, 1001}}, Fill::kNormal, 0.05F},
                  {{"f32", DType::kF32, {2'000'000}}, Fill::kNormal, 0.02F},
                  {{"gain", DType::kBf16, {5000}}, Fill::kGain, 0.1F},
                  {{"codes", DType::kU8, {4, 100, 10, 16}}, Fill::kMxfp4Codes, 0.0F},
                  {{"scales", DType::kU8, {4, 100, 10}}, Fill::kMxfp4Scales, 0.0F},
                  {{"mask", DType::kF32, {1, 1, 5, 5}}, Fill::kCausalMask, 0.0F}};
  tiny.num_shards = 3;
  tiny.first_shard = 0;
  return tiny;
}

struct Moments {
  double mean = 0;
  double deviation = 0;
};

// Of a dense tensor, or of codes with the scales that belong to them.
Moments moments(const Checkpoint& checkpoint, const std::string& name) {
  WeightSource source;
  const ConstTensor tensor = checkpoint.find(name)->tensor;
  source.rows = tensor.shape().num_rows();
  source.cols = tensor.shape().row_size();
  WeightPart part = {.rows = source.rows, .codes = tensor, .scales = {}};
  if (tensor.dtype() == DType::kU8) {
    source.format = Format::kMxfp4;
    source.num_experts = 4;
    source.rows = part.rows = 100;
    source.cols = 320;
    part.scales = checkpoint.find("scales")->tensor;
  } else {
    source.format = tensor.dtype() == DType::kF32   ? Format::kF32
                    : tensor.dtype() == DType::kF16 ? Format::kF16
                                                    : Format::kBf16;
  }
  source.parts = {part};
  source.check();
  double sum = 0;
  double squares = 0;
  std::vector<float> row(static_cast<std::size_t>(source.cols));
  for (int64_t expert = 0; expert < source.num_experts; ++expert) {
    for (int64_t i = 0; i < source.rows; ++i) {
      source.decode_row(expert, i, row.data());
      for (const float number : row) {
        sum += number;
        squares += double{number} * number;
      }
    }
  }
  const auto count = static_cast<double>(source.num_experts * source.rows * source.cols);
  return {sum / count, std::sqrt(squares / count - sum / count * sum / count)};
}

void expect_sensible_numbers(const Checkpoint& checkpoint) {
  for (const auto& [name, mean, deviation] : {std::tuple{"bf16", 0.0, 0.02},
                                              {"f16", 0.0, 0.05},
                                              {"f32", 0.0, 0.02},
                                              {"gain", 1.0, 0.1},
                                              {"codes", 0.0, 0.021}}) {
    const Moments found = moments(checkpoint, name);
    // Pools and segments repeat, so that the sample is smaller than the tensor: 10% of a deviation is ample.
    EXPECT_NEAR(found.mean, mean, 0.1 * deviation) << name;
    EXPECT_NEAR(found.deviation, deviation, 0.1 * deviation) << name;
  }
}

TEST(Synth, HasTheOfficialSizes) {
  const auto size = [](const char* name) { return describe_synth_architecture(name, {}).total_bytes(); };
  const auto count = [](const char* name) { return describe_synth_architecture(name, {}).tensors.size(); };
  EXPECT_EQ(size("gpt-oss-20b"), 13'761'264'768U);
  EXPECT_EQ(size("gpt-oss-120b"), 65'248'815'744U);
  EXPECT_EQ(count("gpt-oss-20b"), 459U);
  EXPECT_EQ(count("gpt-oss-120b"), 687U);
  EXPECT_EQ(size("gpt2"), 124'439'808U * 4 + 12 * 1024 * 1024 * 4);  // the parameters and the causal masks
  EXPECT_EQ(count("gpt2"), 160U);
  EXPECT_EQ(size("gpt2-xl"), 1'557'611'200UL * 4 + 48 * 1024 * 1024 * 4);
  EXPECT_EQ(size("gpt-neox-20b"), 20'554'567'680U * 2 + 44 * (2048 * 2048 + 2 + 12 * 2));
  EXPECT_EQ(describe_synth_architecture("gpt-oss-20b", {}).num_shards, 3);
  EXPECT_EQ(describe_synth_architecture("gpt-oss-20b", 2).num_shards, 2);
}

TEST(Synth, SaysWhichArchitecturesAndLayersThereAre) {
  EXPECT_THAT(error_of([] { describe_synth_architecture("gpt-4", {}); }),
              HasSubstr("expected one of gpt-oss-20b, gpt-oss-120b, gpt-neox-20b, gpt2,"));
  EXPECT_THAT(error_of([] { describe_synth_architecture("gpt2", 13); }),
              HasSubstr("gpt2: expected 1 to 12 layers, found 13"));
  EXPECT_THROW(describe_synth_architecture("gpt2", 0), Error);
}

TEST(Synth, InMemoryHasTheSameKindOfNumbersAndCanBeReleased) {
  const auto checkpoint = make_synth_checkpoint(tiny(), "synth:tiny");
  EXPECT_EQ(checkpoint->config().object(), tiny().config);
  EXPECT_EQ(checkpoint->folder(), "synth:tiny");
  EXPECT_EQ(checkpoint->find("mask"), nullptr);  // no model reads it
  expect_sensible_numbers(*checkpoint);
  for (const auto& [name, stored] : checkpoint->tensors()) {
    checkpoint->prefetch({stored.tensor.bytes(), stored.tensor.size_bytes()});
    checkpoint->release({stored.tensor.bytes(), stored.tensor.size_bytes()});
  }
  expect_sensible_numbers(*checkpoint);
}

TEST(Synth, WritesAFolderThatOpensWithSensibleNumbers) {
  const TestFolder folder;
  test::write_file(folder / "tokenizer.json", "{\"tokenizer\": 1}");
  uint64_t last = 0;
  SynthOptions options;
  options.tokenizer = folder / "tokenizer.json";
  options.num_threads = 2;
  options.progress = [&](uint64_t done, uint64_t total) {
    EXPECT_LE(done, total);
    last = done;
  };
  write_synth_checkpoint(tiny(), folder / "deep/out/", options);
  EXPECT_EQ(last, tiny().total_bytes());

  const auto checkpoint = Checkpoint::open(folder / "deep/out");
  EXPECT_EQ(checkpoint->config().object(), tiny().config);
  EXPECT_EQ(checkpoint->generation_config().object(), tiny().generation_config);
  EXPECT_EQ(checkpoint->tensors().size(), 7U);
  EXPECT_EQ(checkpoint->stored_bytes(), tiny().total_bytes());
  EXPECT_EQ(test::read_file(folder / "deep/out/tokenizer.json"), "{\"tokenizer\": 1}");
  EXPECT_TRUE(test::fs::exists(folder / "deep/out/model-00000-of-00002.safetensors"));
  EXPECT_FALSE(test::fs::exists(folder / "deep/out.partial"));
  expect_sensible_numbers(*checkpoint);
  EXPECT_EQ(moments(*checkpoint, "mask").mean, 15.0 / 25.0);
}

TEST(Synth, SameSeedSameBytesWithAnyNumberOfThreads) {
  const TestFolder folder;
  const auto write = [&](const char* name, uint64_t seed, int num_threads) {
    SynthOptions options;
    options.seed = seed;
    options.num_threads = num_threads;
    write_synth_checkpoint(tiny(), folder / name, options);
    return test::read_file(folder / name / "model-00001-of-00002.safetensors");
  };
  const std::string one = write("one", 1, 1);
  EXPECT_GT(one.size(), std::size_t{1} << 20);
  EXPECT_TRUE(one == write("three", 1, 3));
  EXPECT_FALSE(one == write("other", 2, 1));
}

TEST(Synth, LeavesWhatIsThereAlone) {
  const TestFolder folder;
  test::write_file(folder / "full/file", "x");
  EXPECT_THAT(error_of([&] { write_synth_checkpoint(tiny(), folder / "full", {}); }),
              HasSubstr("expected a folder that does not exist yet or is empty"));
  EXPECT_THAT(error_of([&] { write_synth_checkpoint(tiny(), folder / "full/file", {}); }),
              HasSubstr("expected a folder that does not exist yet or is empty"));
  test::fs::create_directories(folder / "out.partial");
  EXPECT_THAT(error_of([&] { write_synth_checkpoint(tiny(), folder / "out", {}); }),
              HasSubstr("left by a run that was killed"));
  test::fs::create_directories(folder / "empty");
  write_synth_checkpoint(tiny(), folder / "empty", {});
  EXPECT_TRUE(test::fs::exists(folder / "empty/config.json"));
}

TEST(Synth, LeavesNothingWhenItFails) {
  const TestFolder folder;
  SynthOptions options;
  options.tokenizer = folder / "missing.json";
  EXPECT_THAT(error_of([&] { write_synth_checkpoint(tiny(), folder / "out", options); }),
              HasSubstr("missing.json: cannot copy the file"));
  SynthArchitecture huge = tiny();
  huge.tensors.push_back({{"huge", DType::kU8, {int64_t{1} << 50}}, Fill::kNormal, 0.02F});
  EXPECT_THAT(error_of([&] { write_synth_checkpoint(huge, folder / "out", {}); }),
              HasSubstr("needs 1125899.9"));
  EXPECT_TRUE(test::fs::is_empty(folder.path()));
}

}  // namespace
}  // namespace gossamer
