// ConfigReader: typed, checked access to config.json. Every model's Config is read through it, so that a
// wrong type or a value out of range is one clear Error naming file, key, expected and found. Keys may have
// older names.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"

namespace gossamer {

// Alternative names of one key, the newest first. A name may be a path: "rope_parameters.rope_theta".
using Keys = std::initializer_list<std::string_view>;

// Bounds of an integer, both ends included. The default suits dimensions and counts: beyond any real model,
// yet small enough that products of two of them are harmless and that a damaged config asks for no absurd
// memory.
struct IntRange {
  int64_t min = 1;
  int64_t max = int64_t{1} << 20;
};

class ConfigReader {
 public:
  ConfigReader(json::object object, std::string where)
      : object_(std::move(object)), where_(std::move(where)) {}

  const std::string& where() const { return where_; }
  const json::object& object() const { return object_; }

  // The first of `keys` that is there and not null; nullptr when none is.
  const json::value* find(Keys keys) const;
  bool has(Keys keys) const { return find(keys) != nullptr; }

  // Without a default the key is required.
  int64_t get_int(Keys keys, IntRange range = {}) const;
  int64_t get_int(Keys keys, int64_t default_value, IntRange range) const;
  double get_number(Keys keys) const;
  double get_number(Keys keys, double default_value) const;
  bool get_bool(Keys keys, bool default_value) const;
  std::string get_string(Keys keys) const;
  std::string get_string(Keys keys, std::string_view default_value) const;
  // A list of strings; empty when absent.
  std::vector<std::string> get_strings(Keys keys) const;
  // One integer or a list of them (eos_token_id); empty when absent.
  std::vector<int32_t> get_ids(Keys keys) const;

  // Throws Error: "<where>: <key>: expected <expected>, found <found>".
  [[noreturn]] void fail(Keys keys, const std::string& expected) const;

 private:
  json::object object_;
  std::string where_;
};

}  // namespace gossamer
