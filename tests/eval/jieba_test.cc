// Words out of a dictionary and a model made up here; with the real ones the cuts were compared with the
// package itself (docs/evaluation.md).
#include "eval/jieba.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "base/error.h"
#include "eval/python_text.h"
#include "tests/checkpoint/test_folder.h"

namespace gossamer {
namespace {

using test::TestFolder;
using test::write_file;

// Words side by side, with bars.
std::string cut(const Jieba& jieba, std::string_view text) {
  std::string joined;
  for (const std::u32string& word : jieba.cut(to_code_points(text))) joined += to_utf8(word) + "|";
  return joined;
}

class JiebaTest : public testing::Test {
 protected:
  JiebaTest() {
    write_file(folder_ / "dict.txt", "北京 100 ns\n北京大学 50 nt\n大学 80 n\n学生 90 n\n生 10 n\n大 20 a\n");
  }
  // A model in which 甲 begins words and 乙 ends them.
  void write_model() const {
    std::filesystem::create_directories(folder_ / "finalseg");
    write_file(folder_ / "finalseg/prob_start.py",
               "P={'B': -0.26,\n 'E': -3.14e+100,\n 'M': -3.14e+100,\n 'S': -1.46}\n");
    write_file(folder_ / "finalseg/prob_trans.py",
               "P={'B': {'E': -0.5, 'M': -0.9},\n 'E': {'B': -0.6, 'S': -0.8},\n"
               " 'M': {'E': -0.3, 'M': -1.2},\n 'S': {'B': -0.7, 'S': -0.6}}\n");
    write_file(
        folder_ / "finalseg/prob_emit.py",
        "from __future__ import unicode_literals\nP={'B': {'\\u7532': -1.0},\n 'E': {'\\u4e59': -1.0},\n"
        " 'M': {},\n 'S': {'\\u4e19': -1.0, '\\u7532': -9.0, '\\u4e59': -9.0}}\n");
  }
  TestFolder folder_;
};

TEST_F(JiebaTest, TakesTheMostProbableCut) {
  const Jieba jieba(folder_ / "dict.txt");
  EXPECT_FALSE(jieba.knows_new_words());
  EXPECT_EQ(jieba.num_words(), 6U);
  // Of 350: ln(50/350) = -1.95 against ln(100/350) + ln(80/350) = -2.73.
  EXPECT_EQ(cut(jieba, "北京大学"), "北京大学|");
  // -5.47 against -5.50 for 北京大学|生.
  EXPECT_EQ(cut(jieba, "北京大学生"), "北京|大|学生|");
  EXPECT_EQ(cut(jieba, "大学生"), "大|学生|") << "20 * 90 against 80 * 10";
}

TEST_F(JiebaTest, KeepsWhatIsNoChinese) {
  const Jieba jieba(folder_ / "dict.txt");
  EXPECT_EQ(cut(jieba, "北京, 3.14%的GPT-4\r\n大学。"), "北京|,| |3.14%|的|GPT|-|4|\r\n|大学|。|");
}

TEST_F(JiebaTest, FindsNewWordsWithItsModel) {
  EXPECT_EQ(cut(Jieba(folder_ / "dict.txt"), "甲乙丙北京"), "甲|乙|丙|北京|");
  write_model();
  const Jieba jieba(folder_.path());
  EXPECT_TRUE(jieba.knows_new_words());
  EXPECT_EQ(cut(jieba, "甲乙丙北京"), "甲乙|丙|北京|");
}

TEST_F(JiebaTest, NamesTheLineThatIsNoEntry) {
  write_file(folder_ / "dict.txt", "北京 100\n大学\n");
  try {
    const Jieba jieba(folder_ / "dict.txt");
    FAIL() << "read it";
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("dict.txt:2: "), std::string::npos) << error.what();
  }
}

TEST_F(JiebaTest, RefusesADamagedModel) {
  write_model();
  write_file(folder_ / "finalseg/prob_emit.py", "P={'B': {'\\u7532': x}}");
  EXPECT_THROW(Jieba(folder_.path()), Error);
  write_file(folder_ / "finalseg/prob_emit.py", "P={'B': {'\\u7532': -1.0}");
  EXPECT_THROW(Jieba(folder_.path()), Error);
}

}  // namespace
}  // namespace gossamer
