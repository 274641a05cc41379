#include "checkpoint/params.h"

#include <algorithm>

#include "tests/checkpoint/test_folder.h"

namespace gossamer {
namespace {

using test::error_of;
using test::number_at;
using test::TestFolder;
using test::write_file;
using test::write_tensors;
using testing::AllOf;
using testing::ElementsAre;
using testing::EndsWith;
using testing::HasSubstr;

std::unique_ptr<Checkpoint> open_with(const TestFolder& folder, const std::vector<TensorSpec>& specs) {
  write_file(folder / "config.json", "{}");
  write_tensors(folder / "model.safetensors", specs);
  return Checkpoint::open(folder.path());
}

MatrixParam matrix(std::vector<ParamPart> parts, int64_t cols) {
  MatrixParam param;
  param.parts = std::move(parts);
  param.cols = cols;
  return param;
}

VectorParam vector(std::vector<ParamPart> parts) {
  VectorParam param;
  param.parts = std::move(parts);
  return param;
}

std::vector<float> decoded_row(const WeightSource& source, int64_t expert, int64_t row) {
  std::vector<float> numbers(static_cast<std::size_t>(source.cols));
  source.decode_row(expert, row, numbers.data());
  return numbers;
}

TEST(ResolveMatrices, TakesTheFormatFromTheStoredDtype) {
  const TestFolder folder;
  const auto checkpoint = open_with(
      folder, {{"a", DType::kF32, {2, 3}}, {"b", DType::kBf16, {2, 3}}, {"c", DType::kF16, {3, 2}}});
  ParamList params;
  params.matrices.push_back(matrix({{"c", 2}}, 3));
  params.matrices.back().transposed = true;
  params.matrices.push_back(matrix({{"a", 2}}, 3));
  params.matrices.push_back(matrix({{"b", 2}}, 3));
  const std::vector<ResolvedMatrix> resolved = resolve_matrices(*checkpoint, params);
  ASSERT_EQ(resolved.size(), 3U);
  EXPECT_EQ(resolved[0].source.format, Format::kF16);
  EXPECT_EQ(resolved[1].source.format, Format::kF32);
  EXPECT_EQ(resolved[2].source.format, Format::kBf16);
  EXPECT_EQ(resolved[0].param, &params.matrices[0]);
  EXPECT_EQ(resolved[0].source.name, "c");
  EXPECT_THAT(decoded_row(resolved[0].source, 0, 1),
              ElementsAre(number_at(2, 1), number_at(2, 3), number_at(2, 5)));
  EXPECT_THAT(decoded_row(resolved[1].source, 0, 1),
              ElementsAre(number_at(0, 3), number_at(0, 4), number_at(0, 5)));
}

TEST(ResolveMatrices, StacksPartsAndReordersRows) {
  const TestFolder folder;
  const auto checkpoint = open_with(folder, {{"k", DType::kBf16, {1, 2}}, {"q", DType::kBf16, {2, 2}}});
  ParamList params;
  params.matrices.push_back(matrix({{"q", 2}, {"k", 1}}, 2));
  const std::vector<int32_t> row_order = {2, 0, 1};
  params.matrices.back().row_order = row_order;
  const WeightSource source = resolve_matrices(*checkpoint, params).front().source;
  EXPECT_EQ(source.rows, 3);
  EXPECT_THAT(decoded_row(source, 0, 0), ElementsAre(number_at(0, 0), number_at(0, 1)));
  EXPECT_THAT(decoded_row(source, 0, 1), ElementsAre(number_at(1, 0), number_at(1, 1)));
}

TEST(ResolveMatrices, FindsExpertsInBothForms) {
  const TestFolder folder;
  const auto checkpoint = open_with(folder, {{"dense", DType::kBf16, {2, 32, 4}},  // [E, cols, rows]
                                             {"packed_blocks", DType::kU8, {2, 4, 1, 16}},
                                             {"packed_scales", DType::kU8, {2, 4, 1}}});
  ParamList params;
  for (const char* name : {"dense", "packed"}) {
    params.matrices.push_back(matrix({{name, 4}}, 32));
    params.matrices.back().num_experts = 2;
  }
  const std::vector<ResolvedMatrix> resolved = resolve_matrices(*checkpoint, params);
  EXPECT_EQ(resolved[0].source.format, Format::kBf16);
  EXPECT_TRUE(resolved[0].source.transposed);
  EXPECT_EQ(decoded_row(resolved[0].source, 1, 3)[5], number_at(0, 32 * 4 + 5 * 4 + 3));
  EXPECT_EQ(resolved[1].source.format, Format::kMxfp4);
  EXPECT_FALSE(resolved[1].source.transposed);
  EXPECT_EQ(*resolved[1].source.row_codes(1, 2), static_cast<std::byte>((6 * 16 + 1) % 251));
  EXPECT_EQ(*resolved[1].source.row_scales(1, 2), static_cast<std::byte>(6 + 2));
}

struct BadCase {
  std::vector<TensorSpec> stored;
  const char* message;
};

TEST(ResolveMatrices, NamesFileTensorExpectedAndFound) {
  // Declared: matrix w of parts q and k, [2 + 1, 2]; experts e, 2 x [4, 32]; vector v [3]; mask ignored.
  const TensorSpec q = {"q", DType::kBf16, {2, 2}};
  const TensorSpec k = {"k", DType::kBf16, {1, 2}};
  const TensorSpec v = {"v", DType::kF32, {3}};
  const TensorSpec blocks = {"e_blocks", DType::kU8, {2, 4, 1, 16}};
  const TensorSpec scales = {"e_scales", DType::kU8, {2, 4, 1}};
  const TensorSpec mask = {"mask", DType::kBool, {5}};
  const BadCase cases[] = {
      {{k, v, blocks, scales}, ": q: expected F32, BF16 or F16 [2, 2], found no such tensor"},
      {{{"q", DType::kBf16, {2, 3}}, k, v, blocks, scales},
       "model.safetensors: q: expected F32, BF16 or F16 [2, 2], found BF16 [2, 3]"},
      {{{"q", DType::kBf16, {4}}, k, v, blocks, scales}, "found BF16 [4]"},
      {{{"q", DType::kI32, {2, 2}}, k, v, blocks, scales}, "found I32 [2, 2]"},
      {{q, {"k", DType::kF32, {1, 2}}, v, blocks, scales},
       "k: expected the same dtype as q, BF16, found F32 [1, 2]"},
      {{q, k, blocks, scales}, ": v: expected F32, BF16, F16 or F64 [3], found no such tensor"},
      {{q, k, {"v", DType::kU8, {3}}, blocks, scales}, "v: expected F32, BF16, F16 or F64 [3], found U8 [3]"},
      {{q, k, v, blocks}, ": e_scales: expected U8 [2, 4, 1], found no such tensor"},
      {{q, k, v, scales}, ": e_blocks: expected U8 [2, 4, 1, 16], found no such tensor"},
      {{q, k, v, {"e_blocks", DType::kU8, {2, 4, 16}}, scales},
       "e_blocks: expected U8 [2, 4, 1, 16], found U8 [2, 4, 16]"},
      {{q, k, v, {"e", DType::kBf16, {2, 4, 32}}},
       "e: expected F32, BF16 or F16 [2, 32, 4], found BF16 [2, 4, 32]"},
      {{q, k, v, blocks, scales, {"zz", DType::kF32, {1}}},
       "model.safetensors: zz: expected no tensor of this name in this architecture, found F32 [1]"},
      {{q, k, v, blocks, scales, {"e", DType::kBf16, {2, 32, 4}}}, "e: expected no tensor of this name"},
      {{q, v, blocks, scales, {"x", DType::kF32, {1}}, {"y", DType::kF32, {1}}, mask},
       ": k: expected F32, BF16 or F16 [1, 2], found no such tensor (and 2 more such problems)"},
  };
  for (const BadCase& bad : cases) {
    const TestFolder folder;
    const auto checkpoint = open_with(folder, bad.stored);
    ParamList params;
    params.matrices.push_back(matrix({{"q", 2}, {"k", 1}}, 2));
    params.matrices.push_back(matrix({{"e", 4}}, 32));
    params.matrices.back().num_experts = 2;
    params.vectors.push_back(vector({{"v", 3}}));
    params.ignored = {"mask", "absent"};
    const std::string text = error_of([&] { resolve_matrices(*checkpoint, params); });
    EXPECT_THAT(text, HasSubstr(bad.message));
    EXPECT_THAT(text, HasSubstr(folder.path().string()));
  }
}

TEST(ResolveMatrices, RefusesAnUnknownDtypeOnlyWhereItIsDeclared) {
  const TestFolder folder;
  write_file(folder / "config.json", "{}");
  write_file(
      folder / "model.safetensors",
      test::raw_safetensors(R"({"w":{"dtype":"F8_E4M3","shape":[1,4],"data_offsets":[0,4]}})", "1234"));
  const auto checkpoint = Checkpoint::open(folder.path());
  ParamList params;
  params.ignored = {"w"};
  EXPECT_TRUE(resolve_matrices(*checkpoint, params).empty());
  params.ignored.clear();
  params.matrices.push_back(matrix({{"w", 1}}, 4));
  EXPECT_THAT(error_of([&] { resolve_matrices(*checkpoint, params); }),
              EndsWith("w: expected F32, BF16 or F16 [1, 4], found F8_E4M3"));
}

TEST(ResolveMatrices, RefusesGroupsThatDoNotFitTheInnerDimension) {
  const TestFolder folder;
  const auto checkpoint =
      open_with(folder, {{"e_blocks", DType::kU8, {1, 4, 1, 16}}, {"e_scales", DType::kU8, {1, 4, 1}}});
  ParamList params;
  params.matrices.push_back(matrix({{"e", 4}}, 33));
  params.matrices.back().num_experts = 1;
  EXPECT_THAT(error_of([&] { resolve_matrices(*checkpoint, params); }),
              HasSubstr("expected an inner dimension that is a multiple of 32, found 33"));
}

// --- Loading

class FakeWeight : public Weight {
 public:
  explicit FakeWeight(const WeightSource& source)
      : Weight(source.format, source.num_experts, source.rows, source.cols),
        first_row(decoded_row(source, 0, 0)) {}
  std::size_t size_bytes() const override { return 0; }

