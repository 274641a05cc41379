#include "checkpoint/safetensors.h"

#include <string>

#include "base/error.h"
#include "checkpoint/safetensors_writer.h"
#include "tests/checkpoint/test_folder.h"

namespace gossamer {
namespace {

using test::error_of;
using test::raw_safetensors;
using testing::HasSubstr;

std::vector<SafetensorsEntry> parse(const std::string& file) {
  return parse_safetensors(std::as_bytes(std::span(file)), "x.safetensors");
}

TEST(Safetensors, ListsTensorsInTheOrderOfTheirData) {
  const std::vector<SafetensorsEntry> entries = parse(raw_safetensors(
      R"({"__metadata__":{"format":"pt"},"b":{"dtype":"F32","shape":[2,1],"data_offsets":[2,10]},)"
      R"("a":{"dtype":"BF16","shape":[],"data_offsets":[0,2]},"none":{"dtype":"F16","shape":[0,5],"data_offsets":[2,2]}}   )",
      "0123456789"));
  ASSERT_EQ(entries.size(), 3U);
  EXPECT_EQ(entries[0].name, "a");
  EXPECT_EQ(entries[0].shape, Shape());
  EXPECT_EQ(entries[1].name, "none");
  EXPECT_EQ(entries[2].name, "b");
  EXPECT_EQ(entries[2].dtype, "F32");
  EXPECT_EQ(entries[2].shape, Shape({2, 1}));
  EXPECT_EQ(entries[2].end - entries[2].begin, 8U);
}

TEST(Safetensors, LeavesUnknownDtypesToWhoeverNeedsThem) {
  const auto entries = parse(raw_safetensors(
      R"({"a":{"dtype":"F8_E4M3","shape":[3],"data_offsets":[0,3]},"b":{"dtype":"F4","shape":[4],"data_offsets":[3,5]}})",
      "12345"));
  ASSERT_EQ(entries.size(), 2U);
  EXPECT_EQ(entries[0].dtype, "F8_E4M3");
}

struct BadCase {
  const char* header;
  const char* data;
  const char* message;
};

TEST(Safetensors, NamesWhatIsWrongWithAHeader) {
  const BadCase cases[] = {
      {"", "", "expected a header that starts with '{'"},
      {"[]", "", "expected a header that starts with '{'"},
      {"{", "", "not valid JSON"},
      {R"({"a":1})", "", "a: expected a description of a tensor"},
      {R"({"__metadata__":{"a":1}})", "", "__metadata__: expected an object of strings"},
      {R"({"a":{"shape":[1],"data_offsets":[0,4]}})", "1234", "a: expected a member \"dtype\""},
      {R"({"a":{"dtype":3,"shape":[1],"data_offsets":[0,4]}})", "1234",
       "a: expected dtype to be a string, found 3"},
      {R"({"a":{"dtype":"F32","shape":1,"data_offsets":[0,4]}})", "1234", "a: expected shape to be a list"},
      {R"({"a":{"dtype":"F32","shape":[-1],"data_offsets":[0,4]}})", "1234",
       "integers from 0 to 2^63 - 1, found -1"},
      {R"({"a":{"dtype":"F32","shape":[1.5],"data_offsets":[0,4]}})", "1234",
       "a: expected a shape of integers"},
      {R"({"a":{"dtype":"F32","shape":[1,1,1,1,1,1,1,1,1],"data_offsets":[0,4]}})", "1234",
       "at most 8 dimensions"},
      {R"({"a":{"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,4]}})", "1234",
       "fits into a file"},
      {R"({"a":{"dtype":"F32","shape":[4611686018427387904],"data_offsets":[0,4]}})", "1234",
       "fits into a file"},
      {R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,4]}})", "1234",
       "a: expected 8 bytes for F32 [2], found data_offsets [0, 4], which is 4"},
      {R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0]}})", "1234", "data_offsets to be two integers"},
      {R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[4,0]}})", "1234",
       "data_offsets in ascending order"},
      {R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,18446744073709551615]}})", "1234", "2^63 - 1"},
      {R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[1,5]}})", "12345", "1 bytes belong to no tensor"},
      {R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"b":{"dtype":"U8","shape":[1],"data_offsets":[2,3]}})",
       "1234", "b: expected data from byte 4 on, found [2, 3], which overlaps a"},
      {R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}})", "123",
       "a: expected data up to byte 4, found a file with 3"},
      {R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}})", "12345",
       "the file is longer than its tensors"},
      {R"({"a\nb":{"dtype":"F32","shape":[1],"data_offsets":[0,3]}})", "123",
       "x.safetensors: a\\x0ab: expected"},
  };
  for (const BadCase& bad : cases) {
    const std::string message = error_of([&] { parse(raw_safetensors(bad.header, bad.data)); });
    EXPECT_THAT(message, HasSubstr(bad.message)) << bad.header;
    EXPECT_THAT(message, HasSubstr("x.safetensors")) << bad.header;
  }
}

