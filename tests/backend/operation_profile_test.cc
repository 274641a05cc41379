// Bytes and operations of what runs, as profiles have them, against sums by hand.
#include "backend/operation_profile.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "backend/registry.h"
#include "tests/backend/backend_testing.h"

namespace gossamer {
namespace {

using namespace testing_backends;  // NOLINT: this is its test

class OperationProfileTest : public testing::Test {
 protected:
  OperationProfileTest() : backend_(testing_backends::cpu("portable", 2)), profiler_(2, 100) {
    backend_->set_profiler(&profiler_);
  }

  // Over all runs of the operation.
  Profiler::Total total(const std::string& name) const {
    for (std::size_t label = 0; label < profiler_.names().size(); ++label) {
      if (profiler_.names()[label] == name) return profiler_.total(static_cast<Profiler::Label>(label));
    }
    ADD_FAILURE() << "there is no " << name;
    return {};
  }

  static void expect_cost(const Profiler::Total& total, double bytes, double activation_bytes, double flops) {
    EXPECT_DOUBLE_EQ(total.cost.bytes, bytes);
    EXPECT_DOUBLE_EQ(total.cost.activation_bytes, activation_bytes);
    EXPECT_DOUBLE_EQ(total.cost.flops, flops);
    EXPECT_GT(total.nanoseconds, 0);
  }

