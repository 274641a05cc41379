#include "checkpoint/config_reader.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.h"
#include "tests/checkpoint/test_folder.h"

namespace gossamer {
namespace {

using test::error_of;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

ConfigReader reader(std::string_view text) {
  return {parse_json(text, "test").get_object(), "folder/config.json"};
}

TEST(ConfigReader, TakesTheFirstNameThatIsThereAndNotNull) {
  const ConfigReader config = reader(R"({"n_layer": 12, "num_hidden_layers": null, "n_ctx": 1024})");
  EXPECT_EQ(config.get_int({"num_hidden_layers", "n_layer"}), 12);
  EXPECT_EQ(config.get_int({"n_inner"}, 77, {1, 100}), 77);
  EXPECT_FALSE(config.has({"num_hidden_layers"}));
}

TEST(ConfigReader, FollowsPathsIntoObjects) {
  const ConfigReader config = reader(
      R"({"rope_parameters": {"rope_theta": 150000, "rope_type": "yarn"}, "rope_scaling": null, "flat": 3})");
  EXPECT_EQ(config.get_number({"rope_parameters.rope_theta", "rope_theta"}), 150000.0);
  EXPECT_EQ(config.get_string({"rope_scaling.rope_type", "rope_parameters.rope_type"}), "yarn");
  EXPECT_FALSE(config.has({"rope_scaling.factor"}));
  EXPECT_FALSE(config.has({"flat.factor"}));
  EXPECT_FALSE(config.has({"."}));
}

TEST(ConfigReader, ReadsNumbersInTheFormsThatWritersUse) {
  const ConfigReader config = reader(R"({"a": 4096.0, "b": 10000, "c": 1e-05, "d": 0.25, "e": -3})");
  EXPECT_EQ(config.get_int({"a"}), 4096);
  EXPECT_EQ(config.get_number({"b"}), 10000.0);
  EXPECT_EQ(config.get_number({"c"}), 1e-5);
  EXPECT_EQ(config.get_number({"missing"}, 0.5), 0.5);
  EXPECT_EQ(config.get_int({"e"}, {-5, 5}), -3);
}

TEST(ConfigReader, ReadsBoolsStringsAndLists) {
  const ConfigReader config =
      reader(R"({"tie": true, "act": "gelu", "layers": ["full", "sliding"], "eos": [1, 2], "pad": 7})");
  EXPECT_TRUE(config.get_bool({"tie"}, false));
  EXPECT_TRUE(config.get_bool({"missing"}, true));
  EXPECT_EQ(config.get_string({"act"}), "gelu");
  EXPECT_EQ(config.get_string({"missing"}, "silu"), "silu");
  EXPECT_THAT(config.get_strings({"layers"}), ElementsAre("full", "sliding"));
  EXPECT_THAT(config.get_strings({"missing"}), IsEmpty());
  EXPECT_THAT(config.get_ids({"eos"}), ElementsAre(1, 2));
  EXPECT_THAT(config.get_ids({"pad"}), ElementsAre(7));
  EXPECT_THAT(config.get_ids({"missing"}), IsEmpty());
}

TEST(ConfigReader, NamesFileKeyExpectedAndFound) {
  const ConfigReader config = reader(R"({"n_layer": "twelve", "n_head": 0, "eps": "small", "big": 1e999})");
  EXPECT_EQ(error_of([&] {
              config.get_int({"num_hidden_layers", "n_layer"}, {1, 100});
            }),
            "folder/config.json: n_layer: expected an integer from 1 to 100, found \"twelve\"");
  EXPECT_EQ(error_of([&] {
              config.get_int({"n_head"}, {1, 9});
            }),
            "folder/config.json: n_head: expected an integer from 1 to 9, found 0");
  EXPECT_EQ(
      error_of([&] {
        config.get_int({"vocab_size", "n_vocab"});
      }),
      "folder/config.json: vocab_size or n_vocab: expected an integer from 1 to 1048576, found nothing");
  EXPECT_THAT(error_of([&] { config.get_number({"eps"}); }), HasSubstr("eps: expected a finite number"));
}

TEST(ConfigReader, RefusesEveryWrongType) {
  const ConfigReader config = reader(
      R"({"half": 0.5, "huge": 18446744073709551615, "ids": [1, -2], "wide": [4294967296], "mixed": ["a", 1],
          "bool": 1, "string": false, "object": {"a": 1}})");
  EXPECT_THROW(config.get_int({"half"}), Error);
  EXPECT_THROW(config.get_int({"huge"}), Error);
  EXPECT_THROW(config.get_ids({"ids"}), Error);
  EXPECT_THROW(config.get_ids({"wide"}), Error);
  EXPECT_THROW(config.get_ids({"object"}), Error);
  EXPECT_THROW(config.get_strings({"mixed"}), Error);
  EXPECT_THROW(config.get_strings({"half"}), Error);
  EXPECT_THROW(config.get_bool({"bool"}, false), Error);
  EXPECT_THROW(config.get_string({"string"}), Error);
  EXPECT_THROW(config.get_number({"object"}), Error);
  EXPECT_THROW(config.get_string({"missing"}), Error);
}

}  // namespace
}  // namespace gossamer
