// The numbers of JSON in decimal notation, as automata: between bounds, and multiples. Called by
// json_schema.cc.
//
// A number has a bounded length, or a model could write digits for ever: integers have at most 18 digits (so
// they fit 64 bits), other numbers at most 15 in all, so that the decimal text and the double that a
// validator reads compare alike with any bound. An exponent (two digits) is possible only where there are no
// bounds.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "grammar/automaton.h"

namespace gossamer {

struct IntegerRange {
  int64_t min = -999'999'999'999'999'999;
  int64_t max = 999'999'999'999'999'999;
  int64_t multiple_of = 1;
};

// The integers of the range, without leading zeros and without -0.
Dfa integers(const IntegerRange& range, WorkBudget& budget);

// A finite double as a decimal fraction, exactly as its shortest form says: -1.5e-3 is -0.0015.
struct Decimal {
  bool negative = false;
  std::string whole = "0";  // without leading zeros, but "0"
  std::string fraction;     // without trailing zeros

  static Decimal of(double value);
  bool is_zero() const { return whole == "0" && fraction.empty(); }
};

struct Bound {
  Decimal value;
  bool exclusive = false;
};

// The numbers between bounds, which have at most 15 significant digits.
Dfa numbers_between(const std::optional<Bound>& low, const std::optional<Bound>& high, WorkBudget& budget);

// Any number.
Dfa any_number(WorkBudget& budget);

}  // namespace gossamer
