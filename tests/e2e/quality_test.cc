// gossamer calibrate and quality.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <filesystem>
#include <set>
#include <string>
#include <vector>

#include "base/half.h"
#include "checkpoint/checkpoint.h"
#include "checkpoint/safetensors_writer.h"
#include "model/registry.h"
#include "tests/checkpoint/test_folder.h"
#include "tests/e2e/program.h"

namespace gossamer::test {
namespace {

using testing::AllOf;
using testing::HasSubstr;

void multiply(DType dtype, std::vector<std::byte>& bytes, int64_t index, float factor) {
  std::byte* at = bytes.data() + static_cast<std::size_t>(index) * dtype_size(dtype);
  float wide = 0;
  uint16_t bf16 = 0;
  if (dtype == DType::kF32) {
    std::memcpy(&wide, at, 4);
    wide *= factor;
    std::memcpy(at, &wide, 4);
  } else {
    ASSERT_EQ(dtype, DType::kBf16);
    std::memcpy(&bf16, at, 2);
    bf16 = float_to_bf16(bf16_to_float(bf16) * factor);
    std::memcpy(at, &bf16, 2);
  }
}

// The same function with outliers: in a few channels every norm's output is 32 times as large, and what reads
// it takes 1 / 32 of it. Exact in every dtype but for the smallest numbers.
void write_with_outliers(const std::filesystem::path& from, const std::filesystem::path& to) {
  constexpr float kFactor = 32;
  const std::vector<int64_t> channels = {3, 17, 30};
  const auto checkpoint = Checkpoint::open(from);
  const auto model = create_model(checkpoint->config());
  const ParamList params = model->declare_params();
  std::map<std::string, std::vector<std::byte>> tensors;
  for (const auto& [name, stored] : checkpoint->tensors()) {
    tensors[name].assign(stored.tensor.bytes(), stored.tensor.bytes() + stored.tensor.size_bytes());
  }
  for (const VectorParam& vector : params.vectors) {
    if (vector.norm.empty()) continue;
    const std::string& name = vector.parts.front().name;
    const DType dtype = checkpoint->find(name)->tensor.dtype();
    for (const int64_t channel : channels) multiply(dtype, tensors.at(name), channel, kFactor);
  }
  for (const MatrixParam& matrix : params.matrices) {
    if (matrix.input_norm.empty()) continue;
    for (const ParamPart& part : matrix.parts) {
      const ConstTensor& tensor = checkpoint->find(part.name)->tensor;
      const bool transposed = matrix.transposed || matrix.num_experts > 0;
      for (int64_t i = 0; i < tensor.shape().num_elements(); ++i) {
        const int64_t channel = transposed ? i / part.rows % matrix.cols : i % matrix.cols;
        if (std::find(channels.begin(), channels.end(), channel) != channels.end())
          multiply(tensor.dtype(), tensors.at(part.name), i, 1 / kFactor);
      }
    }
  }
  write_file(to / "config.json", read_file(from / "config.json"));
  std::vector<TensorSpec> specs;
  for (const auto& [name, stored] : checkpoint->tensors()) {
    specs.push_back({.name = name, .dtype = stored.tensor.dtype(), .shape = stored.tensor.shape()});
  }
  SafetensorsWriter writer(to / "model.safetensors", specs);
  for (const TensorSpec& spec : specs) writer.append(tensors.at(spec.name));
  writer.finish();
}

json::object quality(const std::filesystem::path& model, const std::filesystem::path& ids,
                     const Arguments& more) {
  const std::filesystem::path report = ids.parent_path() / "report.json";
  Arguments arguments = {"quality", model, "--token-ids-file", ids, "--json", report};
  arguments.insert(arguments.end(), more.begin(), more.end());
  const ProgramRun run = run_program(arguments);
  EXPECT_EQ(run.exit_code, 0) << run.err;
  EXPECT_THAT(run.out, AllOf(HasSubstr("KL divergence"), HasSubstr("layer")));
  return parse_json(read_file(report), report).as_object();
}

double mean_divergence(const json::object& report) {
  return report.at("kl_divergence").at("mean").to_number<double>();
}

TEST(Calibrate, SmoothingTakesTheHarmOutOfOutliers) {
  for (const char* name : {"gpt2_f32", "gpt_neox_sequential_f32", "gpt_neox_pythia_bf16", "gpt_oss_bf16"}) {
    const TestFolder folder;
    const auto model = folder / "outliers";
    write_with_outliers(fixture(name), model);
    write_file(folder / "ids.json", read_file(fixture(name) / "prompts.json"));
    const auto ids = folder / "ids.json";
    const auto scales = folder / "scales.safetensors";
    const ProgramRun run = run_program({"calibrate", model, "--token-ids-file", ids, "--output", scales});
    ASSERT_EQ(run.exit_code, 0) << run.err;

    const double without = mean_divergence(quality(model, ids, {"--weights", "w8a8"}));
    const double with = mean_divergence(quality(model, ids, {"--weights", "w8a8", "--smoothing", scales}));
    EXPECT_GT(with, 0.0) << name;
    EXPECT_LT(with, without / 5) << name << ": " << without;
  }
}

TEST(Calibrate, SmoothedLogitsAreTheSameBytesHoweverTheyAreComputed) {
  for (const char* name : {"gpt2_f32", "gpt_oss_bf16"}) {
    const TestFolder folder;
    const auto ids = fixture(name) / "prompts.json";
    const auto scales = folder / "scales.safetensors";
    ASSERT_EQ(run_program({"calibrate", fixture(name), "--token-ids-file", ids, "-o", scales}).exit_code, 0);
    const auto bytes = [&](const Arguments& more) {
      Arguments arguments = {"score",     fixture(name), "--token-ids-file", ids,   "--output", folder / "o",
                             "--weights", "w8a8",        "--smoothing",      scales};
      arguments.insert(arguments.end(), more.begin(), more.end());
      const ProgramRun run = run_program(arguments);
      EXPECT_EQ(run.exit_code, 0) << run.err;
      return read_file(folder / "o");
    };
    const std::string alone = bytes({"--threads", "1"});
    EXPECT_EQ(bytes({"--chunk-tokens", "7", "--threads", "3"}), alone) << name;
    EXPECT_EQ(bytes({"--max-num-seqs", "5", "--threads", "2", "--pin", "node"}), alone) << name;
  }
}

TEST(Calibrate, TakesATextAndLeavesMxfp4ExpertsAlone) {
  const TestFolder folder;
  write_file(folder / "text", "The capital of France is Paris. The capital of Spain is Madrid.");
  const auto scales = folder / "scales.safetensors";
  ASSERT_EQ(run_program({"calibrate", "demo", "--text", folder / "text", "-o", scales}).exit_code, 0);
  const Arguments run = {"quality", "demo", "--text", folder / "text", "--smoothing", scales};
  Arguments smoothed = run;
  smoothed.insert(smoothed.end(), {"--weights", "w8a8"});
  EXPECT_EQ(run_program(smoothed).exit_code, 0);
  Arguments only_experts = run;
  only_experts.insert(only_experts.end(), {"--activations", "int8"});
  EXPECT_THAT(run_program(only_experts).err, HasSubstr("MXFP4 experts cannot be smoothed"));
}

TEST(Calibrate, SaysWhatItNeeds) {
  const TestFolder folder;
  const auto out = folder / "scales.safetensors";
  EXPECT_THAT(run_program({"calibrate", "demo", "-o", out}).err, HasSubstr("--text"));
  EXPECT_THAT(run_program({"calibrate", "demo", "--text", "/no/such/file", "-o", out}).err,
              HasSubstr("cannot read /no/such/file"));
  write_file(folder / "empty", "");
  EXPECT_THAT(run_program({"calibrate", "demo", "--text", folder / "empty", "-o", out}).err,
              HasSubstr("empty text"));
  EXPECT_THAT(run_program({"calibrate", fixture("gpt2_f32"), "--text", folder / "empty", "-o", out}).err,
              HasSubstr("no tokenizer.json"));
  EXPECT_FALSE(std::filesystem::exists(out));
}

TEST(Quality, FindsNoDifferenceFromTheModelAsStored) {
  const TestFolder folder;
  write_file(folder / "ids.json", "[[1, 2, 3, 4], [5]]");
  const json::object report = quality(fixture("gpt2_f32"), folder / "ids.json", {});
  EXPECT_EQ(mean_divergence(report), 0.0);
  EXPECT_EQ(report.at("top1_agreement").to_number<double>(), 1.0);
  EXPECT_EQ(report.at("perplexity").to_number<double>(),
            report.at("perplexity_as_stored").to_number<double>());
  EXPECT_EQ(report.at("tokens").to_number<int>(), 5);
  // Four products a layer.
  ASSERT_FALSE(report.at("products").as_array().empty());
  EXPECT_EQ(report.at("products").as_array().size() % 4, 0U);
  EXPECT_EQ(report.at("products").at(0).at("name").as_string(), "h.0.attn.c_attn.weight");
}

TEST(Quality, FewerBitsCostMore) {
  const TestFolder folder;
  write_file(folder / "ids.json", read_file(fixture("gpt_oss_mxfp4") / "prompts.json"));
  double last = 0.0;
  for (const char* weights : {"w8", "w8a8", "w4"}) {
    const json::object report = quality(fixture("gpt_oss_mxfp4"), folder / "ids.json",
                                        {"--weights", weights, "--max-model-len", "8000"});
    EXPECT_GT(mean_divergence(report), last) << weights;
    last = mean_divergence(report);
    EXPECT_GE(report.at("kl_divergence").at("max").to_number<double>(), last);
    for (const json::value& product : report.at("products").as_array()) {
      EXPECT_GT(product.at("relative_error").to_number<double>(), 0.0) << json::serialize(product);
      EXPECT_LT(product.at("relative_error").to_number<double>(), 1.0) << json::serialize(product);
    }
  }
}

TEST(Quality, ChecksThePlaceOfItsReportFirst) {
  const TestFolder folder;
  write_file(folder / "ids.json", "[[1, 2]]");
  const ProgramRun run = run_program({"quality", fixture("gpt2_f32"), "--token-ids-file", folder / "ids.json",
                                      "--json", "/no/such/folder/report"});
  EXPECT_EQ(run.exit_code, 1);
  EXPECT_THAT(run.err, HasSubstr("/no/such/folder/report"));
}

TEST(Placement, ChangesNothingButWhereThingsLie) {
  const TestFolder folder;
  write_file(folder / "ids.json", "[[1, 2, 3, 4], [5]]");
  const auto bytes = [&](const Arguments& more) {
    Arguments arguments = {"score",    fixture("gpt2_f32"), "--token-ids-file", folder / "ids.json",
                           "--output", folder / "out",      "--verbose"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    const ProgramRun run = run_program(arguments);
    if (run.exit_code == 1 && run.err.find("SYS_NICE") != std::string::npos) return std::string("refused");
    EXPECT_EQ(run.exit_code, 0) << run.err;
    if (more.back() == "core" || more.back() == "node") {
      EXPECT_THAT(run.err, HasSubstr("pinned to their " + more.back()));
    }
    return read_file(folder / "out");
  };
  const std::string plain = bytes({"--numa", "off"});
  EXPECT_EQ(bytes({"--threads", "1", "--pin", "core"}), plain);
  EXPECT_EQ(bytes({"--pin", "node"}), plain);
  EXPECT_THAT(bytes({"--numa", "interleave"}), testing::AnyOf("refused", plain));
  EXPECT_THAT(bytes({"--numa", "replicate"}), testing::AnyOf("refused", plain));
}

}  // namespace
}  // namespace gossamer::test
