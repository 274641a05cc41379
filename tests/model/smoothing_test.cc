// Smoothing: where models say it can go, and what its file may hold.
#include "model/smoothing.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <string>
#include <vector>

#include "backend/observing_backend.h"
#include "tests/checkpoint/test_folder.h"
#include "tests/model/fixture.h"

namespace gossamer {
namespace {

using testing::HasSubstr;

const BackendOptions kBackend{.name = "cpu", .num_threads = 2, .instruction_set = ""};

// Scales that are powers of two, so that folding them changes no bit of any product.
Smoothing some_scales(const ParamList& params) {
  Smoothing smoothing;
  for (const auto& [norm, dim] : smoothable_norms(params)) {
    for (int64_t j = 0; j < dim; ++j) {
      smoothing[norm].push_back(static_cast<float>(1 << (static_cast<std::size_t>(j) + norm.size()) % 4));
    }
  }
  return smoothing;
}

void write_smoothing(const std::filesystem::path& path, const Smoothing& smoothing) {
  std::vector<TensorSpec> specs;
  for (const auto& [norm, scales] : smoothing) {
    specs.push_back(
        {.name = norm, .dtype = DType::kF32, .shape = Shape{static_cast<int64_t>(scales.size())}});
  }
  SafetensorsWriter writer(path, specs);
  for (const auto& [norm, scales] : smoothing) writer.append(std::as_bytes(std::span(scales)));
  writer.finish();
}

Scores score_model(ModelFolder folder, std::unique_ptr<Backend> backend, const std::vector<int32_t>& ids) {
  const EngineLimits limits{.max_model_len = folder.model->info().max_positions,
                            .max_num_seqs = 1,
                            .max_batched_tokens = 320,
                            .max_logit_rows = 320};
  LoadedModel loaded = load_model(std::move(folder), *backend);
  Engine engine(std::move(loaded), *backend, {.limits = limits, .num_sampled_ids = 0, .chunk_tokens = 0});
  return score(engine, ids);
}

class SmoothingOf : public testing::TestWithParam<std::string> {
 protected:
  SmoothingOf() {
    for (const ExpectedPrompt& prompt : fixture_.prompts) {
      if (prompt.ids.size() <= 300 && prompt.ids.size() > ids_.size()) ids_ = prompt.ids;
    }
  }

