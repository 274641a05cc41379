// The numerics contract at the level of operations: a token's bits do not depend on what else is in the step,
// how a prompt was cut, which pages it lies in, or how many threads ran.
#include <vector>

#include "backend/backend.h"
#include "tests/backend/backend_testing.h"

namespace gossamer {
namespace {

using namespace testing_backends;  // NOLINT: this is its test

class Invariance : public testing::TestWithParam<std::string> {};

INSTANTIATE_TEST_SUITE_P(Levels, Invariance, testing::ValuesIn(levels()),
                         [](const auto& test) { return test.param; });

HostTensor linear(Backend& backend, const Weight& weight, const HostTensor& x, const HostTensor& bias) {
  const DeviceTensor device_x(backend, x);
  const DeviceTensor device_bias(backend, bias);
  const DeviceTensor out(backend, HostTensor(DType::kF32, Shape{x.shape()[0], weight.rows()}));
  backend.linear(device_x.tensor(), weight, device_bias.tensor(), out.tensor());
  return out.download();
}

// Every number of tokens up to 40 and then some crosses all tile sizes of all levels.
TEST_P(Invariance, LinearOfATokenAloneEqualsLinearOfItInAnyBatch) {
  constexpr int64_t kTokens = 130;
  for (const Preparation& p : preparations()) {
    for (const Fill fill : {Fill::kNormal, Fill::kTiny}) {
      for (const int64_t cols : {64, 81, 160, 576}) {
        if (p.format == Format::kMxfp4 && cols % format_info(p.format).group_size != 0) continue;
        SCOPED_TRACE(testing::Message() << p << ", " << cols << (fill == Fill::kTiny ? " tiny" : ""));
        const auto backend = cpu(GetParam());
        const TestWeight source(p.stored, 1, 70, cols, fill, 1);
        const auto weight = backend->prepare(source.source, p.format, p.for_activation);
        // Tiny weights meet large activations, so that sums of both normal and subnormal terms appear.
        const HostTensor x(p.x, Shape{kTokens, cols}, Fill::kNormal, 2);
        const HostTensor bias(DType::kF32, Shape{70}, fill, 3);
        const HostTensor all = linear(*backend, *weight, x, bias);
        for (int64_t token = 0; token < kTokens; token += 9) {
          EXPECT_TRUE(same_bits(all.rows(token, token + 1),
                                linear(*backend, *weight, x.rows(token, token + 1), bias)));
        }
        for (int64_t count = 2; count <= 40; ++count) {
          EXPECT_TRUE(same_bits(all.rows(0, count), linear(*backend, *weight, x.rows(0, count), bias)))
              << count;
        }
      }
    }
  }
}

TEST_P(Invariance, LinearDoesNotDependOnTheNumberOfThreads) {
  for (const Preparation& p : preparations()) {
    const TestWeight source(p.stored, 1, 300, 96, Fill::kNormal, 1);
    const HostTensor x(p.x, Shape{100, 96}, Fill::kNormal, 2);
    const HostTensor bias(DType::kF32, Shape{300}, Fill::kNormal, 3);
    HostTensor with_one;
    for (const int threads : {1, 2, 3, 8}) {
      const auto backend = cpu(GetParam(), threads);
      const auto weight = backend->prepare(source.source, p.format, p.for_activation);
      HostTensor out = linear(*backend, *weight, x, bias);
      if (threads == 1) {
        with_one = std::move(out);
      } else {
        EXPECT_TRUE(same_bits(with_one, out)) << p << ", " << threads << " threads";
      }
    }
  }
}

TEST_P(Invariance, ExpertsOfATokenAloneEqualThoseInABatch) {
  constexpr int64_t kTokens = 41;
  constexpr int64_t kExperts = 6;
  for (const Preparation& p : preparations()) {
    {
      SCOPED_TRACE(testing::Message() << p);
      const TestWeight gate_up(p.stored, kExperts, 128, 96, Fill::kNormal, 1);
      const TestWeight down(p.stored, kExperts, 96, 64, Fill::kNormal, 2);
      const HostTensor x(p.x, Shape{kTokens, 96}, Fill::kNormal, 3);
      const HostTensor logits(DType::kF32, Shape{kTokens, kExperts}, Fill::kNormal, 4);
      const HostTensor inout(DType::kF32, Shape{kTokens, 96}, Fill::kNormal, 5);
      const HostTensor gate_up_bias(DType::kF32, Shape{kExperts, 128}, Fill::kNormal, 6);
      const HostTensor down_bias(DType::kF32, Shape{kExperts, 96}, Fill::kNormal, 7);
      const auto run = [&](int threads, int64_t begin, int64_t end) {
        const auto backend = cpu(GetParam(), threads);
        const auto device_gate_up = backend->prepare(gate_up.source, p.format, p.for_activation);
        const auto device_down = backend->prepare(down.source, p.format, p.for_activation);
        const DeviceTensor bias1(*backend, gate_up_bias);
        const DeviceTensor bias2(*backend, down_bias);
        const DeviceTensor device_x(*backend, x.rows(begin, end));
        const DeviceTensor device_logits(*backend, logits.rows(begin, end));
        const DeviceTensor experts(*backend, HostTensor(DType::kI32, Shape{end - begin, 3}));
        const DeviceTensor gates(*backend, HostTensor(DType::kF32, Shape{end - begin, 3}));
        const DeviceTensor out(*backend, inout.rows(begin, end));
        backend->route_top_k(device_logits.tensor(), experts.tensor(), gates.tensor());
        const MoeParams params{.num_experts_per_token = 3,
                               .gate_up = device_gate_up.get(),
                               .gate_up_bias = bias1.tensor(),
                               .down = device_down.get(),
                               .down_bias = bias2.tensor()};
        backend->moe_add(device_x.tensor(), experts.tensor(), gates.tensor(), params, out.tensor());
        return out.download();
      };
      const HostTensor all = run(2, 0, kTokens);
      EXPECT_TRUE(same_bits(all, run(1, 0, kTokens)));
      EXPECT_TRUE(same_bits(all, run(3, 0, kTokens)));
      EXPECT_TRUE(same_bits(all.rows(3, 21), run(2, 3, 21)));  // 18 of them
      for (const int64_t token : {0, 7, 40})
        EXPECT_TRUE(same_bits(all.rows(token, token + 1), run(2, token, token + 1)));
    }
  }
}

TEST_P(Invariance, RowWiseOperationsDoNotDependOnThreadsOrBatch) {
  constexpr int64_t kTokens = 64;
  constexpr int64_t kDim = 777;  // enough numbers for several threads
  const HostTensor x(DType::kF32, Shape{kTokens, kDim}, Fill::kNormal, 1);
  const HostTensor gain(DType::kF32, Shape{kDim}, Fill::kNormal, 2);
  const auto run = [&](int threads, int64_t begin, int64_t end, int operation) {
    const auto backend = cpu(GetParam(), threads);
    const DeviceTensor device_x(*backend, x.rows(begin, end));
    const DeviceTensor device_gain(*backend, gain);
    const DeviceTensor out(*backend, HostTensor(DType::kBf16, Shape{end - begin, kDim}));
    if (operation == 0) backend->rms_norm(device_x.tensor(), device_gain.tensor(), 1e-5F, out.tensor());
    if (operation == 1) {
      backend->layer_norm(device_x.tensor(), device_gain.tensor(), device_gain.tensor(), 1e-5F, out.tensor());
    }
    if (operation == 2) backend->gelu(device_x.tensor(), GeluKind::kErf, out.tensor());
    if (operation == 3) backend->gelu(device_x.tensor(), GeluKind::kTanh, out.tensor());
    return out.download();
  };
  for (int operation = 0; operation < 4; ++operation) {
    const HostTensor all = run(3, 0, kTokens, operation);
    EXPECT_TRUE(same_bits(all, run(1, 0, kTokens, operation)));
    EXPECT_TRUE(same_bits(all.rows(5, 6), run(2, 5, 6, operation)));
  }
}

TEST_P(Invariance, AttentionDoesNotDependOnChunksPagesThreadsOrNeighbours) {
  for (const DType kv : {DType::kBf16, DType::kF32, DType::kF16, DType::kI8}) {
    for (const AttentionCase& base : std::vector<AttentionCase>{{.num_heads = 4,
                                     .num_kv_heads = 4,
                                     .head_dim = 24,
                                     .rope_half = 12,
                                     .kv_dtype = kv,
                                     .lengths = {100}},
                                                                {.num_heads = 8,
                                                                .num_kv_heads = 1,
                                                                .head_dim = 64,
                                                                .window = 40,
                                                                .rope_half = 32,
                                                                .sinks = true,
                                                                .kv_dtype = kv,
                                                                .activation = DType::kBf16,
                                                                .lengths = {600}},
                                                                {.num_heads = 6,
                                                                .num_kv_heads = 2,
                                                                .head_dim = 33,
                                                                .sinks = true,
                                                                .kv_dtype = kv,
                                                                .lengths = {520}},
                                                                {.num_heads = 5,
                                                                .num_kv_heads = 5,
                                                                .head_dim = 16,
                                                                .window = 7,
                                                                .kv_dtype = kv,
                                                                .lengths = {75},
                                                                .fill = Fill::kTiny}}) {
      SCOPED_TRACE(testing::Message() << base);
      const auto two = cpu(GetParam(), 2);
      const HostTensor whole = run_attention(*two, base);
      for (const int chunk : {1, 7, 32}) {
        AttentionCase c = base;
        c.chunk = chunk;
        EXPECT_TRUE(same_bits(whole, run_attention(*two, c))) << "chunks of " << chunk;
      }
      AttentionCase other_pages = base;
      other_pages.page_seed = 99;
      EXPECT_TRUE(same_bits(whole, run_attention(*two, other_pages)));
      for (const int threads : {1, 3}) {
        EXPECT_TRUE(same_bits(whole, run_attention(*cpu(GetParam(), threads), base)))
            << threads << " threads";
      }
      // The same sequence first, then 17 others.
      AttentionCase batch = base;
      batch.lengths.resize(18, 13);
      batch.chunk = 48;
      const int64_t length = base.lengths[0];
      EXPECT_TRUE(same_bits(whole, run_attention(*two, batch).rows(0, length)));
    }
  }
}

// Few queries over many keys: threads share the spans. Many at once, or one thread: they do not.
TEST_P(Invariance, AttentionDoesNotDependOnWhoComputesItsSpans) {
  for (const int window : {0, 2100}) {
    const AttentionCase base{.num_heads = 4,
                             .num_kv_heads = 1,
                             .head_dim = 24,
                             .window = window,
                             .sinks = true,
                             .kv_dtype = DType::kBf16,
                             .activation = DType::kBf16,
                             .lengths = {3300}};
    SCOPED_TRACE(testing::Message() << base);
    const HostTensor whole = run_attention(*cpu(GetParam(), 1), base);
    for (const int threads : {2, 3}) {
      AttentionCase c = base;
      c.chunk = 7;
      EXPECT_TRUE(same_bits(whole, run_attention(*cpu(GetParam(), threads), c))) << threads << " threads";
    }
  }
}

// The tester must notice a single changed bit.
TEST(SameBits, NoticesOneBit) {
  const HostTensor a(DType::kF32, Shape{3, 5}, Fill::kNormal, 1);
  const HostTensor b = a.copy();
  EXPECT_TRUE(same_bits(a, b));
  b.tensor().bytes()[59] ^= std::byte{1};
  EXPECT_FALSE(same_bits(a, b));
}

}  // namespace
}  // namespace gossamer
