#include "apps/verify/side.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <filesystem>
#include <map>
#include <set>
#include <string_view>
#include <vector>

#include "base/error.h"

namespace gossamer::apps {
namespace {

std::vector<std::string> split(std::string_view list) {
  std::vector<std::string> parts;
  while (!list.empty()) {
    const std::size_t end = std::min(list.find(','), list.size());
    std::string_view part = list.substr(0, end);
    while (part.starts_with(' ')) part.remove_prefix(1);
    while (part.ends_with(' ')) part.remove_suffix(1);
    if (!part.empty()) parts.emplace_back(part);
    list.remove_prefix(std::min(end + 1, list.size()));
  }
  return parts;
}

// "--weights=w8" and so on, as on a command line.
std::vector<std::string> to_arguments(const std::string& where, const std::string& list) {
  const std::map<std::string, std::string> words = {
      {"int8", "--weights=w8"}, {"int4", "--weights=w4"},         {"w8", "--weights=w8"},
      {"w4", "--weights=w4"},   {"w8a8", "--weights=w8a8"},       {"bf16", "--dtype=bf16"},
      {"f16", "--dtype=f16"},   {"bfloat16", "--dtype=bfloat16"}, {"float16", "--dtype=float16"},
      {"f32", "--dtype=f32"},   {"float32", "--dtype=float32"}};
  const std::set<std::string> parts = {"embed", "dense", "router", "experts", "head"};
  std::vector<std::string> arguments;
  std::string weights;
  for (const std::string& option : split(list)) {
    const std::size_t equals = option.find('=');
    if (equals == std::string::npos) {
      const auto word = words.find(option);
      if (word == words.end()) {
        throw Error(
            "{}: expected OPTION=VALUE or one of int8, int4, w8, w4, w8a8, bf16, f16, f32 between the "
            "parentheses, found \"{}\"",
            where, option);
      }
      arguments.push_back(word->second);
    } else if (parts.contains(option.substr(0, equals))) {
      weights += (weights.empty() ? "" : ",") + option;
    } else {
      arguments.push_back("--" + option);
    }
  }
  if (!weights.empty()) arguments.push_back("--weights=" + weights);
  return arguments;
}

}  // namespace

SubjectOptions parse_side(const std::string& option, const std::string& side, const SubjectOptions& common) {
  const std::string where = option + " " + side;
  SubjectOptions options = common;
  options.model.model = side;
  const std::size_t open = side.find('(');
  std::error_code error;
  if (open == std::string::npos || !side.ends_with(')') || std::filesystem::exists(side, error))
    return options;
  options.model.model = side.substr(0, open);
  std::vector<std::string> arguments = to_arguments(where, side.substr(open + 1, side.size() - open - 2));
  CLI::App parser;
  parser.set_help_flag();
  add_subject_options(parser, options, "");
  std::reverse(arguments.begin(), arguments.end());  // as CLI11 wants them
  try {
    parser.parse(arguments);
  } catch (const CLI::ParseError& mistake) {
    throw Error("{}: {}", where, mistake.what());
  }
  return options;
}

}  // namespace gossamer::apps
