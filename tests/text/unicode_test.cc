#include "text/unicode.h"

#include <gtest/gtest.h>

#include "tests/text/text_fixtures.h"

namespace gossamer {
namespace {

std::string nfc(const UnicodeTable& unicode, std::string_view text) {
  std::string out;
  unicode.append_nfc(text, out);
  EXPECT_TRUE(unicode.may_change_in_nfc(text) || out == text);
  return out;
}

std::string nfc(std::string_view text) { return nfc(UnicodeTable(), text); }

TEST(UnicodeTable, ClassifiesAsUnicode16) {
  const UnicodeTable unicode;
  EXPECT_EQ(unicode.char_class('A'), CharClass::kUpper);
  EXPECT_EQ(unicode.char_class(U'ǅ'), CharClass::kUpper);
  EXPECT_EQ(unicode.char_class('z'), CharClass::kLower);
  EXPECT_EQ(unicode.char_class(U'日'), CharClass::kCaseless);
  EXPECT_EQ(unicode.char_class(U'ʰ'), CharClass::kCaseless);
  EXPECT_EQ(unicode.char_class(U'\u0301'), CharClass::kMark);
  EXPECT_EQ(unicode.char_class(U'½'), CharClass::kNumber);
  EXPECT_EQ(unicode.char_class(U'😀'), CharClass::kOther);
  EXPECT_EQ(unicode.char_class(U'\U0010FFFF'), CharClass::kOther);
  EXPECT_EQ(unicode.char_class(U'\U00010D50'), CharClass::kUpper);  // Garay, new in 16.0
  EXPECT_EQ(unicode.char_class(U'\U00016EA0'), CharClass::kOther);  // Beria Erfe, new in 17.0
  for (const char32_t c : {0x09, 0x0D, 0x20, 0x85, 0xA0, 0x1680, 0x200A, 0x2028, 0x202F, 0x205F, 0x3000}) {
    EXPECT_EQ(unicode.char_class(c), CharClass::kSpace) << static_cast<uint32_t>(c);
  }
  for (const char32_t c : {0x1C, 0x1F, 0x180E, 0x200B, 0xFEFF}) {
    EXPECT_NE(unicode.char_class(c), CharClass::kSpace) << static_cast<uint32_t>(c);
  }
  EXPECT_TRUE(unicode.is_word('_'));
  EXPECT_FALSE(unicode.is_word('-'));
}

TEST(UnicodeTable, ComposesCanonically) {
  EXPECT_EQ(nfc("cafe\u0301 x"), "caf\u00E9 x");
  EXPECT_EQ(nfc("a\u0301\u0316"), "\u00E1\u0316");  // the lower mark is ordered first and does not block
  EXPECT_EQ(nfc("a\u0300\u0301"), "\u00E0\u0301");  // the second of a class is blocked
  EXPECT_EQ(nfc("\u1112\u1161\u11AB"), "\uD55C");   // Hangul L V T
  EXPECT_EQ(nfc("\uAC00\u11A8"), "\uAC01");         // LV T
  EXPECT_EQ(nfc("\u212B"), "\u00C5");               // singleton
  EXPECT_EQ(nfc("\u0958"), "\u0915\u093C");         // composition exclusion
  EXPECT_EQ(nfc("\u0344"), "\u0308\u0301");
  EXPECT_EQ(nfc("plain text, na\u00EFve"), "plain text, na\u00EFve");
  // Newer than the data of the reference (Unicode 9): left alone, in their order.
  EXPECT_EQ(nfc("\U00011935\U00011930"), "\U00011935\U00011930");
  EXPECT_EQ(nfc("x\u0898\u0316"), "x\u0898\u0316");
}

TEST(UnicodeTable, ComposesIdempotently) {
  TestRandom random(9);
  const UnicodeTable unicode;
  int num_changed = 0;
  for (int round = 0; round < 5'000; ++round) {
    std::string text;
    for (std::size_t i = random.below(12); i > 0; --i) {
      constexpr char32_t kFirst[] = {0x41, 0x41, 0x300, 0x300, 0x300, 0x1100, 0x1161, 0x11A8, 0xAC00, 0x900};
      utf8_append(kFirst[random.below(std::size(kFirst))] + static_cast<char32_t>(random.below(0x40)), text);
    }
    const std::string once = nfc(unicode, text);
    num_changed += once != text;
    EXPECT_EQ(nfc(unicode, once), once);
  }
  EXPECT_GT(num_changed, 500);
}

TEST(Utf8, ReplacesMaximalSubparts) {
  const auto lossy = [](std::string_view text) {
    std::string out;
    utf8_append_lossy(text, out);
    return out;
  };
  const std::string fffd = "\xEF\xBF\xBD";
  EXPECT_EQ(lossy("a\xF0\x9F\x98\x80z"), "a\xF0\x9F\x98\x80z");
  EXPECT_EQ(lossy("\xF0\x9F\x98z"), fffd + "z");
  EXPECT_EQ(lossy("\xF0\x9F\x98"), fffd);
  EXPECT_EQ(lossy("\xF0\x80\x80"), fffd + fffd + fffd);  // overlong
  EXPECT_EQ(lossy("\xF4\x90"), fffd + fffd);             // above U+10FFFF
  EXPECT_EQ(lossy("\xC0\xAF"), fffd + fffd);
  EXPECT_EQ(lossy("\x80\xE2\x28"), fffd + fffd + "(");
  EXPECT_EQ(utf8_valid_prefix("0123456789\xFF"), 10U);
}

TEST(Utf8, RoundTripsEveryCodePoint) {
  for (char32_t c = 0; c < 0x110000; c += c < 0x3000 ? 1 : 37) {
    if (c >= 0xD800 && c < 0xE000) continue;
    std::string text;
    utf8_append(c, text);
    const Utf8Step step = utf8_step(text);
    ASSERT_EQ(step.status, Utf8Status::kValid);
    ASSERT_EQ(step.code_point, c);
    ASSERT_EQ(step.length, text.size());
    const char* p = text.data();
    ASSERT_EQ(utf8_decode_valid(p), c);
    ASSERT_EQ(p, text.data() + text.size());
  }
}

TEST(Json, WritesAsciiThatReadsBack) {
  std::string text =
      "\"\\\n\t\x01\x7F"
      "aé\u2028\U0001F600";
  const std::string written = to_ascii_json(text);
  for (const char c : written) EXPECT_TRUE(c >= 0x20 && c < 0x7F);
  EXPECT_EQ(string_of(parse_json(written, "test")), text);
}

}  // namespace
}  // namespace gossamer
