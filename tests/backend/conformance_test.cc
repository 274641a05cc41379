// Every instruction set that this machine has, against the reference backend in double precision.
#include <cmath>
#include <limits>
#include <tuple>

#include "backend/backend.h"
#include "backend/registry.h"
#include "tests/backend/backend_testing.h"

namespace gossamer {
namespace {

using namespace testing_backends;  // NOLINT: this is its test

constexpr double kHalfUlp = 0x1p-24;     // of an f32 number, relative to it at most
constexpr double kHalfUlpBf16 = 0x1p-8;  // of a bf16 number

class Conformance : public testing::TestWithParam<std::string> {
 protected:
  Conformance() : cpu_(testing_backends::cpu(GetParam())), reference_(create_backend({.name = "reference"})) {
    reserve_for_tests(*reference_);
  }

  // What rounding the result to `dtype` may add to a number's error.
  static double rounding(DType dtype, double value) {
    return (dtype == DType::kBf16 ? 2 * kHalfUlpBf16 : 2 * kHalfUlp) * std::abs(value);
  }

  std::unique_ptr<Backend> cpu_;
  std::unique_ptr<Backend> reference_;
};

INSTANTIATE_TEST_SUITE_P(Levels, Conformance, testing::ValuesIn(levels()),
                         [](const auto& test) { return test.param; });

// sum |x w| + |bias| + |inout|: errors of a sum are relative to it. [n, rows]
std::vector<double> magnitudes(const HostTensor& x, const WeightSource& weight, const HostTensor& bias,
                               const HostTensor& inout) {
  std::vector<double> all;
  std::vector<float> row(static_cast<std::size_t>(weight.cols));
  const int64_t n = x.shape()[0];
  all.resize(static_cast<std::size_t>(n * weight.rows));
  for (int64_t r = 0; r < weight.rows; ++r) {
    weight.decode_row(0, r, row.data());
    for (int64_t t = 0; t < n; ++t) {
      double sum = std::abs(bias.at(r)) + std::abs(inout.at(t * weight.rows + r));
      for (int64_t col = 0; col < weight.cols; ++col) {
        sum += std::abs(x.at(t * weight.cols + col) * double{row[static_cast<std::size_t>(col)]});
      }
      all[static_cast<std::size_t>(t * weight.rows + r)] = sum;
    }
  }
  return all;
}

HostTensor run_linear(Backend& backend, const HostTensor& x, const WeightSource& source, Format format,
                      const HostTensor* bias, const HostTensor* inout, bool int8_activations = false) {
  const auto weight = backend.prepare(source, format, int8_activations ? DType::kI8 : x.dtype());
  const DeviceTensor device_x(backend, x);
  const HostTensor zero(DType::kF32, Shape{x.shape()[0], source.rows});
  const DeviceTensor out(backend, inout != nullptr ? *inout : zero);
  Tensor device_bias;
  std::unique_ptr<DeviceTensor> bias_owner;
  if (bias != nullptr) {
    bias_owner = std::make_unique<DeviceTensor>(backend, *bias);
    device_bias = bias_owner->tensor();
  }
  if (inout != nullptr) {
    backend.linear_add(device_x.tensor(), *weight, device_bias, out.tensor());
  } else {
    backend.linear(device_x.tensor(), *weight, device_bias, out.tensor());
  }
  return out.download();
}

// f32 accumulation of n terms: each step rounds once, and rounding errors add up like a random walk; the
// factor 4 leaves room for its tail over many outputs.
double sum_tolerance(int64_t cols) { return 4.0 * (2.0 + std::sqrt(static_cast<double>(cols))) * kHalfUlp; }

// bf16 activations as int16 (KernelTable::int16_codes): numbers below 2^-7 of their group's largest, few of
// those that the tests draw, are off by up to 2^-16 of it.
constexpr double kInt16Error = 0x1p-17;

TEST_P(Conformance, LinearMatchesForEveryFormatAndActivation) {
  uint64_t seed = 1;
  for (const Preparation& p : preparations()) {
    for (const auto& shape : std::vector<std::tuple<int64_t, int64_t, int64_t>>{{1, 32, 1},
                                                                                {5, 7, 3},
                                                                                {33, 96, 2},
                                                                                {64, 64, 40},
                                                                                {70, 81, 13},
                                                                                {161, 160, 18},
                                                                                {300, 288, 5},
                                                                                {40, 1024, 33}}) {
      const int64_t rows = std::get<0>(shape);
      const int64_t cols = std::get<1>(shape);
      const int64_t tokens = std::get<2>(shape);
      if (p.format == Format::kMxfp4 && cols % format_info(p.format).group_size != 0) continue;
      SCOPED_TRACE(testing::Message() << p << " [" << rows << ", " << cols << "], " << tokens << " tokens");
      TestWeight weight(p.stored, 1, rows, cols, Fill::kNormal, ++seed);
      const HostTensor x(p.x, Shape{tokens, cols}, Fill::kNormal, ++seed);
      const HostTensor bias(DType::kF32, Shape{rows}, Fill::kNormal, ++seed);
      const HostTensor inout(DType::kF32, Shape{tokens, rows}, Fill::kNormal, ++seed);
      const auto run = [&](Backend& backend, const HostTensor* with_bias, const HostTensor* to) {
        return run_linear(backend, x, weight.source, p.format, with_bias, to, p.for_activation == DType::kI8)
            .values();
      };
      const auto expected = run(*reference_, &bias, &inout);
      const auto scale = magnitudes(x, weight.source, bias, inout);
      const bool codes = !is_dense(p.format);
      const auto tolerance = [&](std::size_t i) {
        return (sum_tolerance(cols) + (codes ? kInt16Error : 0.0)) * scale[i];
      };
      EXPECT_TRUE(close(expected, run(*cpu_, &bias, &inout), tolerance));
      EXPECT_TRUE(close(run(*reference_, nullptr, nullptr), run(*cpu_, nullptr, nullptr), tolerance));
      weight.plant_error(codes ? 1.0F : 0.125F);
      EXPECT_FALSE(close(expected, run(*cpu_, &bias, &inout), tolerance));
    }
  }
}

TEST_P(Conformance, LinearIsExactOnSmallIntegers) {
  for (const Format format : {Format::kF32, Format::kBf16, Format::kF16, Format::kMxfp4}) {
    for (const DType activation : {DType::kF32, DType::kBf16}) {
      for (const int64_t tokens : {1, 17, 40}) {
        SCOPED_TRACE(testing::Message() << format_info(format).name << " x " << dtype_name(activation));
        const TestWeight weight(format, 1, 75, 192, Fill::kIntegers, 11);
        const HostTensor x(activation, Shape{tokens, 192}, Fill::kIntegers, 12);
        const HostTensor bias(DType::kF32, Shape{75}, Fill::kIntegers, 13);
        EXPECT_TRUE(same_bits(run_linear(*reference_, x, weight.source, format, &bias, nullptr),
                              run_linear(*cpu_, x, weight.source, format, &bias, nullptr)));
      }
    }
  }
}

TEST_P(Conformance, LinearTakesConvertedTransposedAndReorderedWeights) {
  for (const Format stored : {Format::kF32, Format::kBf16, Format::kF16}) {
    for (const Format format : {Format::kF32, Format::kBf16, Format::kF16}) {
      for (const bool transposed : {false, true}) {
        TestWeight weight(stored, 1, 45, 50, Fill::kIntegers, 21, transposed);
        std::vector<int32_t> row_order(45);
        for (int32_t row = 0; row < 45; ++row) row_order[static_cast<std::size_t>(row)] = (row * 7 + 3) % 45;
        weight.source.row_order = row_order;
        const HostTensor x(DType::kF32, Shape{3, 50}, Fill::kIntegers, 22);
        EXPECT_TRUE(same_bits(run_linear(*reference_, x, weight.source, format, nullptr, nullptr),
                              run_linear(*cpu_, x, weight.source, format, nullptr, nullptr)))
            << format_info(stored).name << " as " << format_info(format).name
            << (transposed ? ", transposed" : "");
      }
    }
  }
}

// Scales at the ends of their range, where a scale folded into a bf16 exponent would leave it, and NaN.
TEST_P(Conformance, LinearHoldsForExtremeMxfp4Scales) {
  for (const int scale : {0, 1, 2, 60, 200, 250, 251, 253}) {
    TestWeight weight(Format::kMxfp4, 1, 40, 64, Fill::kIntegers, 31);
    for (std::byte& byte : weight.scales) byte = static_cast<std::byte>(scale);
    HostTensor x(DType::kBf16, Shape{2, 64}, Fill::kIntegers, 32);
    if (scale > 127) {  // keep products finite
      for (int64_t i = 0; i < 128; ++i) x.set(i, static_cast<float>(x.at(i)) * 0x1p-20F);
    } else {  // and normal
      for (int64_t i = 0; i < 128; ++i) x.set(i, static_cast<float>(x.at(i)) * 0x1p20F);
    }
    EXPECT_TRUE(same_bits(run_linear(*reference_, x, weight.source, Format::kMxfp4, nullptr, nullptr),
                          run_linear(*cpu_, x, weight.source, Format::kMxfp4, nullptr, nullptr)))
        << "scale " << scale;
  }
  TestWeight weight(Format::kMxfp4, 1, 40, 64, Fill::kIntegers, 31);
  weight.scales[5 * 2 + 1] = std::byte{255};
  const HostTensor x(DType::kBf16, Shape{2, 64}, Fill::kNormal, 32);
  const auto out = run_linear(*cpu_, x, weight.source, Format::kMxfp4, nullptr, nullptr);
  for (int64_t i = 0; i < 80; ++i) EXPECT_EQ(std::isnan(out.at(i)), i % 40 == 5) << i;
}

TEST_P(Conformance, PreparedBytesAreExactAndTheSourceIsReleasedOnce) {
  for (const Format format : {Format::kF32, Format::kBf16, Format::kF16, Format::kMxfp4}) {
    TestWeight weight(format, 3, 70, 96, Fill::kNormal, 41);
    std::size_t released = 0;
    weight.source.release = [&](const std::byte*, std::size_t size) { released += size; };
    const auto prepared = cpu_->prepare(weight.source, format, DType::kBf16);
    EXPECT_EQ(prepared->size_bytes(), cpu_->prepared_bytes(format, 3, 70, 96));
    EXPECT_GE(released, weight.codes.size() + weight.scales.size());
  }
}

TEST_P(Conformance, EmbedReadsRowsOfThePackedTable) {
  for (const Format format : {Format::kF32, Format::kBf16, Format::kF16, Format::kMxfp4}) {
    const TestWeight table(format, 1, 77, 96, Fill::kNormal, 51);
    ForwardBatch batch;
    batch.ids = {0, 31, 32, 76, 5, 5};
    batch.positions = {0, 1, 2, 3, 0, 70};
    batch.sequence_offsets = {0, 4, 6};
    const auto run = [&](Backend& backend) {
      const auto weight = backend.prepare(table.source, format, DType::kF32);
      const DeviceTensor out(backend, HostTensor(DType::kF32, Shape{6, 96}));
      backend.begin_step(batch);
      backend.embed(batch, *weight, out.tensor());
      backend.embed_positions_add(batch, *weight, out.tensor());
      return out.download();
    };
    const HostTensor expected = run(*reference_);
    EXPECT_TRUE(close(expected.values(), expected.values(), [](std::size_t) { return 0.0; }));
    EXPECT_TRUE(same_bits(expected, run(*cpu_))) << format_info(format).name;
  }
}

TEST_P(Conformance, NormsMatch) {
  for (const int64_t dim : {1, 3, 16, 64, 100, 768, 1027}) {
    for (const DType activation : {DType::kF32, DType::kBf16}) {
      HostTensor x(DType::kF32, Shape{4, dim}, Fill::kNormal, 61);
      for (int64_t i = 0; i < dim; ++i) x.set(i, static_cast<float>(x.at(i)) * 100.0F + 30.0F);
      const HostTensor gain(DType::kF32, Shape{dim}, Fill::kNormal, 62);
      const HostTensor bias(DType::kF32, Shape{dim}, Fill::kNormal, 63);
      const auto run = [&](Backend& backend, bool rms, const HostTensor& input) {
        const DeviceTensor device_x(backend, input);
        const DeviceTensor device_gain(backend, gain);
        const DeviceTensor device_bias(backend, bias);
        const DeviceTensor out(backend, HostTensor(activation, Shape{4, dim}));
        if (rms) {
          backend.rms_norm(device_x.tensor(), device_gain.tensor(), 1e-5F, out.tensor());
        } else {
          backend.layer_norm(device_x.tensor(), device_gain.tensor(), device_bias.tensor(), 1e-5F,
                             out.tensor());
        }
        return out.download().values();
      };
      for (const bool rms : {true, false}) {
        SCOPED_TRACE(testing::Message() << (rms ? "rms " : "layer ") << dim << " " << dtype_name(activation));
        if (dim == 1 && !rms) continue;  // constant by definition
        const auto expected = run(*reference_, rms, x);
        // The mean is subtracted with f32's rounding of the mean: 30 against a deviation of 100.
        const auto tolerance = [&](std::size_t i) {
          const auto at = static_cast<int64_t>(i) % dim;
          return 1e-6 * (std::abs(gain.at(at)) * 4.0 + std::abs(bias.at(at))) +
                 rounding(activation, expected[i]);
        };
        EXPECT_TRUE(close(expected, run(*cpu_, rms, x), tolerance));
        HostTensor wrong = x.copy();
        wrong.set(4 * dim - 1, static_cast<float>(wrong.at(4 * dim - 1)) + 1.0F);
        if (dim > 3) {
          EXPECT_FALSE(close(expected, run(*cpu_, rms, wrong), tolerance));
        }
      }
    }
  }
}

TEST_P(Conformance, GeluMatchesOverItsWholeRange) {
  constexpr int64_t kCount = 40011;
  HostTensor x(DType::kF32, Shape{1, kCount});
  for (int64_t i = 0; i < kCount; ++i) x.set(i, static_cast<float>(i - kCount / 2) * 6.5e-4F);
  for (const GeluKind kind : {GeluKind::kErf, GeluKind::kTanh}) {
    for (const DType activation : {DType::kF32, DType::kBf16}) {
      const auto run = [&](Backend& backend, const HostTensor& input) {
        const DeviceTensor device_x(backend, input);
        const DeviceTensor out(backend, HostTensor(activation, Shape{1, kCount}));
        backend.gelu(device_x.tensor(), kind, out.tensor());
        return out.download().values();
      };
      const auto expected = run(*reference_, x);
      // The exponent's argument z carries f32 rounding, which e^-z multiplies by z: up to 13^2 / 2 (erf) and
      // 2 * 0.8 * (13 + 0.045 * 13^3) (tanh). The reference
      // itself cancels 1 against erf or tanh in double precision: 1e-15.
      const auto tolerance = [&](std::size_t i) {
        const double a = std::abs(x.at(static_cast<int64_t>(i)));
        const double z = kind == GeluKind::kErf ? a * a / 2 : 1.6 * (a + 0.045 * a * a * a);
        return (4e-7 + 3 * kHalfUlp * z) * std::abs(expected[i]) + 1e-15 * a +
               rounding(activation, expected[i]);
      };
      EXPECT_TRUE(close(expected, run(*cpu_, x), tolerance));
      HostTensor wrong = x.copy();
      wrong.set(kCount - 1, static_cast<float>(x.at(kCount - 1)) * 1.02F);
      EXPECT_FALSE(close(expected, run(*cpu_, wrong), tolerance));
    }
  }
}

TEST_P(Conformance, GeluPassesNanAndLargeNumbers) {
  HostTensor x(DType::kF32, Shape{1, 5});
  x.set(0, std::numeric_limits<float>::quiet_NaN());
  x.set(1, 1e30F);
  x.set(2, -1e30F);
  x.set(3, std::numeric_limits<float>::infinity());
  x.set(4, 0.0F);
  for (const GeluKind kind : {GeluKind::kErf, GeluKind::kTanh}) {
    const DeviceTensor device_x(*cpu_, x);
    const DeviceTensor out(*cpu_, x);
    cpu_->gelu(device_x.tensor(), kind, out.tensor());
    const HostTensor y = out.download();
    EXPECT_TRUE(std::isnan(y.at(0)));
    EXPECT_EQ(y.at(1), double{1e30F});
    EXPECT_EQ(y.at(2), 0.0);
    EXPECT_EQ(y.at(3), std::numeric_limits<double>::infinity());
    EXPECT_EQ(y.at(4), 0.0);
  }
}

TEST_P(Conformance, RouterPrefersLowerIndicesAndSurvivesNan) {
  constexpr int64_t kTokens = 50;
  constexpr int64_t kExperts = 32;
  HostTensor logits(DType::kF32, Shape{kTokens, kExperts}, Fill::kNormal, 71);
  for (int64_t i = 0; i < kExperts; ++i) logits.set(i, static_cast<float>(i % 3));  // ties
  for (int64_t i = 0; i < kExperts; i += 2) logits.set(kExperts + i, std::numeric_limits<float>::quiet_NaN());
  for (int64_t i = 0; i < kExperts; ++i)
    logits.set(2 * kExperts + i, std::numeric_limits<float>::quiet_NaN());
  for (int64_t i = 0; i < kExperts; ++i)
    logits.set(3 * kExperts + i, -std::numeric_limits<float>::infinity());
  logits.set(4 * kExperts + 3, std::numeric_limits<float>::infinity());
  const auto run = [&](Backend& backend) {
    const DeviceTensor device(backend, logits);
    const DeviceTensor experts(backend, HostTensor(DType::kI32, Shape{kTokens, 4}));
    const DeviceTensor gates(backend, HostTensor(DType::kF32, Shape{kTokens, 4}));
    backend.route_top_k(device.tensor(), experts.tensor(), gates.tensor());
    return std::pair(experts.download(), gates.download());
  };
  const auto [experts, gates] = run(*cpu_);
  const auto [expected_experts, expected_gates] = run(*reference_);
  EXPECT_TRUE(same_bits(expected_experts, experts));
  EXPECT_EQ(experts.at(0), 2);  // of the equal 2, 5, 8, ...
  EXPECT_EQ(experts.at(1), 5);
  EXPECT_TRUE(close(expected_gates.rows(5, kTokens).values(), gates.rows(5, kTokens).values(),
                    [](std::size_t) { return 1e-7; }));
}

TEST_P(Conformance, GatherRowsCopies) {
  const HostTensor x(DType::kF32, Shape{9, 33}, Fill::kNormal, 81);
  const DeviceTensor device(*cpu_, x);
  const DeviceTensor out(*cpu_, HostTensor(DType::kF32, Shape{3, 33}));
  cpu_->gather_rows(device.tensor(), {8, 0, 4}, out.tensor());
  const HostTensor rows = out.download();
  EXPECT_EQ(rows.row_bytes(0), x.row_bytes(8));
  EXPECT_EQ(rows.row_bytes(1), x.row_bytes(0));
  EXPECT_EQ(rows.row_bytes(2), x.row_bytes(4));
}

TEST_P(Conformance, ExpertsMatch) {
  uint64_t seed = 90;
  for (const Format format : {Format::kMxfp4, Format::kBf16, Format::kF32}) {
    for (const DType activation : {DType::kF32, DType::kBf16}) {
      for (const int64_t tokens : {1, 3, 70}) {
        SCOPED_TRACE(testing::Message()
                     << format_info(format).name << " x " << dtype_name(activation) << ", " << tokens);
        constexpr int64_t kHidden = 96;
        constexpr int64_t kFfn = 160;
        constexpr int64_t kExperts = 5;
        TestWeight gate_up(format, kExperts, 2 * kFfn, kHidden, Fill::kNormal, ++seed);
        TestWeight down(format, kExperts, kHidden, kFfn, Fill::kNormal, ++seed);
        const HostTensor gate_up_bias(DType::kF32, Shape{kExperts, 2 * kFfn}, Fill::kNormal, ++seed);
        const HostTensor down_bias(DType::kF32, Shape{kExperts, kHidden}, Fill::kNormal, ++seed);
        const HostTensor x(activation, Shape{tokens, kHidden}, Fill::kNormal, ++seed);
        const HostTensor inout(DType::kF32, Shape{tokens, kHidden}, Fill::kNormal, ++seed);
        HostTensor experts(DType::kI32, Shape{tokens, 2});
        HostTensor gates(DType::kF32, Shape{tokens, 2});
        for (int64_t t = 0; t < tokens; ++t) {  // uneven: the last expert is in every token's choice
          experts.set(2 * t, static_cast<float>(t * 7 % (kExperts - 1)));
          experts.set(2 * t + 1, static_cast<float>(kExperts - 1));
          gates.set(2 * t, 0.625F);
          gates.set(2 * t + 1, 0.375F);
        }
        const auto run = [&](Backend& backend) {
          const auto device_gate_up = backend.prepare(gate_up.source, format, activation);
          const auto device_down = backend.prepare(down.source, format, activation);
          const DeviceTensor bias1(backend, gate_up_bias);
          const DeviceTensor bias2(backend, down_bias);
          const DeviceTensor device_x(backend, x);
          const DeviceTensor device_experts(backend, experts);
          const DeviceTensor device_gates(backend, gates);
          const DeviceTensor out(backend, inout);
          const MoeParams params{.num_experts_per_token = 2,
                                 .gate_up = device_gate_up.get(),
                                 .gate_up_bias = bias1.tensor(),
                                 .down = device_down.get(),
                                 .down_bias = bias2.tensor()};
          backend.moe_add(device_x.tensor(), device_experts.tensor(), device_gates.tensor(), params,
                          out.tensor());
          return out.download().values();
        };
        const auto expected = run(*reference_);
        double largest = 0.0;
        for (const double value : expected) largest = std::max(largest, std::abs(value));
        // h may round to the neighbouring bf16, half the time in one direction: sqrt(ffn) such steps of a sum
        // whose size is about the largest output's.
        const double step = activation == DType::kBf16 ? kHalfUlpBf16 : 16 * kHalfUlp;
        const auto tolerance = [&](std::size_t) { return largest * step; };
        EXPECT_TRUE(close(expected, run(*cpu_), tolerance));
        // The last expert's last group of columns becomes another one.
        if (format == Format::kMxfp4) {
          for (std::size_t i = 0; i < 16; ++i) down.codes[down.codes.size() - 1 - i] ^= std::byte{0x77};
        } else {
          for (std::size_t i = 0; i < 64; ++i) down.codes[down.codes.size() - 1 - i] = std::byte{0x3f};
        }
        EXPECT_FALSE(close(expected, run(*cpu_), tolerance));
      }
    }
  }
}

// What is not a number must not hide behind the sink, which alone gives zeros.
TEST_P(Conformance, AttentionShowsWhatIsNotANumber) {
  for (const DType activation : {DType::kF32, DType::kBf16}) {
    const AttentionCase c{.num_heads = 1,
                          .num_kv_heads = 1,
                          .head_dim = 16,
                          .sinks = true,
                          .kv_dtype = DType::kBf16,
                          .activation = activation,
                          .lengths = {1},
                          .planted_error = std::numeric_limits<float>::quiet_NaN()};
    const std::vector<double> out = run_attention(*cpu_, c).values();
    EXPECT_TRUE(std::isnan(out.front())) << out.front();
  }
}

TEST_P(Conformance, AttentionMatches) {
  std::vector<AttentionCase> cases;
  for (const DType kv : {DType::kBf16, DType::kF32, DType::kF16, DType::kI8}) {
    for (const DType activation : {DType::kF32, DType::kBf16}) {
      cases.push_back({.kv_dtype = kv, .activation = activation, .lengths = {1}});
      cases.push_back({.num_heads = 3,
                       .num_kv_heads = 3,
                       .head_dim = 12,
                       .kv_dtype = kv,
                       .activation = activation,
                       .lengths = {33, 1, 100, 32}});
      cases.push_back({.num_heads = 8,
                       .num_kv_heads = 1,
                       .head_dim = 64,
                       .window = 20,
                       .rope_half = 32,
                       .rope_scale = 1.25F,
                       .sinks = true,
                       .kv_dtype = kv,
                       .activation = activation,
                       .lengths = {130, 64}});
      cases.push_back({.num_heads = 2,
                       .num_kv_heads = 2,
                       .head_dim = 80,
                       .rope_half = 10,
                       .kv_dtype = kv,
                       .activation = activation,
                       .lengths = {70}});
    }
  }
  for (const int head_dim : {1, 7, 16, 24, 32, 33, 96, 128}) {
    for (const DType kv : {DType::kBf16, DType::kI8}) {
      cases.push_back(
          {.num_heads = 2, .num_kv_heads = 1, .head_dim = head_dim, .kv_dtype = kv, .lengths = {45}});
    }
  }
  for (const int window : {1, 31, 32, 33, 64, 65}) {
    cases.push_back({.num_heads = 2,
                     .num_kv_heads = 2,
                     .head_dim = 16,
                     .window = window,
                     .sinks = true,
                     .lengths = {150}});
    cases.push_back(
        {.num_heads = 64, .num_kv_heads = 1, .head_dim = 8, .window = window, .lengths = {97}, .chunk = 5});
  }
  cases.push_back({.num_heads = 2,
                   .num_kv_heads = 1,
                   .head_dim = 16,
                   .sinks = true,
                   .lengths = {2300},
                   .chunk = 5});  // few queries over several spans
  for (AttentionCase c : cases) {
    SCOPED_TRACE(testing::Message() << c);
    const auto expected = run_attention(*reference_, c).values();
    // Probabilities carry the rounding of their exponents (scores of a few units) and average the values,
    // which are of size 1 to 4; keys and values are the same bf16 numbers on both sides, but for rotated keys
    // that round to a neighbour.
    const double rotated = c.rope_half == 0            ? 0.0
                           : c.kv_dtype == DType::kI8  ? 4.0 / 127
                           : c.kv_dtype == DType::kF32 ? 0.0
                                                       : 2 * kHalfUlpBf16;
    // Where both are bf16, a level may round queries and probabilities to bf16 too.
    const double products =
        c.kv_dtype == DType::kBf16 && c.activation == DType::kBf16 ? 1.5 * kHalfUlpBf16 : 0.0;
    const auto tolerance = [&](std::size_t i) {
      return 3e-6 + rotated + products + rounding(c.activation, expected[i]);
    };
    EXPECT_TRUE(close(expected, run_attention(*cpu_, c).values(), tolerance));
    c.planted_error = 12.0F;
    if (c.lengths.back() > 1 && c.window != 1 && c.rope_half == 0) {
      EXPECT_FALSE(close(expected, run_attention(*cpu_, c).values(), tolerance));
    }
  }
}

}  // namespace
}  // namespace gossamer
