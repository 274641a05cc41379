#include "tests/backend/backend_testing.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <numeric>
#include <sstream>

#include "backend/cpu/levels.h"
#include "backend/registry.h"
#include "base/half.h"

namespace gossamer::testing_backends {
namespace {

float filled(Fill fill, Rng& rng) {
  switch (fill) {
    case Fill::kNormal:
      return rng.normal();
    case Fill::kIntegers:
      return static_cast<float>(rng.below(7) - 3);
    case Fill::kTiny:
      return rng.normal() * 0x1p-126F;
  }
  return 0.0F;
}

void store_dense(Format format, std::byte* numbers, int64_t index, float value) {
  if (format == Format::kF32) {
    std::memcpy(numbers + 4 * index, &value, 4);
  } else {
    const uint16_t bits = format == Format::kBf16 ? float_to_bf16(value) : float_to_f16(value);
    std::memcpy(numbers + 2 * index, &bits, 2);
  }
}

DType dense_dtype(Format format) {
  return format == Format::kF32 ? DType::kF32 : format == Format::kBf16 ? DType::kBf16 : DType::kF16;
}

}  // namespace

std::vector<std::string> levels() {
  const char* chosen = std::getenv("GOSSAMER_TEST_LEVELS");
  if (chosen == nullptr) return cpu::available_levels();
  std::vector<std::string> names;
  std::istringstream list(chosen);
  for (std::string name; std::getline(list, name, ',');) names.push_back(name);
  return names;
}

std::unique_ptr<Backend> cpu(const std::string& level, int num_threads) {
  auto backend = create_backend({.name = "cpu", .num_threads = num_threads, .instruction_set = level});
  reserve_for_tests(*backend);
  return backend;
}

void reserve_for_tests(Backend& backend) {
  backend.reserve({.max_tokens = 1024,
                   .max_sequences = 64,
                   .max_positions = 4096,
                   .max_cols = 1024,
                   .num_experts = 32,
                   .num_experts_per_token = 4,
                   .hidden_dim = 256,
                   .ffn_dim = 256,
                   .num_heads = 64,
                   .head_dim = 128});
}

uint64_t Rng::next() {
  uint64_t z = (state_ += 0x9e3779b97f4a7c15ULL);
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
  return z ^ (z >> 31);
}

float Rng::normal() {
  const double radius = std::sqrt(-2.0 * std::log(1.0 - uniform()));
  return static_cast<float>(radius * std::cos(2.0 * M_PI * uniform()));
}

HostTensor::HostTensor(DType dtype, const Shape& shape)
    : buffer_(Buffer::allocate_host(
          std::max<std::size_t>(64, static_cast<std::size_t>(shape.num_elements()) * dtype_size(dtype)))),
      tensor_(buffer_.view(dtype, shape)) {}

HostTensor::HostTensor(DType dtype, const Shape& shape, Fill fill, uint64_t seed) : HostTensor(dtype, shape) {
  Rng rng(seed);
  for (int64_t i = 0; i < shape.num_elements(); ++i) set(i, filled(fill, rng));
}

double HostTensor::at(int64_t index) const {
  if (dtype() == DType::kBf16) return bf16_to_float(tensor_.as<uint16_t>()[index]);
  if (dtype() == DType::kI32) return tensor_.as<int32_t>()[index];
  return tensor_.as<float>()[index];
}

void HostTensor::set(int64_t index, float value) {
  if (dtype() == DType::kBf16) {
    tensor_.as<uint16_t>()[index] = float_to_bf16(value);
  } else if (dtype() == DType::kI32) {
    tensor_.as<int32_t>()[index] = static_cast<int32_t>(value);
  } else {
    tensor_.as<float>()[index] = value;
  }
}

std::vector<double> HostTensor::values() const {
  std::vector<double> all(static_cast<std::size_t>(shape().num_elements()));
  for (std::size_t i = 0; i < all.size(); ++i) all[i] = at(static_cast<int64_t>(i));
  return all;
}

std::string HostTensor::row_bytes(int64_t row) const {
  const ConstTensor one = tensor_.rows(row, row + 1);
  return {reinterpret_cast<const char*>(one.bytes()), one.size_bytes()};
}

HostTensor HostTensor::rows(int64_t begin, int64_t end) const {
  const Tensor part = tensor_.rows(begin, end);
  HostTensor copy(dtype(), part.shape());
  std::memcpy(copy.tensor_.bytes(), part.bytes(), part.size_bytes());
  return copy;
}

DeviceTensor::DeviceTensor(Backend& backend, const HostTensor& host)
    : backend_(backend),
      buffer_(backend.allocate(std::max<std::size_t>(64, host.tensor().size_bytes()))),
      tensor_(buffer_.view(host.dtype(), host.shape())) {
  backend.upload(host.tensor(), tensor_);
}

HostTensor DeviceTensor::download() const {
  HostTensor host(tensor_.dtype(), tensor_.shape());
  backend_.synchronize();
  backend_.download(tensor_, host.tensor());
  return host;
}

TestWeight::TestWeight(Format format, int64_t num_experts, int64_t rows, int64_t cols, Fill fill,
                       uint64_t seed, bool transposed) {
  Rng rng(seed);
  const int64_t count = num_experts * rows * cols;
  source = {.name = "test",
            .format = format,
            .num_experts = num_experts,
            .rows = rows,
            .cols = cols,
            .transposed = transposed,
            .row_order = {},
            .parts = {},
            .release = {}};
  WeightPart part{.rows = rows, .codes = {}, .scales = {}};
  if (format == Format::kMxfp4) {
    codes.resize(static_cast<std::size_t>(count / 2));
    scales.resize(static_cast<std::size_t>(count / 32));
    // Whole numbers only, for exact sums: 0, 1, 2, 3 and their negatives.
    constexpr uint8_t kWhole[7] = {0, 2, 4, 5, 10, 12, 13};
    const bool whole = fill == Fill::kIntegers;
    for (std::byte& pair : codes) {
      const int64_t low = whole ? kWhole[rng.below(7)] : rng.below(16);
      const int64_t high = whole ? kWhole[rng.below(7)] : rng.below(16);
      pair = static_cast<std::byte>(low | high << 4);
    }
    for (std::byte& scale : scales) {
      scale = static_cast<std::byte>(whole ? 127 : fill == Fill::kTiny ? rng.below(4) : 118 + rng.below(12));
    }
    part.codes = {codes.data(), DType::kU8, Shape{num_experts, rows, cols / 32, 16}};
    part.scales = {scales.data(), DType::kU8, Shape{num_experts, rows, cols / 32}};
  } else {
    codes.resize(static_cast<std::size_t>(count) * dtype_size(dense_dtype(format)));
    for (int64_t i = 0; i < count; ++i) store_dense(format, codes.data(), i, filled(fill, rng));
    part.codes = {codes.data(), dense_dtype(format),
                  transposed ? Shape{num_experts, cols, rows} : Shape{num_experts, rows, cols}};
  }
  source.parts.push_back(part);
}

void TestWeight::plant_error(float amount) {
  if (source.format == Format::kMxfp4) {
    codes.back() = codes.back() ^ std::byte{0x40};  // the magnitude of the last number
  } else {
    const auto last = static_cast<int64_t>(source.num_experts * source.rows * source.cols) - 1;
    std::vector<float> row(static_cast<std::size_t>(source.cols));
    source.decode_row(source.num_experts - 1, source.rows - 1, row.data());
    store_dense(source.format, codes.data(), last, row.back() + amount);
  }
}

std::vector<Preparation> preparations() {
  std::vector<Preparation> all;
  for (const Format format : kAllFormats) {
    const bool made_here = !is_dense(format) && format != Format::kMxfp4;
    const Format stored = made_here ? Format::kF32 : format;
    for (const DType x : {DType::kF32, DType::kBf16}) {
      all.push_back({.format = format, .stored = stored, .x = x, .for_activation = x});
      if (!is_dense(format))
        all.push_back({.format = format, .stored = stored, .x = x, .for_activation = DType::kI8});
    }
  }
  return all;
}

std::ostream& operator<<(std::ostream& stream, const Preparation& p) {
  return stream << format_info(p.format).name << " x " << dtype_name(p.x)
                << (p.for_activation == DType::kI8 ? " as int8" : "");
}

::testing::AssertionResult close(const std::vector<double>& expected, const std::vector<double>& actual,
                                 const std::function<double(std::size_t)>& tolerance) {
  if (expected.size() != actual.size()) return ::testing::AssertionFailure() << "sizes differ";
  const auto [least, greatest] = std::minmax_element(expected.begin(), expected.end());
  if (expected.size() > 1 && !(*least < *greatest)) {
    return ::testing::AssertionFailure() << "the reference is constant: " << *least;
  }
  if (expected.size() == 1 && expected[0] == 0.0)
    return ::testing::AssertionFailure() << "the reference is 0";
  for (std::size_t i = 0; i < expected.size(); ++i) {
    const double difference = std::abs(expected[i] - actual[i]);
    if (!(difference <= tolerance(i))) {
      return ::testing::AssertionFailure()
             << "at " << i << " of " << expected.size() << ": expected " << expected[i] << ", got "
             << actual[i] << ", difference " << difference << ", tolerance " << tolerance(i);
    }
  }
  return ::testing::AssertionSuccess();
}

::testing::AssertionResult same_bits(const HostTensor& expected, const HostTensor& actual) {
  if (expected.shape() != actual.shape()) return ::testing::AssertionFailure() << "shapes differ";
  for (int64_t row = 0; row < expected.shape()[0]; ++row) {
    if (expected.row_bytes(row) != actual.row_bytes(row)) {
      return ::testing::AssertionFailure() << "row " << row << " differs";
    }
  }
  return ::testing::AssertionSuccess();
}

std::ostream& operator<<(std::ostream& stream, const AttentionCase& c) {
  stream << c.num_heads << "/" << c.num_kv_heads << " heads of " << c.head_dim << ", window " << c.window
         << ", rope " << c.rope_half << (c.sinks ? ", sinks" : "") << ", kv " << dtype_name(c.kv_dtype)
         << ", activation " << dtype_name(c.activation) << ", chunk " << c.chunk << ", lengths";
  for (const int length : c.lengths) stream << " " << length;
  return stream;
}

HostTensor run_attention(Backend& backend, const AttentionCase& c) {
  const int64_t row = int64_t{c.num_heads + 2 * c.num_kv_heads} * c.head_dim;
  const int64_t out_row = int64_t{c.num_heads} * c.head_dim;
  const int64_t total = std::accumulate(c.lengths.begin(), c.lengths.end(), int64_t{0});
  const HostTensor qkv(DType::kF32, Shape{total, row}, c.fill, 7);
  if (c.planted_error != 0.0F) {
    const int64_t last_key = (total - 1) * row + out_row;
    qkv.tensor().as<float>()[last_key] += c.planted_error;
  }

  int64_t num_pages = 0;
  for (const int length : c.lengths) num_pages += (length + kPageTokens - 1) / kPageTokens;
  num_pages += 3;
  const KvPoolConfig config{.kinds = {{.num_layers = 1, .window = 3, .num_pages = 2},
                                      {.num_layers = 2, .window = c.window, .num_pages = num_pages}},
                            .num_kv_heads = c.num_kv_heads,
                            .head_dim = c.head_dim,
                            .dtype = c.kv_dtype};
  const KvLayer layer{.kind = 1, .index = 1};
  const auto pool = backend.create_kv_pool(config);
  const auto page_bytes = static_cast<int64_t>(KvPool::page_bytes(config));
  const std::vector<uint8_t> nan(static_cast<std::size_t>(page_bytes), 0xff);
  for (int32_t page = 0; page < num_pages; ++page) {
    backend.upload({nan.data(), DType::kU8, Shape{page_bytes}},
                   {pool->page(layer, page), DType::kU8, Shape{page_bytes}});
  }
  // A random permutation of the pages.
  std::vector<int32_t> free_pages(static_cast<std::size_t>(num_pages));
  std::iota(free_pages.begin(), free_pages.end(), 0);
  Rng rng(c.page_seed);
  for (std::size_t i = free_pages.size(); i > 1; --i) {
    std::swap(free_pages[i - 1], free_pages[static_cast<std::size_t>(rng.below(static_cast<int64_t>(i)))]);
  }

  AttentionParams params{.num_heads = c.num_heads,
                         .num_kv_heads = c.num_kv_heads,
                         .head_dim = c.head_dim,
                         .scale = 1.0F / std::sqrt(static_cast<float>(c.head_dim)),
                         .window = c.window,
                         .sinks = {}};
  const DeviceTensor sinks(backend, HostTensor(DType::kF32, Shape{c.num_heads}, Fill::kNormal, 3));
  if (c.sinks) params.sinks = sinks.tensor();
  Rope rope{.inv_freq = {}, .scale = c.rope_scale};
  for (int i = 0; i < c.rope_half; ++i) {
    rope.inv_freq.push_back(std::pow(10000.0F, -static_cast<float>(i) / static_cast<float>(c.rope_half)));
  }

  HostTensor out(c.activation, Shape{total, out_row});
  std::vector<std::vector<int32_t>> pages(c.lengths.size());
  const int longest = *std::max_element(c.lengths.begin(), c.lengths.end());
  for (int begin = 0; begin < longest; begin += c.chunk) {
    ForwardBatch batch;
    batch.page_tables.resize(2);
    batch.page_tables[0].offsets.assign(1, 0);
    batch.page_tables[1].offsets.assign(1, 0);
    batch.sequence_offsets.assign(1, 0);
    std::vector<int64_t> source_rows;
    int64_t first_row = 0;
    for (std::size_t s = 0; s < c.lengths.size(); ++s) {
      const int end = std::min(begin + c.chunk, c.lengths[s]);
      for (int position = begin; position < end; ++position) {
        if (position % kPageTokens == 0) {
          pages[s].push_back(free_pages.back());
          free_pages.pop_back();
        }
        batch.ids.push_back(0);
        batch.positions.push_back(position);
        source_rows.push_back(first_row + position);
      }
      first_row += c.lengths[s];
      if (begin >= end) continue;
      // Pages whose last key no token of this step can see.
      const int first_visible = c.window == 0 ? 0 : std::max(0, begin - c.window + 1);
      for (int i = 0; i < first_visible / kPageTokens; ++i) pages[s][static_cast<std::size_t>(i)] = -1;
      batch.sequence_offsets.push_back(static_cast<int32_t>(batch.ids.size()));
      auto& table = batch.page_tables[1];
      table.pages.insert(table.pages.end(), pages[s].begin(), pages[s].end());
      table.offsets.push_back(static_cast<int32_t>(table.pages.size()));
      batch.page_tables[0].offsets.push_back(0);
    }
    const auto num_tokens = static_cast<int64_t>(source_rows.size());
    HostTensor step(DType::kF32, Shape{num_tokens, row});
    for (int64_t i = 0; i < num_tokens; ++i) {
      std::memcpy(step.tensor().as<float>() + i * row,
                  qkv.tensor().as<float>() + source_rows[static_cast<std::size_t>(i)] * row,
                  static_cast<std::size_t>(row) * sizeof(float));
    }
    const DeviceTensor device_qkv(backend, step);
    const DeviceTensor device_out(backend, HostTensor(c.activation, Shape{num_tokens, out_row}));
    backend.begin_step(batch);
    backend.rope_kv_write(batch, device_qkv.tensor(), params, rope, *pool, layer);
    backend.attention(batch, device_qkv.tensor(), params, *pool, layer, device_out.tensor());
    const HostTensor result = device_out.download();
    for (int64_t i = 0; i < num_tokens; ++i) {
      const std::string bytes = result.row_bytes(i);
      std::memcpy(out.tensor().bytes() +
                      source_rows[static_cast<std::size_t>(i)] * static_cast<int64_t>(bytes.size()),
                  bytes.data(), bytes.size());
    }
  }
  return out;
}

}  // namespace gossamer::testing_backends
