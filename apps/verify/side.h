// The sides of a comparison: `--a demo --b "demo(int8)"`, each a model or URL with options of its own behind
// it. Used by `gossamer verify precision`.
#pragma once

#include <string>

#include "apps/subject/open_subject.h"

namespace gossamer::apps {

// NAME or NAME(OPTION,...): a model folder or URL, and options of add_subject_options without their dashes,
// as NAME=VALUE; w8, w4, w8a8, int8 and int4 alone are values of weights, bf16, f16 and f32 of dtype,
// PART=FORMAT a part of weights. `common`: what holds where they say nothing else. Throws Error naming
// `option`.
SubjectOptions parse_side(const std::string& option, const std::string& side, const SubjectOptions& common);

}  // namespace gossamer::apps
