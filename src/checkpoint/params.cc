#include "checkpoint/params.h"

#include <algorithm>
#include <cstring>
#include <optional>
#include <set>
#include <span>
#include <utility>

#include "base/error.h"
#include "base/half.h"
#include "checkpoint/safetensors.h"

namespace gossamer {
namespace {

constexpr int64_t kMxfp4Group = 32;
constexpr int64_t kMxfp4GroupBytes = 16;

int64_t sum_rows(const std::vector<ParamPart>& parts) {
  int64_t rows = 0;
  for (const ParamPart& part : parts) rows += part.rows;
  return rows;
}

std::string describe(const StoredTensor& stored) {
  if (stored.tensor.empty()) return stored.unknown_dtype;
  return fmt::format("{} {}", dtype_name(stored.tensor.dtype()), stored.tensor.shape().to_string());
}

std::optional<Format> dense_format(DType dtype) {
  switch (dtype) {
    case DType::kF32:
      return Format::kF32;
    case DType::kBf16:
      return Format::kBf16;
    case DType::kF16:
      return Format::kF16;
    default:
      return std::nullopt;
  }
}

bool is_vector_dtype(DType dtype) { return dtype == DType::kF64 || dense_format(dtype).has_value(); }

// Finds the declared tensors and collects everything that is wrong, so that the message can say how much it
// is.
class Resolver {
 public:
  Resolver(const Checkpoint& checkpoint, const ParamList& params)
      : checkpoint_(checkpoint), params_(params) {}

  std::vector<ResolvedMatrix> resolve() {
    std::vector<ResolvedMatrix> resolved;
    resolved.reserve(params_.matrices.size());
    for (const MatrixParam& param : params_.matrices) resolved.push_back({&param, resolve_matrix(param)});
    for (const VectorParam& param : params_.vectors) check_vector(param);
    check_unexpected();
    if (!problems_.empty()) {
      const std::size_t more = problems_.size() - 1;
      throw Error("{}{}", problems_.front(),
                  more == 0 ? "" : fmt::format(" (and {} more such problems)", more));
    }
    for (const ResolvedMatrix& matrix : resolved) matrix.source.check();
    return resolved;
  }

 private:
  void report_missing(const std::string& name, const std::string& expected) {
    problems_.push_back(fmt::format("{}: {}: expected {}, found no such tensor",
                                    checkpoint_.folder().string(), printable_name(name), expected));
  }
  void report(const std::string& name, const StoredTensor& stored, const std::string& expected) {
    const bool same = stored.stored_name == name;
    problems_.push_back(fmt::format(
        "{}: {}{}: expected {}, found {}", checkpoint_.where(stored), printable_name(stored.stored_name),
        same ? "" : fmt::format(" (as {})", printable_name(name)), expected, describe(stored)));
  }

  // The tensor when it is there with this shape and a dtype that `allowed` accepts; an empty one, and a
  // report, otherwise.
  ConstTensor take(const std::string& name, const Shape& shape, std::string_view dtypes,
                   bool (*allowed)(DType)) {
    const std::string expected = fmt::format("{} {}", dtypes, shape.to_string());
    const StoredTensor* stored = checkpoint_.find(name);
    declared_.insert(name);
    if (stored == nullptr) {
      report_missing(name, expected);
      return {};
    }
    if (stored->tensor.empty() || !allowed(stored->tensor.dtype()) || stored->tensor.shape() != shape) {
      report(name, *stored, expected);
      return {};
    }
    return stored->tensor;
  }

  WeightSource resolve_matrix(const MatrixParam& param) {
    GOSSAMER_CHECK(!param.parts.empty());
    WeightSource source;
    source.name = param.parts.front().name;
    source.num_experts = std::max<int64_t>(param.num_experts, 1);
    source.rows = param.rows();
    source.cols = param.cols;
    source.row_order = param.row_order;
    source.col_scales = param.col_scales;
    source.release = [&checkpoint = checkpoint_](const std::byte* begin, std::size_t size) {
      checkpoint.release({begin, size});
    };
    const bool mxfp4 = param.num_experts > 0 && (checkpoint_.find(source.name + "_blocks") != nullptr ||
                                                 checkpoint_.find(source.name) == nullptr);
    source.transposed = param.transposed || (param.num_experts > 0 && !mxfp4);
    if (mxfp4) {
      resolve_mxfp4(param, source);
    } else {
      resolve_dense(param, source);
    }
    return source;
  }

  void resolve_mxfp4(const MatrixParam& param, WeightSource& source) {
    const auto is_u8 = [](DType dtype) { return dtype == DType::kU8; };
    source.format = Format::kMxfp4;
    if (param.cols % kMxfp4Group != 0) {
      problems_.push_back(
          fmt::format("{}: {}_blocks: expected an inner dimension that is a multiple of {}, found {}",
                      checkpoint_.folder().string(), source.name, kMxfp4Group, param.cols));
      return;
    }
    const int64_t groups = param.cols / kMxfp4Group;
    for (const ParamPart& part : param.parts) {
      WeightPart& out = source.parts.emplace_back();
      out.rows = part.rows;
      out.codes =
          take(part.name + "_blocks", {param.num_experts, part.rows, groups, kMxfp4GroupBytes}, "U8", is_u8);
      out.scales = take(part.name + "_scales", {param.num_experts, part.rows, groups}, "U8", is_u8);
    }
  }

