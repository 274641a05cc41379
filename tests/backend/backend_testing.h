// What the tests of backends share: tensors and weights filled from a seed, the same operation on two
// backends, and comparisons that first make sure that there is something to compare.
#pragma once

#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "backend/backend.h"

namespace gossamer::testing_backends {

// Instruction sets to test: those of this machine, or the comma-separated GOSSAMER_TEST_LEVELS.
std::vector<std::string> levels();
std::unique_ptr<Backend> cpu(const std::string& level, int num_threads = 2);
// Generous limits, reserved.
void reserve_for_tests(Backend& backend);

// A deterministic stream of numbers (splitmix64).
class Rng {
 public:
  explicit Rng(uint64_t seed) : state_(seed) {}
  uint64_t next();
  int64_t below(int64_t bound) { return static_cast<int64_t>(next() % static_cast<uint64_t>(bound)); }
  double uniform() { return static_cast<double>(next() >> 11) * 0x1p-53; }  // [0, 1)
  float normal();

 private:
  uint64_t state_;
};

enum class Fill {
  kNormal,    // around 0 with deviation 1
  kIntegers,  // whole numbers in [-3, 3]: sums are exact in any order
  kTiny,      // normal times 2^-126: subnormal f32 and bf16 among them
};

// Host memory of a tensor.
class HostTensor {
 public:
  HostTensor() = default;
  HostTensor(DType dtype, const Shape& shape);
  HostTensor(DType dtype, const Shape& shape, Fill fill, uint64_t seed);

  const Tensor& tensor() const { return tensor_; }
  const Shape& shape() const { return tensor_.shape(); }
  DType dtype() const { return tensor_.dtype(); }
  double at(int64_t index) const;
  void set(int64_t index, float value);
  std::vector<double> values() const;
  // The bytes of row `row` of the outermost dimension.
  std::string row_bytes(int64_t row) const;
  // Rows [begin, end) as a tensor of its own.
  HostTensor rows(int64_t begin, int64_t end) const;
  HostTensor copy() const { return rows(0, shape()[0]); }

 private:
  Buffer buffer_;
  Tensor tensor_;
};

// The same on a backend.
class DeviceTensor {
 public:
  DeviceTensor(Backend& backend, const HostTensor& host);
  const Tensor& tensor() const { return tensor_; }
  HostTensor download() const;

 private:
  Backend& backend_;
  Buffer buffer_;
  Tensor tensor_;
};

// A checkpoint's weight in memory.
struct TestWeight {
  std::vector<std::byte> codes;
  std::vector<std::byte> scales;
  WeightSource source;  // views of the above

  TestWeight(Format format, int64_t num_experts, int64_t rows, int64_t cols, Fill fill, uint64_t seed,
             bool transposed = false);
  TestWeight(const TestWeight&) = delete;
  // The last number, changed by a little more than rounding could (MXFP4: another code): what a tester must
  // notice.
  void plant_error(float amount = 0.125F);
};

// How a weight is prepared: its format on the device, what it is stored as, what its products do with
// activations.
struct Preparation {
  Format format;
  Format stored;
  DType x;               // of the tensor that enters
  DType for_activation;  // kI8, or as x
};
// Every format with every kind of activation.
std::vector<Preparation> preparations();
std::ostream& operator<<(std::ostream& stream, const Preparation& p);

// Every |actual - expected| within its tolerance. Fails when `expected` is constant or zero: nothing would
// have been tested.
::testing::AssertionResult close(const std::vector<double>& expected, const std::vector<double>& actual,
                                 const std::function<double(std::size_t)>& tolerance);
// All the same bits.
::testing::AssertionResult same_bits(const HostTensor& expected, const HostTensor& actual);

// Forwards of attention: `lengths[s]` tokens of each sequence, fed in chunks, all sequences in one batch.
struct AttentionCase {
  int num_heads = 4;
  int num_kv_heads = 2;
  int head_dim = 16;
  int window = 0;
  int rope_half = 0;
  float rope_scale = 1.0F;
  bool sinks = false;
  DType kv_dtype = DType::kBf16;
  DType activation = DType::kF32;
  std::vector<int> lengths = {5};
  int chunk = 512;
  uint64_t page_seed = 1;  // which pages
  Fill fill = Fill::kNormal;
  // Adds to one element of the last token's keys: what a tester must notice.
  float planted_error = 0.0F;
};
std::ostream& operator<<(std::ostream& stream, const AttentionCase& c);

// The outputs of all tokens, sequence after sequence. activation [sum of lengths, num_heads * head_dim].
// Pages are filled with NaN first, and those outside a window are not resident.
HostTensor run_attention(Backend& backend, const AttentionCase& c);

}  // namespace gossamer::testing_backends