  Fixture fixture_ = load_fixture(GetParam());
  std::vector<int32_t> ids_;
};

// What a model declares as the readers of a norm are all of them, and read nothing else.
TEST_P(SmoothingOf, PowersOfTwoChangeNoBit) {
  const Scores expected = score_model(ModelFolder::open(fixture_.folder, {}), create_backend(kBackend), ids_);
  for (const bool both : {true, false}) {
    ModelFolder folder = ModelFolder::open(fixture_.folder, {});
    folder.smoothing = some_scales(folder.params);
    for (const ResolvedMatrix& matrix : folder.matrices) {
      if (matrix.source.format == Format::kMxfp4) folder.smoothing.erase(matrix.param->input_norm);
    }
    ASSERT_FALSE(folder.smoothing.empty());
    for (MatrixParam& matrix : folder.params.matrices) {
      const auto scales = folder.smoothing.find(matrix.input_norm);
      if (scales != folder.smoothing.end()) matrix.col_scales = scales->second;
    }
    for (VectorParam& vector : folder.params.vectors) {
      const auto scales = folder.smoothing.find(vector.norm);
      if (both && scales != folder.smoothing.end()) vector.divisors = scales->second;
    }
    const Scores found = score_model(std::move(folder), create_backend(kBackend), ids_);
    EXPECT_EQ(found.logits == expected.logits, both);
  }
}

TEST_P(SmoothingOf, GivesTheReferencesLogits) {
  const test::TestFolder files;
  write_smoothing(files / "scales", some_scales(ModelFolder::open(fixture_.folder, {}).params));
  const PrecisionOptions precision{.weights = "w8a8", .smoothing = (files / "scales").string()};
  const Scores expected =
      score_model(ModelFolder::open(fixture_.folder, precision), create_backend({.name = "reference"}), ids_);
  const Scores found =
      score_model(ModelFolder::open(fixture_.folder, precision), create_backend(kBackend), ids_);
  double error = 0.0;
  double norm = 0.0;
  for (std::size_t i = 0; i < expected.logits.size(); ++i) {
    error += std::pow(double{found.logits[i]} - expected.logits[i], 2);
    norm += std::pow(double{expected.logits[i]}, 2);
  }
  ASSERT_GT(norm, 0.0);
  // A sum that falls on the other side of a rounding to int8 is off by 1 / 127 of the token's largest number.
  EXPECT_LE(std::sqrt(error / norm), 4.0 / 127);
}

TEST_P(SmoothingOf, AnObservedBackendComputesTheSameAndShowsEveryProduct) {
  const Scores expected = score_model(ModelFolder::open(fixture_.folder, {}), create_backend(kBackend), ids_);
  std::map<std::string, int64_t> inputs;
  std::map<std::string, int64_t> outputs;
  std::size_t num_prepared = 0;
  double sum = 0.0;
  ModelFolder folder = ModelFolder::open(fixture_.folder, {});
  std::vector<std::string> names;
  for (const MatrixParam& matrix : folder.params.matrices) {
    if (!matrix.input_norm.empty()) names.push_back(matrix.parts.front().name);
  }
  const std::size_t num_matrices = folder.matrices.size();
  const Scores found = score_model(
      std::move(folder),
      create_observing_backend(
          create_backend(kBackend),
          {.on_prepare = [&](const WeightSource&) { ++num_prepared; },
           .on_input = [&](const std::string& name, const ObservedRows& x) { inputs[name] += x.num_rows; },
           .on_output =
               [&](const std::string& name, const ObservedRows& y) {
                 outputs[name] += y.num_rows;
                 for (int64_t i = 0; i < y.num_rows * y.dim; ++i) sum += std::abs(y.numbers[i]);
               }}),
      ids_);
  EXPECT_EQ(found.logits, expected.logits);
  EXPECT_EQ(num_prepared, num_matrices);
  EXPECT_GT(sum, 0.0);
  for (const std::string& name : names) {
    EXPECT_EQ(inputs[name], static_cast<int64_t>(ids_.size())) << name;
    if (name.find("gate_up") != std::string::npos) continue;  // its output never leaves the operation
    EXPECT_EQ(outputs[name], inputs[name]) << name;
  }
  EXPECT_EQ(inputs.size(), outputs.size());
}

INSTANTIATE_TEST_SUITE_P(Models, SmoothingOf, testing::ValuesIn(fixture_names()),
                         [](const auto& info) { return info.param; });

TEST(SmoothingScales, MoveAShareOfTheOutliers) {
  const std::vector<float> inputs = {64, 1, 0, 9};
  const std::vector<float> weights = {1, 4, 1, 0};
  EXPECT_EQ(smoothing_scales(inputs, weights, 0.5), (std::vector<float>{8, 0.5F, 1, 1}));
  EXPECT_EQ(smoothing_scales(inputs, weights, 1.0), (std::vector<float>{64, 1, 1, 1}));
}

class SmoothingFile : public testing::Test {
 protected:
  std::string refusal(const Smoothing& smoothing, const PrecisionOptions& precision = {.weights = "w8a8"}) {
    write_smoothing(files_ / "scales", smoothing);
    PrecisionOptions options = precision;
    options.smoothing = (files_ / "scales").string();
    return test::error_of([&] { ModelFolder::open(gpt2_, options); });
  }

  std::filesystem::path gpt2_ = load_fixture("gpt2_f32").folder;
  Smoothing good_ = some_scales(ModelFolder::open(gpt2_, {}).params);
  test::TestFolder files_;
};

TEST_F(SmoothingFile, IsRefusedWhenItIsNotTheModels) {
  Smoothing other = good_;
  other["h.99.ln_1"] = other["h.0.ln_1"];
  EXPECT_THAT(refusal(other), testing::AllOf(HasSubstr("h.99.ln_1"), HasSubstr("another model")));
  Smoothing fewer = good_;
  fewer.erase("h.0.ln_2");
  EXPECT_THAT(refusal(fewer), testing::AllOf(HasSubstr("h.0.ln_2"), HasSubstr("no such tensor")));
  Smoothing shorter = good_;
  shorter["h.0.ln_1"].pop_back();
  EXPECT_THAT(refusal(shorter), testing::AllOf(HasSubstr("h.0.ln_1"), HasSubstr("expected F32 [")));
  for (const float bad : {0.0F, -1.0F, INFINITY, NAN}) {
    Smoothing broken = good_;
    broken["h.0.ln_1"][3] = bad;
    EXPECT_THAT(refusal(broken), testing::AllOf(HasSubstr("positive"), HasSubstr("at 3"))) << bad;
  }
  test::write_file(files_ / "scales", "no safetensors");
  EXPECT_THAT(test::error_of([&] {
                ModelFolder::open(gpt2_, {.weights = "w8a8", .smoothing = (files_ / "scales").string()});
              }),
              HasSubstr("scales"));
}

TEST_F(SmoothingFile, IsRefusedWhereNothingIsRoundedToInt8) {
  EXPECT_THAT(refusal(good_, {.weights = "w8"}), HasSubstr("expected products of int8 activations"));
  EXPECT_THAT(refusal(good_, {.activations = "int8"}), HasSubstr("expected products of int8 activations"));
}

}  // namespace
}  // namespace gossamer
