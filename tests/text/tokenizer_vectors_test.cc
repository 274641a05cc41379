// Ids and texts that the HF tokenizers give, for real vocabularies (in ../shared) and small ones (in data/).
#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "tests/text/text_fixtures.h"
#include "text/stream_detokenizer.h"
#include "text/tokenizer.h"

namespace gossamer {
namespace {

std::string streamed(const Tokenizer& tokenizer, const std::vector<int32_t>& ids) {
  StreamDetokenizer stream(tokenizer);
  std::string text;
  for (const int32_t id : ids) {
    const std::string part = stream.push(id);
    EXPECT_TRUE(utf8_is_valid(part));
    text += part;
  }
  return text + stream.flush();
}

void expect_vectors(const std::string& folder, const std::string& key) {
  const std::unique_ptr<Tokenizer> tokenizer = Tokenizer::load(shared_path("tokenizers/" + folder));
  std::size_t num_ids = 0;
  for (const json::value& line : read_json_lines(shared_path("vectors/tokenizer_vectors.jsonl"))) {
    const json::object& vector = line.as_object();
    const std::string text = string_of(vector.at("text"));
    const std::vector<int32_t> ids = ids_of(vector.at(key));
    num_ids += ids.size();
    EXPECT_EQ(tokenizer->encode(text, {.parse_special = true}), ids) << text;
    if (const json::value* ordinary = key == "o200k" ? vector.if_contains("o200k_ordinary") : nullptr) {
      EXPECT_EQ(tokenizer->encode(text, {.parse_special = false}), ids_of(*ordinary)) << text;
    }
    const json::value* lossy = key == "neox" ? vector.if_contains("neox_decoded") : nullptr;
    const std::string decoded = lossy == nullptr ? text : string_of(*lossy);
    EXPECT_EQ(tokenizer->decode(ids), decoded);
    EXPECT_EQ(streamed(*tokenizer, ids), decoded);
  }
  EXPECT_GT(num_ids, 10'000U) << "the vectors are missing or empty";
}

TEST(TokenizerVectors, AreMetWithTheVocabularyOfGpt2) {
  GOSSAMER_SKIP_WITHOUT_SHARED_DATA();
  expect_vectors("gpt2", "gpt2");
}

TEST(TokenizerVectors, AreMetWithTheVocabularyOfGptNeoX) {
  GOSSAMER_SKIP_WITHOUT_SHARED_DATA();
  expect_vectors("gpt_neox", "neox");
}

TEST(TokenizerVectors, AreMetWithTheVocabularyOfGptOss) {
  GOSSAMER_SKIP_WITHOUT_SHARED_DATA();
  expect_vectors("gpt_oss", "o200k");
}

TEST(TokenizerVectors, AreMetWithSmallTokenizersOfEveryShape) {
  std::map<std::string, std::unique_ptr<Tokenizer>> tokenizers;
  std::map<std::string, int> num_ordinary;
  const std::vector<json::value> lines = read_json_lines(fixture_path("tokenizer_vectors.jsonl"));
  ASSERT_GT(lines.size(), 1'000U);
  for (const json::value& line : lines) {
    const json::object& vector = line.as_object();
    const std::string name = string_of(vector.at("tokenizer"));
    std::unique_ptr<Tokenizer>& tokenizer = tokenizers[name];
    if (tokenizer == nullptr) tokenizer = Tokenizer::load(fixture_path(name));
    const std::string text = string_of(vector.at("text"));
    const std::vector<int32_t> ids = ids_of(vector.at("ids"));
    EXPECT_EQ(tokenizer->encode(text, {.parse_special = true}), ids) << name << ": " << text;
    const json::value* ordinary = vector.if_contains("ordinary");
    num_ordinary[name] += ordinary != nullptr;
    EXPECT_EQ(tokenizer->encode(text, {.parse_special = false}),
              ordinary == nullptr ? ids : ids_of(*ordinary))
        << name << ": " << text;
    const json::value* lossy = vector.if_contains("decoded");
    const std::string decoded = lossy == nullptr ? text : string_of(*lossy);
    EXPECT_EQ(tokenizer->decode(ids), decoded) << name;
    EXPECT_EQ(streamed(*tokenizer, ids), decoded) << name;
  }
  EXPECT_EQ(tokenizers.size(), 6U);
  EXPECT_GT(num_ordinary["tiny_oss.json"], 10) << "no vector in which special tokens matter";
}

}  // namespace
}  // namespace gossamer
