#include "grammar/numbers.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <string_view>

#include "grammar/regex.h"

namespace gossamer {
namespace {

constexpr int kMaxIntegerDigits = 18;
constexpr int kMaxNumberDigits = 15;

// How a number read so far compares with the digits of a bound of the same length: -1, 0, 1.
int compare_next(int so_far, std::string_view bound, int index, char digit) {
  if (so_far != 0 || index >= static_cast<int>(bound.size())) return so_far;
  const char other = bound[static_cast<std::size_t>(index)];
  return digit < other ? -1 : digit > other ? 1 : 0;
}

// The comparison of whole numbers, once all `length` digits are read: the longer one is larger.
int compare_whole(int same_length, std::string_view bound, int length) {
  const int bound_length = static_cast<int>(bound.size());
  return length != bound_length ? (length < bound_length ? -1 : 1) : same_length;
}

// ---- integers ----

struct Magnitudes {  // of the positive or the negative numbers of a range
  bool any = false;
  std::string low;
  std::string high;  // empty if the number of digits is the only bound
};

std::string upper_bound(int64_t magnitude) {
  return magnitude == IntegerRange{}.max ? std::string() : std::to_string(magnitude);
}

struct IntegerState {
  enum Phase : int { kStart, kMinus, kZero, kNumber };
  int phase = kStart;
  int negative = 0;
  int length = 0;
  int against_low = 0;
  int against_high = 0;
  int64_t remainder = 0;

  auto operator<=>(const IntegerState&) const = default;
};

}  // namespace

Dfa integers(const IntegerRange& range, WorkBudget& budget) {
  std::array<Magnitudes, 2> sides;  // positive and zero, negative
  if (range.max >= 0)
    sides[0] = {true, std::to_string(std::max<int64_t>(range.min, 0)), upper_bound(range.max)};
  if (range.min < 0)
    sides[1] = {true, std::to_string(std::max<int64_t>(-range.max, 1)), upper_bound(-range.min)};

  const auto next = [&](const IntegerState& state, char c) -> std::optional<IntegerState> {
    IntegerState after = state;
    if (c == '-') {
      if (state.phase != IntegerState::kStart || !sides[1].any) return std::nullopt;
      after.phase = IntegerState::kMinus;
      after.negative = 1;
      return after;
    }
    const Magnitudes& side = sides[static_cast<std::size_t>(state.negative)];
    if (!side.any || state.phase == IntegerState::kZero || state.length == kMaxIntegerDigits)
      return std::nullopt;
    const bool first = state.phase != IntegerState::kNumber;
    after.phase = first && c == '0' ? IntegerState::kZero : IntegerState::kNumber;
    if (first && c == '0' && state.negative != 0) return std::nullopt;
    after.against_low = compare_next(state.against_low, side.low, state.length, c);
    after.against_high = compare_next(state.against_high, side.high, state.length, c);
    after.length = state.length + 1;
    after.remainder = (state.remainder * 10 + (c - '0')) % range.multiple_of;
    return after;
  };
  const auto accepts = [&](const IntegerState& state) {
    if (state.length == 0 || state.remainder != 0) return false;
    const Magnitudes& side = sides[static_cast<std::size_t>(state.negative)];
    return compare_whole(state.against_low, side.low, state.length) >= 0 &&
           (side.high.empty() || compare_whole(state.against_high, side.high, state.length) <= 0);
  };
  return explore(IntegerState{}, "-0123456789", next, accepts, budget);
}

Decimal Decimal::of(double value) {
  Decimal result;
  std::string text = fmt::format("{}", value);  // the shortest that reads back as `value`: -1.5e-07
  if (text[0] == '-') {
    result.negative = true;
    text.erase(0, 1);
  }
  int exponent = 0;
  if (const std::size_t e = text.find('e'); e != std::string::npos) {
    exponent = std::atoi(text.c_str() + e + 1);
    text.erase(e);
  }
  std::size_t point = text.find('.');
  if (point == std::string::npos) {
    point = text.size();
  } else {
    text.erase(point, 1);
  }
  int whole_digits = static_cast<int>(point) + exponent;
  if (whole_digits < 0) {
    text.insert(0, static_cast<std::size_t>(-whole_digits), '0');
    whole_digits = 0;
  }
  if (static_cast<std::size_t>(whole_digits) > text.size())
    text.append(static_cast<std::size_t>(whole_digits) - text.size(), '0');
  result.whole = text.substr(0, static_cast<std::size_t>(whole_digits));
  result.fraction = text.substr(static_cast<std::size_t>(whole_digits));
  result.whole.erase(0, std::min(result.whole.find_first_not_of('0'), result.whole.size()));
  if (result.whole.empty()) result.whole = "0";
  result.fraction.erase(result.fraction.find_last_not_of('0') + 1);
  return result;
}

namespace {

// ---- numbers with a fraction ----

struct Side {  // the magnitudes of one sign
  bool any = false;
  Bound low = {};
  std::optional<Bound> high = std::nullopt;
};

struct NumberState {
  enum Phase : int { kStart, kMinus, kZero, kWhole, kPoint, kFraction };
  int phase = kStart;
  int negative = 0;
  int whole_length = 0;
  int fraction_length = 0;
  // While reading the whole part: digit by digit, see compare_next; behind it: of the numbers so far.
  int against_low = 0;
  int against_high = 0;

