// How alike two strings are, from 0 to 1, as two Python libraries say it. Called by LongBench's scores of
// code.
#pragma once

#include <string_view>

namespace gossamer {

// Levenshtein.ratio: 1 - (insertions and deletions that turn one into the other) / (both lengths). Two empty
// strings: 1.
double indel_ratio(std::u32string_view a, std::u32string_view b);

// difflib.SequenceMatcher(None, a, b).ratio(), with its rule for characters that are very frequent in a `b`
// of 200 and more. It depends on the order of the arguments.
double difflib_ratio(std::u32string_view a, std::u32string_view b);

}  // namespace gossamer
