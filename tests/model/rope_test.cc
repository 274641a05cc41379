#include "model/rope.h"

#include <gtest/gtest.h>

#include <cmath>

#include "base/error.h"
#include "base/json.h"

namespace gossamer {
namespace {

ConfigReader config(const char* text) { return {parse_json(text, "test").as_object(), "config.json"}; }

// GPT-OSS's own values, worked out by hand from the formulas in the reference: theta 150000, 64 dimensions,
// factor 32, original length 4096, beta 32 and 1, no rounding: the ramp runs from pair 8.0928 to
// pair 17.3980.
TEST(Rope, YarnOfGptOssIsThePublishedOne) {
  const Rope rope =
      read_rope(config(R"({"rope_theta": 150000, "rope_scaling": {"rope_type": "yarn", "factor": 32,
    "beta_fast": 32, "beta_slow": 1, "original_max_position_embeddings": 4096, "truncate": false}})"),
                64, 131072, 150000.0);
  ASSERT_EQ(rope.inv_freq.size(), 32U);
  EXPECT_FLOAT_EQ(rope.scale, 1.3465736F);
  EXPECT_FLOAT_EQ(rope.inv_freq[0], 1.0F);  // high frequencies stay
  EXPECT_NEAR(rope.inv_freq[8], std::pow(150000.0, -16.0 / 64), 1e-8);
  EXPECT_NEAR(rope.inv_freq[31], std::pow(150000.0, -62.0 / 64) / 32,
              1e-12);  // low ones are divided by the factor
  const double ramp = (12 - 8.0928) / (17.3980 - 8.0928);
  const double frequency = std::pow(150000.0, -24.0 / 64);
  EXPECT_NEAR(rope.inv_freq[12], frequency * (1 - ramp) + frequency / 32 * ramp, 1e-6);
}

TEST(Rope, OldAndNewKeysAgree) {
  const Rope old_keys = read_rope(config(R"({"rotary_emb_base": 5000})"), 16, 2048, 10000.0);
  const Rope new_keys = read_rope(
      config(R"({"rope_parameters": {"rope_theta": 5000, "rope_type": "default"}})"), 16, 2048, 10000.0);
  EXPECT_EQ(old_keys.inv_freq, new_keys.inv_freq);
  EXPECT_NE(old_keys.inv_freq, read_rope(config("{}"), 16, 2048, 10000.0).inv_freq);
}

TEST(Rope, RefusesTypesThatAreNotBuilt) {
  EXPECT_THROW(read_rope(config(R"({"rope_scaling": {"type": "longrope", "factor": 4}})"), 16, 2048, 10000.0),
               Error);
}

}  // namespace
}  // namespace gossamer
