// A template's parts as the nodes of a TemplateProgram. Called by TemplateProgram::parse only.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "base/error.h"
#include "text/template_program.h"
#include "text/template_tokens.h"

namespace gossamer {

// The error says what is not read, and in which line.
Result<std::vector<TemplateProgram::Node>> parse_template(std::span<const TemplatePart> parts);

}  // namespace gossamer
