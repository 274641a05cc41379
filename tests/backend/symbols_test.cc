// A function from a shared header that an instruction-set file emits could replace the baseline's copy at
// link time and crash older processors. Each kernel object therefore exports one function, and nothing weak.
#include <gtest/gtest.h>

#include <array>
#include <cstdio>
#include <sstream>
#include <string>
#include <vector>

#include "backend/cpu/levels.h"
#include "backend/registry.h"
#include "base/error.h"

namespace gossamer {
namespace {

#ifdef GOSSAMER_KERNEL_OBJECTS

std::vector<std::string> exported_symbols(const std::string& object) {
  std::vector<std::string> symbols;
  FILE* pipe =
      ::popen((std::string(GOSSAMER_NM) + " -C --defined-only --extern-only '" + object + "'").c_str(), "r");
  if (pipe == nullptr) return symbols;
  std::array<char, 4096> line{};
  while (std::fgets(line.data(), line.size(), pipe) != nullptr) {
    std::string text = line.data();
    if (!text.empty() && text.back() == '\n') text.pop_back();
    symbols.push_back(text.substr(text.find(' ') + 1));
  }
  ::pclose(pipe);
  return symbols;
}

TEST(KernelObjects, ExportExactlyTheirTable) {
  std::istringstream objects(GOSSAMER_KERNEL_OBJECTS);
  int count = 0;
  for (std::string object; std::getline(objects, object, ':');) {
    const std::size_t begin = object.rfind("kernels_") + 8;
    const std::string level = object.substr(begin, object.find('.', begin) - begin);
    EXPECT_EQ(exported_symbols(object),
              (std::vector<std::string>{"T gossamer::cpu::" + level + "::kernels()"}))
        << object;
    ++count;
  }
  EXPECT_GE(count, 2);
}

#endif

TEST(Levels, TheBestIsChosenAndAnUnknownOneIsRefusedByName) {
  const auto available = cpu::available_levels();
  EXPECT_EQ(available.front(), "portable");
  EXPECT_EQ(cpu::choose_kernels("").level, available.back());
  try {
    create_backend({.name = "cpu", .instruction_set = "sse9"});
    FAIL() << "accepted";
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("sse9"), std::string::npos);
    EXPECT_NE(std::string(error.what()).find("portable"), std::string::npos);
  }
  EXPECT_THROW(create_backend({.name = "abacus"}), Error);
}

TEST(Levels, DescribeNamesLevelAndKernels) {
  for (const std::string& level : cpu::available_levels()) {
    const auto backend = create_backend({.name = "cpu", .num_threads = 1, .instruction_set = level});
    EXPECT_NE(backend->describe().find(level), std::string::npos);
    EXPECT_NE(backend->describe().find("mxfp4"), std::string::npos);
  }
}

}  // namespace
}  // namespace gossamer