  std::unique_ptr<Backend> backend_;
  Profiler profiler_;
};

TEST_F(OperationProfileTest, LinearReadsItsWeightOnceAndMultipliesForEveryToken) {
  const TestWeight source(Format::kBf16, 1, 64, 96, Fill::kNormal, 1);
  const auto weight = backend_->prepare(source.source, Format::kBf16, DType::kF32);
  const DeviceTensor x(*backend_, HostTensor(DType::kF32, Shape{3, 96}, Fill::kNormal, 2));
  const DeviceTensor bias(*backend_, HostTensor(DType::kF32, Shape{64}, Fill::kNormal, 3));
  const DeviceTensor out(*backend_, HostTensor(DType::kF32, Shape{3, 64}));
  backend_->linear(x.tensor(), *weight, bias.tensor(), out.tensor());
  backend_->linear_add(x.tensor(), *weight, Tensor(), out.tensor());
  backend_->linear_add(x.tensor(), *weight, Tensor(), out.tensor());
  expect_cost(total("linear [64, 96] bf16"), 64 * 96 * 2 + 64 * 4, 3 * 96 * 4 + 3 * 64 * 4, 3 * 2 * 64 * 96);
  EXPECT_EQ(total("linear_add [64, 96] bf16").count, 2);
  expect_cost(total("linear_add [64, 96] bf16"), 2 * (64 * 96 * 2), 2 * (3 * 96 * 4 + 2 * 3 * 64 * 4),
              2 * (3 * 2 * 64 * 96));
}

TEST_F(OperationProfileTest, Mxfp4WeightsAreSeventeenBytesForThirtyTwoNumbers) {
  const TestWeight source(Format::kMxfp4, 1, 64, 128, Fill::kNormal, 1);
  const auto weight = backend_->prepare(source.source, Format::kMxfp4, DType::kF32);
  const DeviceTensor x(*backend_, HostTensor(DType::kF32, Shape{1, 128}, Fill::kNormal, 2));
  const DeviceTensor out(*backend_, HostTensor(DType::kF32, Shape{1, 64}));
  backend_->linear(x.tensor(), *weight, Tensor(), out.tensor());
  EXPECT_DOUBLE_EQ(total("linear [64, 128] mxfp4").cost.bytes, 64.0 * 128 / 32 * 17);
}

TEST_F(OperationProfileTest, AttentionReadsEveryPositionOnceAndEveryTokenSeesWhatCameBefore) {
  const AttentionCase c{.num_heads = 4,
                        .num_kv_heads = 2,
                        .head_dim = 16,
                        .sinks = true,
                        .kv_dtype = DType::kBf16,
                        .lengths = {5, 1}};
  run_attention(*backend_, c);
  const double position = 2 * 2 * 16 * 2;       // keys and values, heads, dimensions, bf16
  const double keys = (1 + 2 + 3 + 4 + 5) + 1;  // of the two sequences' tokens
  expect_cost(total("attention"), 6 * position + 4 * 4, 6 * (4 * 16) * (4 + 4), 4 * 4 * 16 * keys);
  expect_cost(total("rope_kv_write"), 6 * position, 6 * (8 * 16) * 4, 0);
}

TEST_F(OperationProfileTest, AWindowBoundsWhatAttentionReads) {
  run_attention(*backend_, {.num_heads = 4,
                            .num_kv_heads = 2,
                            .head_dim = 16,
                            .window = 3,
                            .kv_dtype = DType::kBf16,
                            .lengths = {5},
                            .chunk = 2});
  // Positions 0 1, then 2 3 (which see 0 to 3), then 4 (which sees 2 to 4).
  const double position = 2 * 2 * 16 * 2;
  const Profiler::Total found = total("attention window 3");
  EXPECT_EQ(found.count, 3);
  EXPECT_DOUBLE_EQ(found.cost.bytes, (2 + 4 + 3) * position);
  EXPECT_DOUBLE_EQ(found.cost.flops, 4.0 * 4 * 16 * ((1 + 2) + (3 + 3) + 3));
}

TEST_F(OperationProfileTest, ExpertsThatNoTokenChoseAreNotRead) {
  const TestWeight gate_up(Format::kBf16, 5, 64, 96, Fill::kNormal, 1);
  const TestWeight down(Format::kBf16, 5, 96, 32, Fill::kNormal, 2);
  const auto device_gate_up = backend_->prepare(gate_up.source, Format::kBf16, DType::kF32);
  const auto device_down = backend_->prepare(down.source, Format::kBf16, DType::kF32);
  const DeviceTensor gate_up_bias(*backend_, HostTensor(DType::kF32, Shape{5, 64}));
  const DeviceTensor down_bias(*backend_, HostTensor(DType::kF32, Shape{5, 96}));
  const DeviceTensor x(*backend_, HostTensor(DType::kF32, Shape{2, 96}, Fill::kNormal, 3));
  const DeviceTensor inout(*backend_, HostTensor(DType::kF32, Shape{2, 96}));
  HostTensor experts(DType::kI32, Shape{2, 2});
  HostTensor gates(DType::kF32, Shape{2, 2});
  for (int64_t i = 0; i < 4; ++i) {  // 4 and 1, 4 and 2: three different ones
    experts.set(i, i % 2 == 0 ? 4.0F : static_cast<float>(1 + i / 2));
    gates.set(i, 0.5F);
  }
  const DeviceTensor device_experts(*backend_, experts);
  const DeviceTensor device_gates(*backend_, gates);
  backend_->moe_add(x.tensor(), device_experts.tensor(), device_gates.tensor(),
                    {.num_experts_per_token = 2,
                     .gate_up = device_gate_up.get(),
                     .gate_up_bias = gate_up_bias.tensor(),
                     .down = device_down.get(),
                     .down_bias = down_bias.tensor()},
                    inout.tensor());
  expect_cost(total("moe_add [64, 96] bf16"), 3 * ((64 * 96 + 96 * 32) * 2 + (64 + 96) * 4),
              2 * 96 * 4 + 2 * (2 * 96 * 4), 2 * 2 * 2 * (64 * 96 + 96 * 32));
}

TEST_F(OperationProfileTest, NothingIsRecordedWithoutProfiler) {
  backend_->set_profiler(nullptr);
  run_attention(*backend_, {});
  EXPECT_EQ(profiler_.track(0).num_spans + profiler_.track(1).num_spans, 0U);
  EXPECT_EQ(backend_->profiler(), nullptr);
}

}  // namespace
}  // namespace gossamer