  std::vector<float> first_row;
};

TEST(LoadParams, HandsOutEveryParameterInTheOrderOfTheFiles) {
  const TestFolder folder;
  write_file(folder / "config.json", "{}");
  write_tensors(folder / "m-0.safetensors", {{"gain", DType::kF16, {3}}, {"w1", DType::kBf16, {2, 3}}});
  write_tensors(folder / "m-1.safetensors",
                {{"wide", DType::kF64, {2}}, {"bias", DType::kBf16, {2, 2}}, {"w0", DType::kF32, {2, 3}}}, 2);
  const auto checkpoint = Checkpoint::open(folder.path());
  std::unique_ptr<Weight> w0;
  std::unique_ptr<Weight> w1;
  Tensor gain;
  Tensor bias;
  ParamList params;
  params.matrices.push_back(matrix({{"w0", 2}}, 3));
  params.matrices.back().weight = &w0;
  params.matrices.push_back(matrix({{"w1", 2}}, 3));
  params.matrices.back().weight = &w1;
  params.vectors.push_back(vector({{"bias", 2}}));
  params.vectors.back().num_experts = 2;
  const std::vector<int32_t> swapped = {1, 0};
  params.vectors.back().row_order = swapped;
  params.vectors.back().tensor = &bias;
  params.vectors.push_back(vector({{"gain", 3}, {"wide", 2}}));
  params.vectors.back().tensor = &gain;

  std::vector<std::string> order;
  std::vector<std::vector<float>> uploaded;
  uploaded.reserve(8);
  std::size_t last_done = 0;
  ParamSink sink;
  sink.prepare = [&](const ResolvedMatrix& matrix) {
    const WeightSource& source = matrix.source;
    order.push_back(source.name);
    return std::make_unique<FakeWeight>(source);
  };
  sink.upload = [&](const VectorParam&, const ConstTensor& host) {
    order.push_back(host.shape().to_string());
    uploaded.emplace_back(host.as<float>(), host.as<float>() + host.shape().num_elements());
    return Tensor(uploaded.back().data(), DType::kF32, host.shape());
  };
  sink.progress = [&](std::size_t done, std::size_t total) {
    EXPECT_GT(done, last_done);
    EXPECT_EQ(total, 12U + 24U + 8U + 6U + 16U);
    last_done = done;
  };
  load_params(*checkpoint, params, sink);

  EXPECT_THAT(order, ElementsAre("[5]", "w1", "[2, 2]", "w0"));
  EXPECT_EQ(last_done, 66U);
  EXPECT_THAT(dynamic_cast<FakeWeight&>(*w1).first_row,
              ElementsAre(number_at(1, 0), number_at(1, 1), number_at(1, 2)));
  EXPECT_THAT(dynamic_cast<FakeWeight&>(*w0).first_row,
              ElementsAre(number_at(4, 0), number_at(4, 1), number_at(4, 2)));
  EXPECT_THAT(uploaded[0], ElementsAre(number_at(0, 0), number_at(0, 1), number_at(0, 2), number_at(2, 0),
                                       number_at(2, 1)));
  EXPECT_THAT(uploaded[1], ElementsAre(number_at(3, 1), number_at(3, 0), number_at(3, 3), number_at(3, 2)));
  EXPECT_EQ(bias.shape(), Shape({2, 2}));
  EXPECT_EQ(gain.shape(), Shape({5}));
}

TEST(LoadParams, LoadsNothingWhenAnythingIsWrong) {
  const TestFolder folder;
  const auto checkpoint = open_with(folder, {{"w", DType::kF32, {2, 3}}, {"extra", DType::kF32, {1}}});
  std::unique_ptr<Weight> weight;
  ParamList params;
  params.matrices.push_back(matrix({{"w", 2}}, 3));
  params.matrices.back().weight = &weight;
  ParamSink sink;
  sink.prepare = [](const ResolvedMatrix&) -> std::unique_ptr<Weight> {
    ADD_FAILURE() << "prepare was called";
    return nullptr;
  };
  EXPECT_THAT(error_of([&] { load_params(*checkpoint, params, sink); }), HasSubstr("extra"));
}

// Loading a file much larger than the allowance must not keep its pages: this process's resident size, file
// pages included, stays within what one parameter takes.
TEST(LoadParams, GivesThePagesBackAsItGoes) {
  const TestFolder folder;
  std::vector<TensorSpec> specs;
  ParamList params;
  constexpr int kCount = 24;
  constexpr int64_t kRows = 1024;
  constexpr int64_t kCols = 2048;  // 8 MiB each, 192 MiB in all
  std::vector<std::unique_ptr<Weight>> weights(kCount);
  for (int i = 0; i < kCount; ++i) {
    specs.push_back({fmt::format("w{:02}", i), DType::kF32, {kRows, kCols}});
    params.matrices.push_back(matrix({{specs.back().name, kRows}}, kCols));
    params.matrices.back().weight = &weights[static_cast<std::size_t>(i)];
  }
  {
    const std::vector<std::byte> zeros(specs[0].size_bytes());
    SafetensorsWriter writer(folder / "model.safetensors", specs);
    for (int i = 0; i < kCount; ++i) writer.append(zeros);
    writer.finish();
  }
  write_file(folder / "config.json", "{}");
  const auto resident_file_kib = [] {
    std::ifstream status("/proc/self/status");
    std::string word;
    long kib = -1;
    while (status >> word) {
      if (word == "RssFile:") status >> kib;
    }
    return kib;
  };
  const auto checkpoint = Checkpoint::open(folder.path());
  const long before = resident_file_kib();
  if (before < 0) GTEST_SKIP() << "no /proc/self/status with RssFile here";
  long peak = 0;
  ParamSink sink;
  sink.prepare = [&](const ResolvedMatrix& matrix) {
    const WeightSource& source = matrix.source;
    auto weight = std::make_unique<FakeWeight>(source);
    std::vector<float> row(static_cast<std::size_t>(kCols));
    for (int64_t i = 0; i < kRows; ++i) source.decode_row(0, i, row.data());
    peak = std::max(peak, resident_file_kib());
    return weight;
  };
  load_params(*checkpoint, params, sink);
  EXPECT_GT(peak, before);  // the reading itself was seen
  EXPECT_LT(peak - before, 2 * 8 * 1024 + 1024);
  EXPECT_LT(resident_file_kib() - before, 4 * 1024);
}

}  // namespace
}  // namespace gossamer
