// Precision: what weights become when they are prepared, and what they are multiplied with.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "checkpoint/params.h"
#include "tensor/dtype.h"
#include "tensor/format.h"

namespace gossamer {

// What the user asks for.
struct PrecisionOptions {
  // auto, bf16, f16, f32: what dense weights become, and with them the activations.
  std::string dtype = "auto";
  // A preset or a list PART=FORMAT,...; parse_weights says which.
  std::string weights = "auto";
  // auto (as dtype says) or int8: what enters products with weights whose codes are integers.
  std::string activations = "auto";
  // auto (the activations' type), bf16, f16, f32, int8: what keys and values are kept as.
  std::string kv_cache_dtype = "auto";
  // A file of `gossamer calibrate` (model/smoothing.h); empty: activations are rounded as they are.
  std::string smoothing;
};

// The format of each part of a model; nothing: as stored.
struct WeightFormats {
  std::optional<Format> embedding;  // tables that are only looked up
  std::optional<Format> dense;      // attention and dense feed-forward
  std::optional<Format> router;
  std::optional<Format> experts;
  std::optional<Format> head;  // the output projection, an embedding that is tied to it included
  bool int8_activations = false;
};

// Presets:
//   auto  as stored
//   w8    dense and head int8; experts too, unless they are MXFP4 already
//   w4    dense int4, head int8; experts int4, unless they are MXFP4 already
//   w8a8  w8 with int8 activations
// or a list such as dense=int8,head=int8,experts=mxfp4 of embed, dense, router, experts, head with any
// format's name; mxfp4 means: as stored, and is an error where the checkpoint has something else. Throws
// Error.
WeightFormats parse_weights(const std::string& text, const std::vector<ResolvedMatrix>& matrices);

struct Precision {
  WeightFormats weights;
  DType activation = DType::kBf16;  // what enters a product: kBf16 or kF32
  DType kv_cache = DType::kBf16;    // KvPoolConfig::dtype

  Format format_of(const ResolvedMatrix& matrix) const;
  // What Backend::prepare is told: kI8 where products round their activations to int8.
  DType activation_of(const ResolvedMatrix& matrix) const;
};

// With dtype auto activations are f32 when some weight is multiplied as f32 or f16 (which bf16 could not
// hold), else bf16; with bf16 they are bf16; with f16 and f32, f32. Throws Error that names the option, what
// was expected and what was found.
Precision choose_precision(const std::vector<ResolvedMatrix>& matrices, const PrecisionOptions& options);

}  // namespace gossamer
