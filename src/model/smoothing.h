// Smoothing: what makes int8 activations hold outliers (SmoothQuant, Xiao et al. 2022, arXiv:2211.10438). A
// few input channels of a product are much larger than the others and take the one scale of a token for
// themselves. For every channel j a number s_j moves the difference into the weight, where each row has a
// scale of its own: x_j / s_j times W_ij s_j is the same product.
//
// The division is folded into the gain and bias of the norm that makes x, and so costs nothing at run time;
// products that no norm feeds are left alone, as in the paper. What else the norm feeds (the router beside
// int8 experts) takes s_j into its weight too. Scales that are powers of two would change no bit of it; they
// were worse on two of three small models and better on the third, all close to the noise of routing, so the
// paper's scales stay.
//
// `gossamer calibrate` writes the scales; `--smoothing` reads them.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "checkpoint/params.h"
#include "model/precision.h"

namespace gossamer {

// The scales of each norm, by VectorParam::norm. [hidden_dim]
using Smoothing = std::map<std::string, std::vector<float>>;

// inputs[j]^alpha / weights[j]^(1 - alpha), both largest magnitudes of channel j; 1 where one of them is
// zero.
std::vector<float> smoothing_scales(std::span<const float> inputs, std::span<const float> weights,
                                    double alpha);

// The norms that products read alone, with the size of their scales.
std::map<std::string, int64_t> smoothable_norms(const ParamList& params);

// A file as `gossamer calibrate` writes it: one f32 tensor for each norm, under its name. Throws Error naming
// file, tensor, expected and found when it is not this model's.
Smoothing read_smoothing(const std::filesystem::path& path, const ParamList& params);

// Points `params` at the scales of every norm that feeds a product of int8 activations; a norm whose experts
// stay MXFP4 is left alone, since their codes take no factor of a column. `smoothing` outlives `params`.
// Throws Error when there is no such norm.
void apply_smoothing(const Smoothing& smoothing, const Precision& precision,
                     const std::vector<ResolvedMatrix>& matrices, ParamList& params);

}  // namespace gossamer