  auto operator<=>(const NumberState&) const = default;
};

// Whether digits of the bound's fraction are left that are not read yet.
bool has_more(const Decimal& bound, int fraction_length) {
  return static_cast<int>(bound.fraction.size()) > fraction_length;
}

}  // namespace

Dfa numbers_between(const std::optional<Bound>& low, const std::optional<Bound>& high, WorkBudget& budget) {
  const auto is_negative = [](const Bound& bound) { return bound.value.negative && !bound.value.is_zero(); };
  std::array<Side, 2> sides;  // positive and zero, negative
  sides[0].any = !high || !is_negative(*high);
  sides[0].high = high;
  if (low && !is_negative(*low)) sides[0].low = *low;
  sides[1].any = !low || is_negative(*low);
  sides[1].high = low;
  if (high && (is_negative(*high) || high->value.is_zero())) sides[1].low = *high;

  // After the whole part: how it compares with the bounds' whole parts.
  const auto end_whole = [&](NumberState& state) {
    const Side& side = sides[static_cast<std::size_t>(state.negative)];
    state.against_low = compare_whole(state.against_low, side.low.value.whole, state.whole_length);
    state.against_high =
        side.high ? compare_whole(state.against_high, side.high->value.whole, state.whole_length) : -1;
  };
  const auto next = [&](const NumberState& state, char c) -> std::optional<NumberState> {
    NumberState after = state;
    if (c == '-') {
      if (state.phase != NumberState::kStart || !sides[1].any) return std::nullopt;
      after.phase = NumberState::kMinus;
      after.negative = 1;
      return after;
    }
    const Side& side = sides[static_cast<std::size_t>(state.negative)];
    if (!side.any) return std::nullopt;
    if (c == '.') {
      if (state.phase != NumberState::kZero && state.phase != NumberState::kWhole) return std::nullopt;
      end_whole(after);
      if (after.against_low < 0 || after.against_high > 0) return std::nullopt;
      after.phase = NumberState::kPoint;
      return after;
    }
    if (state.whole_length + state.fraction_length == kMaxNumberDigits) return std::nullopt;
    if (state.phase >= NumberState::kPoint) {
      after.phase = NumberState::kFraction;
      const auto compare = [&](int so_far, const Decimal& bound) {
        if (so_far != 0) return so_far;
        const char other = has_more(bound, state.fraction_length)
                               ? bound.fraction[static_cast<std::size_t>(state.fraction_length)]
                               : '0';
        return c < other ? -1 : c > other ? 1 : 0;
      };
      after.against_low = compare(state.against_low, side.low.value);
      if (side.high) after.against_high = compare(state.against_high, side.high->value);
      ++after.fraction_length;
      return after;
    }
    if (state.phase == NumberState::kZero) return std::nullopt;
    const bool first = state.phase != NumberState::kWhole;
    after.phase = first && c == '0' ? NumberState::kZero : NumberState::kWhole;
    after.against_low = compare_next(state.against_low, side.low.value.whole, state.whole_length, c);
    if (side.high)
      after.against_high = compare_next(state.against_high, side.high->value.whole, state.whole_length, c);
    ++after.whole_length;
    return after;
  };
  const auto accepts = [&](NumberState state) {
    if (state.phase == NumberState::kZero || state.phase == NumberState::kWhole) {
      end_whole(state);
    } else if (state.phase != NumberState::kFraction) {
      return false;
    }
    const Side& side = sides[static_cast<std::size_t>(state.negative)];
    // Equal so far is less where the bound has more digits: they end in no zero.
    const int low_order =
        state.against_low == 0 && has_more(side.low.value, state.fraction_length) ? -1 : state.against_low;
    if (low_order < 0 || (low_order == 0 && side.low.exclusive)) return false;
    if (!side.high) return true;
    const int high_order = state.against_high == 0 && has_more(side.high->value, state.fraction_length)
                               ? -1
                               : state.against_high;
    return high_order < 0 || (high_order == 0 && !side.high->exclusive);
  };
  return explore(NumberState{}, "-.0123456789", next, accepts, budget);
}

Dfa any_number(WorkBudget& budget) {
  return Regex(R"(^-?(?:0|[1-9]\d{0,17})(?:\.\d{1,15})?(?:[eE][+-]?\d{1,2})?$)").plain_text(budget);
}

}  // namespace gossamer
