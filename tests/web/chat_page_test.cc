// The assembled page as bytes. What it does in a browser is page_test.py's matter.
#include "web/chat_page.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <regex>
#include <string>
#include <string_view>

namespace gossamer {
namespace {

uint32_t crc32(std::string_view bytes) {
  uint32_t crc = 0xffffffffu;
  for (const char byte : bytes) {
    crc ^= static_cast<uint8_t>(byte);
    for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ ((crc & 1u) != 0 ? 0xedb88320u : 0u);
  }
  return ~crc;
}

uint32_t little_endian(std::string_view bytes) {
  uint32_t value = 0;
  for (std::size_t i = 0; i < 4; ++i)
    value |= static_cast<uint32_t>(static_cast<uint8_t>(bytes[i])) << (8 * i);
  return value;
}

TEST(ChatPage, IsOneCompleteHtmlFile) {
  const std::string_view page = chat_page();
  EXPECT_TRUE(page.starts_with("<!doctype html>"));
  EXPECT_TRUE(page.ends_with("</html>\n"));
  for (const std::string_view name :
       {"@LICENCES@", "@POLICY@", "@STYLE@", "@THEME_SCRIPT@", "@LIBRARIES@", "@SCRIPT@"}) {
    EXPECT_EQ(page.find(name), std::string_view::npos) << name;
  }
}

TEST(ChatPage, NeedsNothingFromElsewhere) {
  const std::string_view page = chat_page();
  EXPECT_EQ(page.find("<script src"), std::string_view::npos);
  EXPECT_EQ(page.find("rel=\"stylesheet\""), std::string_view::npos);
  const std::size_t begin = page.find("<style>");
  const std::string_view style = page.substr(begin, page.find("</style>") - begin);
  EXPECT_GT(style.size(), 1000u);
  EXPECT_EQ(style.find("@import"), std::string_view::npos);
  EXPECT_EQ(style.find("url("), std::string_view::npos);
}

TEST(ChatPage, AllowsItsOwnScriptsAndNoOthers) {
  const std::string page(chat_page());
  std::smatch match;
  ASSERT_TRUE(std::regex_search(page, match, std::regex("Content-Security-Policy\" content=\"([^\"]*)\"")));
  const std::string policy = match[1];
  EXPECT_NE(policy.find("default-src 'none'"), std::string::npos);
  EXPECT_NE(policy.find("connect-src 'self'"), std::string::npos);
  EXPECT_NE(policy.find("require-trusted-types-for 'script'; trusted-types 'none'"), std::string::npos);
  EXPECT_EQ(policy.find("unsafe"), std::string::npos);
  std::size_t scripts = 0;
  for (std::size_t at = page.find("</script>"); at != std::string::npos; at = page.find("</script>", at + 1))
    ++scripts;
  std::size_t hashes = 0;
  for (std::size_t at = policy.find("'sha256-"); at != std::string::npos;
       at = policy.find("'sha256-", at + 1))
    ++hashes;
  EXPECT_EQ(hashes, scripts + 1);  // and the style
}

TEST(ChatPage, GzipFormHoldsThePage) {
  const std::string_view gzip = chat_page_gzip();
  ASSERT_GT(gzip.size(), 18u);
  EXPECT_EQ(gzip.substr(0, 3), "\x1f\x8b\x08");
  // A gzip file ends in the checksum and the length of what it holds.
  EXPECT_EQ(little_endian(gzip.substr(gzip.size() - 8)), crc32(chat_page()));
  EXPECT_EQ(little_endian(gzip.substr(gzip.size() - 4)), chat_page().size());
  EXPECT_LT(gzip.size(), chat_page().size() / 2);
}

}  // namespace
}  // namespace gossamer
