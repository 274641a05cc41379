// Files that are damaged, unusual or not supported.
#include "text/tokenizer_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <fstream>

#include "base/error.h"
#include "tests/text/text_fixtures.h"
#include "text/tokenizer.h"

namespace gossamer {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

// A complete tokenizer.json of three tokens in which a test replaces `from` by `to`.
std::string small_file(const std::string& from = "", const std::string& to = "") {
  std::string text =
      R"({"version":"1.0","added_tokens":[{"id":3,"content":"<|e|>","special":true}],"normalizer":null,
"pre_tokenizer":{"type":"ByteLevel","add_prefix_space":false},"post_processor":null,"decoder":{"type":"ByteLevel"},
"model":{"type":"BPE","dropout":null,"vocab":{"a":0,"b":1,"ab":2},"merges":["a b"]}})";
  if (!from.empty()) {
    const std::size_t at = text.find(from);
    EXPECT_NE(at, std::string::npos) << from;
    text.replace(at, from.size(), to);
  }
  return text;
}

std::string error_of(const std::string& text) {
  try {
    const Tokenizer tokenizer(parse_tokenizer_json(text, "some/file"));
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

class TemporaryFolder {
 public:
  TemporaryFolder()
      : path_(fs::temp_directory_path() / ("gossamer_text_test_" + std::to_string(::getpid()))) {
    fs::create_directories(path_);
  }
  ~TemporaryFolder() { fs::remove_all(path_); }
  const fs::path& path() const { return path_; }
  void write(const std::string& name, const std::string& text) const {
    fs::create_directories((path_ / name).parent_path());
    std::ofstream(path_ / name, std::ios::binary) << text;
  }

 private:
  fs::path path_;
};

TEST(TokenizerFile, LoadsTheSmallFile) {
  const Tokenizer tokenizer(parse_tokenizer_json(small_file(), "some/file"));
  EXPECT_EQ(tokenizer.encode("abba<|e|>", {.parse_special = true}), (std::vector<int32_t>{2, 1, 0, 3}));
}

TEST(TokenizerFile, TakesTheModelsKeysInAnyOrder) {
  const Tokenizer tokenizer(
      parse_tokenizer_json(small_file(R"("vocab":{"a":0,"b":1,"ab":2},"merges":["a b"])",
                                      R"("merges":[["a","b"]],"vocab":{"a":0,"b":1,"ab":2})"),
                           "some/file"));
  EXPECT_EQ(tokenizer.encode("abba"), (std::vector<int32_t>{2, 1, 0}));
}

TEST(TokenizerFile, NamesWhatItDoesNotSupport) {
  const std::vector<std::array<std::string, 3>> cases = {
      {R"("normalizer":null)", R"("normalizer":{"type":"Lowercase"})", "normalizer Lowercase"},
      {R"("post_processor":null)",
       R"("post_processor":{"type":"TemplateProcessing","single":[{"SpecialToken":{"id":"<s>","type_id":0}}]})",
       "TemplateProcessing"},
      {R"("type":"BPE")", R"("type":"WordPiece")", "model type WordPiece"},
      {R"("dropout":null)", R"("dropout":0.1)", "model.dropout"},
      {R"("dropout":null)", R"("byte_fallback":true)", "byte_fallback"},
      {R"("dropout":null)", R"("end_of_word_suffix":"</w>")", "end_of_word_suffix"},
      {R"("decoder":{"type":"ByteLevel"})", R"("decoder":{"type":"Metaspace"})", "decoder Metaspace"},
      {R"("decoder":{"type":"ByteLevel"})", R"("decoder":null)", "decoder null"},
      {R"({"type":"ByteLevel","add_prefix_space":false})", R"({"type":"Whitespace"})",
       "pre_tokenizer Whitespace"},
      {R"({"type":"ByteLevel","add_prefix_space":false})", "null", "pre_tokenizer null"},
      {R"({"type":"ByteLevel","add_prefix_space":false})",
       R"({"type":"Split","pattern":{"Regex":"("},"behavior":"Isolated","invert":false})", "split pattern"},
  };
  for (const auto& [from, to, message] : cases) {
    EXPECT_THAT(error_of(small_file(from, to)), testing::AllOf(HasSubstr("some/file"), HasSubstr(message)));
  }
}

TEST(TokenizerFile, NamesWhatIsWrong) {
  const std::vector<std::array<std::string, 3>> cases = {
      {R"("b":1)", R"("b":0)", "id 0 is given twice"},
      {R"("b":1)", R"("a":1)", "token \"a\" is given twice"},
      {R"("b":1)", R"("b":-1)", "whole number"},
      {R"("b":1)", R"("b":1.5)", "fraction"},
      {R"("b":1)", R"("b":"1")", "whole number"},
      {R"("b":1)", R"("b":1048576)", "above the limit"},
      {R"("b":1)", R"("b":99999999999999999999999)", "above the limit"},
      {R"("a b")", R"("a c")", "names \"c\", which is no token"},
      {R"("a b")", R"("b a")", "names \"ba\", which is no token"},
      {R"("a b")", R"("a b c")", "expected two tokens"},
      {R"("a b")", R"(["a"])", "merge of one token"},
      {R"("a b")", R"(["a","b","c"])", "more than two"},
      {R"("merges":["a b"])", R"("x":0)", "no merges"},
      {R"("id":3)", R"("id":2)", "which another token has"},
      {R"("id":3)", R"("id":-3)", "added_tokens"},
      {R"("id":3)", R"("id":4294967296)", "added_tokens"},
      {R"("content":"<|e|>")", R"("content":"ab")", "the vocabulary gives it 2"},
      {R"("special":true)", R"("special":"yes")", "special"},
      {R"("dropout":null)", R"("unk_token":"?")", "unk_token"},
      {R"("dropout":null)", R"("ignore_merges":1)", "ignore_merges"},
  };
  for (const auto& [from, to, message] : cases) {
    EXPECT_THAT(error_of(small_file(from, to)), testing::AllOf(HasSubstr("some/file"), HasSubstr(message)));
  }
  EXPECT_THAT(error_of("{}"), HasSubstr("no \"model\""));
  EXPECT_THAT(error_of(""), HasSubstr("the file ends"));
  EXPECT_THAT(error_of(small_file() + "x"), HasSubstr("unexpected text"));
}

TEST(TokenizerFile, RefusesEveryTruncation) {
  const std::string text = read_text(fixture_path("tiny_odd.json"));
  ASSERT_GT(text.size(), 1'000U);
  const std::size_t last = text.find_last_of('}');
  for (std::size_t size = 0; size <= last; ++size) {
    EXPECT_THROW(Tokenizer(parse_tokenizer_json(text.substr(0, size), "cut")), Error) << size;
  }
}

// Whatever a flipped bit does to the file, loading gives an Error or a tokenizer that works.
TEST(TokenizerFile, SurvivesEveryFlippedBit) {
  const std::string text = read_text(fixture_path("tiny_odd.json"));
  int num_loaded = 0;
  int num_refused = 0;
  for (std::size_t i = 0; i < text.size() * 8; ++i) {
    std::string damaged = text;
    damaged[i / 8] = static_cast<char>(damaged[i / 8] ^ 1 << i % 8);
    try {
      const Tokenizer tokenizer(parse_tokenizer_json(damaged, "flipped"));
      for (const int32_t id : tokenizer.encode("<s> abcde word é", {.parse_special = true})) {
        EXPECT_TRUE(tokenizer.has_token(id));
      }
      ++num_loaded;
    } catch (const Error&) {
      ++num_refused;
    }
  }
  EXPECT_GT(num_loaded, 100);
  EXPECT_GT(num_refused, 100);
}

TEST(TokenizerFile, ReadsTheOlderPairOfFilesOfGpt2) {
  const TemporaryFolder folder;
  folder.write("vocab.json", R"({"a":0,"b":1,"ab":2,"<|endoftext|>":3,"\u0120":4,"\u0120ab":5})");
  folder.write("merges.txt", "#version: 0.2\na b\r\n\u0120 ab\n");
  const auto tokenizer = Tokenizer::load(folder.path());
  EXPECT_EQ(tokenizer->encode("ab ab<|endoftext|>b", {.parse_special = true}),
            (std::vector<int32_t>{2, 5, 3, 1}));
  EXPECT_TRUE(tokenizer->is_special(3));
  folder.write("merges.txt", "#version: 0.2\na b c\n");
  EXPECT_THROW(Tokenizer::load(folder.path()), Error);
}

TEST(TokenizerFile, IsFoundBesideAndAboveTheWeights) {
  const TemporaryFolder folder;
  folder.write("tokenizer.json", small_file());
  folder.write("original/config.json", "{}");
  folder.write("elsewhere/config.json", "{}");
  const std::vector<int32_t> ids = {2};
  EXPECT_EQ(Tokenizer::load(folder.path())->encode("ab"), ids);
  EXPECT_EQ(Tokenizer::load(folder.path() / "tokenizer.json")->encode("ab"), ids);
  EXPECT_EQ(Tokenizer::load(folder.path() / "original")->encode("ab"), ids);
  EXPECT_EQ(Tokenizer::load(folder.path() / "original/")->encode("ab"), ids);
  EXPECT_THROW(Tokenizer::load(folder.path() / "elsewhere"), Error);
  EXPECT_THROW(Tokenizer::load(folder.path() / "nowhere"), Error);
}

}  // namespace
}  // namespace gossamer