TEST(Safetensors, BelievesNoLengthBeyondTheFileOrTheLimit) {
  EXPECT_THAT(error_of([] { parse("1234567"); }), HasSubstr("found 7 bytes"));
  EXPECT_THAT(error_of([] { parse(""); }), HasSubstr("found 0 bytes"));
  std::string truncated = raw_safetensors("{}", "");
  truncated.pop_back();
  EXPECT_THAT(error_of([&] { parse(truncated); }), HasSubstr("expected a header of 2 bytes, found 1 bytes"));
  EXPECT_THAT(error_of([] { parse(std::string(64, '\xff')); }), HasSubstr("at most 100000000 bytes"));
  EXPECT_TRUE(parse(raw_safetensors("{}", "")).empty());
}

TEST(SafetensorsWriter, WritesWhatTheParserReads) {
  const test::TestFolder folder;
  const std::vector<TensorSpec> specs = {{"first", DType::kF32, {2, 3}}, {"second", DType::kBf16, {5}}};
  {
    SafetensorsWriter writer(folder / "a.safetensors", specs, {{"format", "pt"}});
    EXPECT_EQ(writer.data_bytes(), 34U);
    const std::vector<std::byte> first = test::tensor_bytes(specs[0], 0);
    writer.append(std::span(first).first(5));
    writer.append(std::span(first).subspan(5));
    writer.append(test::tensor_bytes(specs[1], 1));
    EXPECT_FALSE(test::fs::exists(folder / "a.safetensors"));
    writer.finish();
  }
  const std::string file = test::read_file(folder / "a.safetensors");
  const std::vector<SafetensorsEntry> entries = parse(file);
  ASSERT_EQ(entries.size(), 2U);
  EXPECT_EQ(entries[0].begin % 8, 0U);
  for (std::size_t i = 0; i < 2; ++i) {
    EXPECT_EQ(entries[i].name, specs[i].name);
    EXPECT_EQ(entries[i].shape, specs[i].shape);
    const auto bytes = test::tensor_bytes(specs[i], static_cast<int64_t>(i));
    ASSERT_EQ(entries[i].end - entries[i].begin, bytes.size());
    EXPECT_EQ(std::memcmp(file.data() + entries[i].begin, bytes.data(), bytes.size()), 0);
  }
}

TEST(SafetensorsWriter, LeavesNothingWhenItIsNotFinished) {
  const test::TestFolder folder;
  { const SafetensorsWriter writer(folder / "a.safetensors", {{"a", DType::kF32, {4}}}); }
  EXPECT_TRUE(test::fs::is_empty(folder.path()));
}

TEST(SafetensorsWriter, SaysBothNumbersWhenTheDiskIsTooSmall) {
  const test::TestFolder folder;
  const int64_t petabyte = int64_t{1} << 50;
  EXPECT_THAT(error_of([&] {
                SafetensorsWriter(folder / "a.safetensors", {{"a", DType::kU8, {petabyte}}});
              }),
              testing::MatchesRegex(".*a.safetensors: needs 1125899.91 GB of disk space, .* has .* GB free"));
  EXPECT_TRUE(test::fs::is_empty(folder.path()));
}

TEST(SafetensorsWriter, NamesAFileThatCannotBeWritten) {
  const test::TestFolder folder;
  EXPECT_THAT(error_of([&] { SafetensorsWriter(folder / "missing/a.safetensors", {}); }),
              HasSubstr("missing/a.safetensors.partial: cannot write the file"));
}

}  // namespace
}  // namespace gossamer
