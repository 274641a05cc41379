// What `gossamer bench model` found, as text, JSON, CSV (here) and as a page with plots (model_page.cc).
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "apps/bench/model_runs.h"
#include "base/json.h"

namespace gossamer::apps {

struct ModelReport {
  std::string model;  // as the user named it
  std::string backend;
  std::string level;  // instruction set
  DType activation = DType::kBf16;
  ModelInfo info;
  double weight_bytes = 0.0;
  double operations_per_token = 0.0;  // without attention
  double load_seconds = 0.0;
  std::size_t loaded_resident_bytes = 0;  // the highest while loading
  std::size_t peak_resident_bytes = 0;    // the highest of all, the buffer for bandwidth included
  std::string dot_product;                // the instruction that prefill is held against
  Ceilings ceilings;
  json::object machine;
  std::vector<ModelResult> results;
};

void print_table_head();
void print_table_row(const ModelResult& result);

// {"machine", "model", "results": [...]}: docs in README.md.
json::object to_json(const ModelReport& report);

// One line for each decode; its columns' names are those of performance reports that others compare with.
std::string to_csv(const ModelReport& report);

// A page that needs nothing else.
std::string to_html(const ModelReport& report);

// "prefill 512", "decode 16 x 64 at 8192".
std::string result_name(const ModelResult& result);

}  // namespace gossamer::apps
