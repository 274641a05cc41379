#include "model/rope.h"

#include <algorithm>
#include <cmath>
#include <string>

namespace gossamer {
namespace {

// 0.1 mscale ln(factor) + 1: how much YaRN scales attention, by way of cos and sin.
double yarn_attention_scale(double factor, double mscale) {
  return factor <= 1.0 ? 1.0 : 0.1 * mscale * std::log(factor) + 1.0;
}

// The (fractional) dimension pair that turns `num_rotations` times within `original_positions`.
double yarn_correction_dim(double num_rotations, int64_t rotary_dim, double theta,
                           double original_positions) {
  return static_cast<double>(rotary_dim) * std::log(original_positions / (num_rotations * 2.0 * M_PI)) /
         (2.0 * std::log(theta));
}

// theta^(2i / rotary_dim): the reciprocal of the unscaled frequency. [rotary_dim / 2]
std::vector<float> reciprocal_frequencies(int64_t rotary_dim, double theta) {
  std::vector<float> values;
  for (int64_t i = 0; i < rotary_dim / 2; ++i) {
    const float exponent = static_cast<float>(2 * i) / static_cast<float>(rotary_dim);
    values.push_back(static_cast<float>(std::pow(theta, static_cast<double>(exponent))));
  }
  return values;
}

Rope read_yarn(const ConfigReader& config, int64_t rotary_dim, int64_t max_positions, double theta) {
  const double factor = config.get_number({"rope_parameters.factor", "rope_scaling.factor"});
  const double original_positions =
      config.get_number({"rope_parameters.original_max_position_embeddings",
                         "rope_scaling.original_max_position_embeddings", "initial_context_length"},
                        static_cast<double>(max_positions));
  const double beta_fast = config.get_number({"rope_parameters.beta_fast", "rope_scaling.beta_fast"}, 32.0);
  const double beta_slow = config.get_number({"rope_parameters.beta_slow", "rope_scaling.beta_slow"}, 1.0);
  const bool truncate = config.get_bool({"rope_parameters.truncate", "rope_scaling.truncate"}, true);
  if (!(factor >= 1.0))
    config.fail({"rope_parameters.factor", "rope_scaling.factor"}, "a number of at least 1");
  if (!(original_positions >= 1.0)) {
    config.fail(
        {"rope_parameters.original_max_position_embeddings", "rope_scaling.original_max_position_embeddings"},
        "a number of at least 1");
  }

  double low = yarn_correction_dim(beta_fast, rotary_dim, theta, original_positions);
  double high = yarn_correction_dim(beta_slow, rotary_dim, theta, original_positions);
  if (truncate) {
    low = std::floor(low);
    high = std::ceil(high);
  }
  low = std::max(low, 0.0);
  high = std::min(high, static_cast<double>(rotary_dim - 1));
  if (low == high) high += 0.001;  // as the reference: no division by zero

  Rope rope;
  const std::vector<float> reciprocals = reciprocal_frequencies(rotary_dim, theta);
  for (std::size_t i = 0; i < reciprocals.size(); ++i) {
    const float interpolated = 1.0F / (static_cast<float>(factor) * reciprocals[i]);
    const float extrapolated = 1.0F / reciprocals[i];
    const float ramp = std::clamp(
        (static_cast<float>(i) - static_cast<float>(low)) / static_cast<float>(high - low), 0.0F, 1.0F);
    const float keep = 1.0F - ramp;
    rope.inv_freq.push_back(interpolated * (1.0F - keep) + extrapolated * keep);
  }

  const Keys mscale_keys = {"rope_parameters.mscale", "rope_scaling.mscale"};
  const Keys mscale_all_keys = {"rope_parameters.mscale_all_dim", "rope_scaling.mscale_all_dim"};
  double scale = yarn_attention_scale(factor, 1.0);
  if (config.has(mscale_keys) && config.has(mscale_all_keys)) {
    scale = yarn_attention_scale(factor, config.get_number(mscale_keys)) /
            yarn_attention_scale(factor, config.get_number(mscale_all_keys));
  }
  rope.scale = static_cast<float>(
      config.get_number({"rope_parameters.attention_factor", "rope_scaling.attention_factor"}, scale));
  return rope;
}

}  // namespace

Rope read_rope(const ConfigReader& config, int64_t rotary_dim, int64_t max_positions, double default_theta) {
  const Keys theta_keys = {"rope_parameters.rope_theta", "rope_theta", "rotary_emb_base"};
  const double theta = config.get_number(theta_keys, default_theta);
  if (!(theta > 1.0)) config.fail(theta_keys, "a number above 1");

  const Keys type_keys = {"rope_parameters.rope_type", "rope_scaling.rope_type", "rope_scaling.type"};
  const std::string type = config.get_string(type_keys, "default");
  if (type == "yarn") return read_yarn(config, rotary_dim, max_positions, theta);

  Rope rope;
  for (const float reciprocal : reciprocal_frequencies(rotary_dim, theta))
    rope.inv_freq.push_back(1.0F / reciprocal);
  if (type == "linear") {
    const Keys factor_keys = {"rope_parameters.factor", "rope_scaling.factor"};
    const double factor = config.get_number(factor_keys);
    if (!(factor >= 1.0)) config.fail(factor_keys, "a number of at least 1");
    for (float& frequency : rope.inv_freq) frequency /= static_cast<float>(factor);
  } else if (type != "default") {
    config.fail(type_keys, "one of default, linear, yarn");
  }
  return rope;
}

}  // namespace gossamer