  void resolve_dense(const MatrixParam& param, WeightSource& source) {
    for (const ParamPart& part : param.parts) {
      const int64_t outer = source.transposed ? param.cols : part.rows;
      const int64_t inner = source.transposed ? part.rows : param.cols;
      const Shape shape =
          param.num_experts > 0 ? Shape{param.num_experts, outer, inner} : Shape{outer, inner};
      WeightPart& out = source.parts.emplace_back();
      out.rows = part.rows;
      out.codes = take(part.name, shape, "F32, BF16 or F16",
                       [](DType dtype) { return dense_format(dtype).has_value(); });
      if (out.codes.empty()) continue;
      const DType first =
          source.parts.front().codes.empty() ? out.codes.dtype() : source.parts.front().codes.dtype();
      if (out.codes.dtype() != first) {
        report(part.name, *checkpoint_.find(part.name),
               fmt::format("the same dtype as {}, {}", source.name, dtype_name(first)));
      }
      source.format = *dense_format(first);
    }
  }

  void check_vector(const VectorParam& param) {
    GOSSAMER_CHECK(!param.parts.empty());
    for (const ParamPart& part : param.parts) {
      const Shape shape = param.num_experts > 0 ? Shape{param.num_experts, part.rows} : Shape{part.rows};
      take(part.name, shape, "F32, BF16, F16 or F64", is_vector_dtype);
    }
  }

  void check_unexpected() {
    declared_.insert(params_.ignored.begin(), params_.ignored.end());
    for (const auto& [name, stored] : checkpoint_.tensors()) {
      if (!declared_.contains(name)) report(name, stored, "no tensor of this name in this architecture");
    }
  }

  const Checkpoint& checkpoint_;
  const ParamList& params_;
  std::set<std::string> declared_;
  std::vector<std::string> problems_;
};

template <typename T>
T load_unaligned(const std::byte* address) {
  T value;
  std::memcpy(&value, address, sizeof(T));
  return value;
}

// `count` numbers of any float dtype as f32.
void convert(DType dtype, const std::byte* in, int64_t count, float* out) {
  for (int64_t i = 0; i < count; ++i) {
    switch (dtype) {
      case DType::kF64:
        out[i] = static_cast<float>(load_unaligned<double>(in + 8 * i));
        break;
      case DType::kF32:
        out[i] = load_unaligned<float>(in + 4 * i);
        break;
      case DType::kBf16:
        out[i] = bf16_to_float(load_unaligned<uint16_t>(in + 2 * i));
        break;
      case DType::kF16:
        out[i] = f16_to_float(load_unaligned<uint16_t>(in + 2 * i));
        break;
      default:
        GOSSAMER_CHECK(false);
    }
  }
}

// The vector's parts, stacked and reordered for each expert. [num_experts, rows] or [rows]
std::vector<float> read_vector(const Checkpoint& checkpoint, const VectorParam& param) {
  const int64_t num_experts = std::max<int64_t>(param.num_experts, 1);
  const int64_t rows = param.rows();
  std::vector<float> stacked(static_cast<std::size_t>(num_experts * rows));
  int64_t begin = 0;
  for (const ParamPart& part : param.parts) {
    const ConstTensor& tensor = checkpoint.find(part.name)->tensor;
    const int64_t part_bytes = part.rows * static_cast<int64_t>(dtype_size(tensor.dtype()));
    for (int64_t expert = 0; expert < num_experts; ++expert) {
      convert(tensor.dtype(), tensor.bytes() + expert * part_bytes, part.rows,
              stacked.data() + expert * rows + begin);
    }
    begin += part.rows;
  }
  for (std::size_t i = 0; i < param.divisors.size(); ++i) stacked[i] /= param.divisors[i];
  if (param.row_order.empty()) return stacked;

  GOSSAMER_CHECK_EQ(static_cast<int64_t>(param.row_order.size()), rows);
  std::vector<float> ordered(stacked.size());
  for (int64_t expert = 0; expert < num_experts; ++expert) {
    for (int64_t row = 0; row < rows; ++row) {
      const int64_t stored = param.row_order[static_cast<std::size_t>(row)];
      GOSSAMER_CHECK(stored >= 0 && stored < rows);
      ordered[static_cast<std::size_t>(expert * rows + row)] =
          stacked[static_cast<std::size_t>(expert * rows + stored)];
    }
  }
  return ordered;
}

// One parameter as load_params walks them: in the order in which the data lie on disk.
struct LoadItem {
  const ResolvedMatrix* matrix = nullptr;  // one of the two is set
  const VectorParam* vector = nullptr;
  std::vector<std::span<const std::byte>> bytes;  // what it reads
  const MappedFile* file = nullptr;               // of the first
  std::size_t size = 0;
};

bool lies_before(const LoadItem& a, const LoadItem& b) {
  if (a.file != b.file) return a.file->path() < b.file->path();
  return a.bytes.front().data() < b.bytes.front().data();
}

void add_bytes(const ConstTensor& tensor, LoadItem& item) {
  if (tensor.empty()) return;
  item.bytes.emplace_back(tensor.bytes(), tensor.size_bytes());
  item.size += tensor.size_bytes();
}

std::vector<LoadItem> plan_load(const Checkpoint& checkpoint, const std::vector<ResolvedMatrix>& matrices,
                                const ParamList& params) {
  std::vector<LoadItem> items;
  for (const ResolvedMatrix& matrix : matrices) {
    LoadItem& item = items.emplace_back();
    item.matrix = &matrix;
    for (const WeightPart& part : matrix.source.parts) {
      add_bytes(part.codes, item);
      add_bytes(part.scales, item);
    }
    const std::string& name = matrix.param->parts.front().name;
    const StoredTensor* stored = checkpoint.find(name);
    item.file = (stored != nullptr ? stored : checkpoint.find(name + "_blocks"))->file;
  }
  for (const VectorParam& param : params.vectors) {
    LoadItem& item = items.emplace_back();
    item.vector = &param;
    for (const ParamPart& part : param.parts) add_bytes(checkpoint.find(part.name)->tensor, item);
    item.file = checkpoint.find(param.parts.front().name)->file;
  }
  std::stable_sort(items.begin(), items.end(), lies_before);
  return items;
}

// Asks the system to read ahead of the packer, at most kWindow bytes beyond what is being packed: far enough
// to keep a disk busy, near enough that a small machine does not throw the pages out again before they are
// used.
class Prefetcher {
 public:
  Prefetcher(const Checkpoint& checkpoint, const std::vector<LoadItem>& items)
      : checkpoint_(checkpoint), items_(items) {}

