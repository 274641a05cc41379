// StopStrings: ends a text before the first of some strings, wherever tokens cut it. Called by whoever turns
// sampled tokens into text; the engine knows ids only.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace gossamer {

class StopStrings {
 public:
  // Empty strings are ignored.
  explicit StopStrings(std::vector<std::string> stops);

  // Adds text; returns what is certain not to be part of a stop string. Nothing once found() is true.
  std::string push(std::string_view text);

  // The text is over: returns what was held back as the possible beginning of a stop string.
  std::string flush();

  // A stop string was met: everything before it has been returned, it and what follows never will be.
  bool found() const { return found_; }

 private:
  std::vector<std::string> stops_;
  std::string held_;
  bool found_ = false;
};

}  // namespace gossamer
