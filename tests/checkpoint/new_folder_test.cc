#include "checkpoint/new_folder.h"

#include "tests/checkpoint/test_folder.h"

namespace gossamer {
namespace {

using test::error_of;
using test::read_file;
using test::TestFolder;
using test::write_file;
using testing::HasSubstr;
namespace fs = std::filesystem;

TEST(NewFolder, AppearsWhole) {
  const TestFolder folder;
  {
    NewFolder out(folder / "out", {});
    out.write_json("config.json", {{"a", 1}});
    EXPECT_FALSE(fs::exists(folder / "out"));
    out.commit();
  }
  EXPECT_THAT(read_file(folder / "out/config.json"), HasSubstr("\"a\": 1"));
  EXPECT_FALSE(fs::exists(folder / "out.partial"));
}

TEST(NewFolder, LeavesNothingWithoutCommit) {
  const TestFolder folder;
  { NewFolder(folder / "out/", {}).write_json("config.json", {}); }
  EXPECT_TRUE(fs::is_empty(folder.path()));
}

TEST(NewFolder, RefusesWhatIsThere) {
  const TestFolder folder;
  write_file(folder / "out/file", "x");
  EXPECT_THAT(error_of([&] { NewFolder(folder / "out", {}); }), HasSubstr("found something there"));
  fs::create_directories(folder / "other.partial");
  EXPECT_THAT(error_of([&] { NewFolder(folder / "other", {}); }), HasSubstr("left by a run that was killed"));
}

TEST(NewFolder, SaysWhatTheDiskLacks) {
  const TestFolder folder;
  const std::string error = error_of([&] { NewFolder(folder / "out", {.bytes = uint64_t{1} << 60}); });
  EXPECT_THAT(error, HasSubstr("needs 1152921504.61 GB"));
  EXPECT_THAT(error, HasSubstr("GB free"));
  EXPECT_TRUE(fs::is_empty(folder.path()));
}

TEST(NewFolder, ReplacesOnlyAnotherModelFolder) {
  const TestFolder folder;
  write_file(folder / "home/precious", "x");
  EXPECT_THAT(error_of([&] { NewFolder(folder / "home", {.replace = true}); }), HasSubstr("config.json"));
  EXPECT_TRUE(fs::exists(folder / "home/precious"));

  write_file(folder / "model/config.json", "old");
  EXPECT_THAT(error_of([&] { NewFolder(folder / "model", {.replace = true, .source = folder / "model"}); }),
              HasSubstr("another folder than the model's own"));
  EXPECT_THAT(
      error_of([&] { NewFolder(folder / "model", {.replace = true, .source = folder / "model/original"}); }),
      HasSubstr("another folder than the model's own"));

  fs::create_directories(folder / "model.partial");
  {
    NewFolder out(folder / "model", {.replace = true, .source = folder / "models"});
    out.write_json("config.json", {{"new", true}});
    EXPECT_EQ(read_file(folder / "model/config.json"), "old");
    out.commit();
  }
  EXPECT_THAT(read_file(folder / "model/config.json"), HasSubstr("new"));
  EXPECT_FALSE(fs::exists(folder / "model.partial"));
}

}  // namespace
}  // namespace gossamer
