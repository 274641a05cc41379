// A Jinja template cut into its parts, and those into words, as transformers sets Jinja up for chat templates
// (trim_blocks, lstrip_blocks). Called by template_program.cc.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"

namespace gossamer {

struct TemplateWord {
  enum class Kind : uint8_t { kName, kNumber, kString, kSymbol };
  Kind kind = Kind::kName;
  std::string text;  // of a string: what it stands for
};

struct TemplatePart {
  enum class Kind : uint8_t { kText, kWrite, kStatement };  // text, {{ ... }}, {% ... %}
  Kind kind = Kind::kText;
  std::string text = {};                 // kText
  std::vector<TemplateWord> words = {};  // of the others
  int line = 1;
};

// Comments are gone, and so is the white space that Jinja takes away around statements. The error names a
// line.
Result<std::vector<TemplatePart>> cut_template(std::string_view text);

}  // namespace gossamer
