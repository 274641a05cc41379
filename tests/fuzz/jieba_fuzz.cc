// Any bytes as a file of jieba's: an Error, or words that put together are the text that was cut. The first
// byte chooses the file: dict.txt, or one of finalseg/, beside which the others are as they should be.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>

#include "base/check.h"
#include "base/error.h"
#include "eval/jieba.h"

namespace {

namespace fs = std::filesystem;

class Folder {
 public:
  Folder() {
    std::string name = (fs::temp_directory_path() / "jieba_fuzz_XXXXXX").string();
    GOSSAMER_CHECK(mkdtemp(name.data()) != nullptr);
    path_ = name;
    fs::create_directory(path_ / "finalseg");
  }
  ~Folder() { fs::remove_all(path_); }
  const fs::path& path() const { return path_; }
  void write(const char* name, std::string_view text) const {
    std::ofstream(path_ / name, std::ios::binary) << text;
  }

 private:
  fs::path path_;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, std::size_t size) {
  using namespace gossamer;
  static const Folder folder;
  struct File {
    const char* name;
    std::string_view good;
  };
  constexpr File kFiles[] = {
      {"dict.txt", "\xE7\x9A\x84 318825 uj\n\xE4\xB8\xAD\xE5\x9B\xBD 34488 ns\n"},
      {"finalseg/prob_start.py", "P={'B': -0.26, 'E': -3.14e+100, 'M': -3.14e+100, 'S': -1.46}\n"},
      {"finalseg/prob_trans.py", "P={'B': {'E': -0.51, 'M': -0.91}, 'S': {'B': -0.72, 'S': -0.66}}\n"},
      {"finalseg/prob_emit.py",
       "P={'B': {'\\u4e00': -3.65, '\xE4\xB8\xAD': -8.2}, 'E': {'\\u56fd': -6.1}}\n"}};
  const std::size_t chosen = size == 0 ? 0 : data[0] % std::size(kFiles);
  const std::string_view text(reinterpret_cast<const char*>(data) + (size > 0), size - (size > 0));
  for (std::size_t i = 0; i < std::size(kFiles); ++i)
    folder.write(kFiles[i].name, i == chosen ? text : kFiles[i].good);
  try {
    const Jieba jieba(folder.path());
    const std::u32string sentence = U"\u4e2d\u56fd\u7684\u4e00, ABC 1.5\r\n\u56fd\u56fd\u4e2d";
    std::u32string together;
    for (const std::u32string& word : jieba.cut(sentence)) together += word;
    GOSSAMER_CHECK(together == sentence);
  } catch (const Error&) {
  }
  return 0;
}