  // `index` is about to be packed.
  void advance(std::size_t index) {
    if (next_ <= index) next_ = index;
    while (next_ < items_.size() && (next_ <= index || ahead_ < kWindow)) {
      for (const std::span<const std::byte> bytes : items_[next_].bytes) checkpoint_.prefetch(bytes);
      ahead_ += items_[next_].size;
      ++next_;
    }
    ahead_ -= items_[index].size;
  }

 private:
  static constexpr std::size_t kWindow = std::size_t{256} << 20;

  const Checkpoint& checkpoint_;
  const std::vector<LoadItem>& items_;
  std::size_t next_ = 0;
  std::size_t ahead_ = 0;  // asked for and not yet being packed
};

}  // namespace

int64_t MatrixParam::rows() const { return sum_rows(parts); }

void ParamList::add_norm(const std::string& name, int64_t dim, Tensor& gain, Tensor* bias) {
  vectors.push_back({.parts = {{name + ".weight", dim}}, .norm = name, .tensor = &gain});
  if (bias != nullptr) vectors.push_back({.parts = {{name + ".bias", dim}}, .norm = name, .tensor = bias});
}

int64_t VectorParam::rows() const { return sum_rows(parts); }

Shape VectorParam::shape() const { return num_experts > 0 ? Shape{num_experts, rows()} : Shape{rows()}; }

std::vector<ResolvedMatrix> resolve_matrices(const Checkpoint& checkpoint, const ParamList& params) {
  return Resolver(checkpoint, params).resolve();
}

void load_params(const Checkpoint& checkpoint, const ParamList& params, const ParamSink& sink) {
  const std::vector<ResolvedMatrix> matrices = resolve_matrices(checkpoint, params);
  const std::vector<LoadItem> items = plan_load(checkpoint, matrices, params);
  std::size_t total = 0;
  for (const LoadItem& item : items) total += item.size;

  Prefetcher prefetcher(checkpoint, items);
  std::size_t done = 0;
  for (std::size_t i = 0; i < items.size(); ++i) {
    const LoadItem& item = items[i];
    prefetcher.advance(i);
    if (item.matrix != nullptr) {
      GOSSAMER_CHECK(item.matrix->param->weight != nullptr);
      *item.matrix->param->weight = sink.prepare(*item.matrix);
    } else {
      GOSSAMER_CHECK(item.vector->tensor != nullptr);
      const std::vector<float> numbers = read_vector(checkpoint, *item.vector);
      const Shape shape = item.vector->shape();
      *item.vector->tensor = sink.upload(*item.vector, ConstTensor(numbers.data(), DType::kF32, shape));
    }
    // What the sink did not release itself.
    for (const std::span<const std::byte> bytes : item.bytes) checkpoint.release(bytes);
    done += item.size;
    if (sink.progress) sink.progress(done, total);
  }
}

}  // namespace gossamer
