// Small checkpoint folders made by tests: written with SafetensorsWriter, or byte by byte where they are to
// be wrong.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>
#include <map>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "base/half.h"
#include "checkpoint/safetensors_writer.h"

namespace gossamer::test {

namespace fs = std::filesystem;

// A folder of its own for each test, or for what a whole suite shares, removed afterwards.
class TestFolder {
 public:
  TestFolder() {
    const testing::UnitTest& tests = *testing::UnitTest::GetInstance();
    const testing::TestInfo* info = tests.current_test_info();
    std::string name =
        (fs::temp_directory_path() / fmt::format("gossamer_{}_{}_XXXXXX", tests.current_test_suite()->name(),
                                                 info != nullptr ? info->name() : "suite"))
            .string();
    if (mkdtemp(name.data()) == nullptr) throw std::runtime_error(name + ": cannot make the folder");
    path_ = name;
  }
  ~TestFolder() { fs::remove_all(path_); }
  TestFolder(const TestFolder&) = delete;
  TestFolder& operator=(const TestFolder&) = delete;

  const fs::path& path() const { return path_; }
  fs::path operator/(std::string_view name) const { return path_ / name; }

 private:
  fs::path path_;
};

inline void write_file(const fs::path& path, std::string_view bytes) {
  fs::create_directories(path.parent_path());
  std::ofstream file(path, std::ios::binary);
  file.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  ASSERT_TRUE(file.good()) << path;
}

inline std::string read_file(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

// A safetensors file with this header text and these data, right or wrong.
inline std::string raw_safetensors(std::string_view header, std::string_view data) {
  std::string bytes(8, '\0');
  for (std::size_t i = 0; i < 8; ++i) bytes[i] = static_cast<char>(uint64_t{header.size()} >> (8 * i) & 0xff);
  return bytes.append(header).append(data);
}

// The stored number at `index`: small and different everywhere, exact in every dtype used here.
inline float number_at(int64_t seed, int64_t index) {
  return static_cast<float>((index * 7 + seed * 13) % 61 - 30);
}

// Bytes of a tensor filled by number_at; integers get index % 251.
inline std::vector<std::byte> tensor_bytes(const TensorSpec& spec, int64_t seed) {
  std::vector<std::byte> bytes(spec.size_bytes());
  const std::size_t width = dtype_size(spec.dtype);
  for (int64_t i = 0; i < spec.shape.num_elements(); ++i) {
    std::byte* out = bytes.data() + static_cast<std::size_t>(i) * width;
    const float number = number_at(seed, i);
    const double wide = number;
    const uint16_t bf16 = float_to_bf16(number);
    const uint16_t f16 = float_to_f16(number);
    switch (spec.dtype) {
      case DType::kF64:
        std::memcpy(out, &wide, 8);
        break;
      case DType::kF32:
        std::memcpy(out, &number, 4);
        break;
      case DType::kBf16:
        std::memcpy(out, &bf16, 2);
        break;
      case DType::kF16:
        std::memcpy(out, &f16, 2);
        break;
      default:
        *out = static_cast<std::byte>((i + seed) % 251);
    }
  }
  return bytes;
}

// Writes the tensors, each filled with its index in the list as the seed.
inline void write_tensors(const fs::path& path, const std::vector<TensorSpec>& specs,
                          int64_t first_seed = 0) {
  SafetensorsWriter writer(path, specs);
  for (const TensorSpec& spec : specs) writer.append(tensor_bytes(spec, first_seed++));
  writer.finish();
}

// What the Error thrown by `body` says; a failure when there is none.
inline std::string error_of(const std::function<void()>& body) {
  try {
    body();
  } catch (const Error& error) {
    return error.what();
  }
  ADD_FAILURE() << "expected an Error";
  return {};
}

}  // namespace gossamer::test
