#include "text/unicode.h"

#include <utf8proc.h>

#include <algorithm>
#include <array>
#include <span>

#include "base/check.h"
#include "base/utf8.h"

namespace gossamer {
namespace {

constexpr uint32_t kNumCodePoints = 0x110000;

constexpr uint32_t kRanges[] = {
#include "text/unicode_ranges.inc"
};

int combining_class(utf8proc_int32_t code_point) {
  return utf8proc_get_property(code_point)->combining_class;
}

}  // namespace

UnicodeTable::UnicodeTable() : page_index_(kNumCodePoints / kPageSize) {
  std::array<int, 256> uniform_page;  // by flags: most pages hold one value throughout, and are shared
  uniform_page.fill(-1);
  const std::span<const uint32_t> ranges(kRanges);
  std::size_t range = 0;
  for (std::size_t page = 0; page < page_index_.size(); ++page) {
    const uint32_t first = static_cast<uint32_t>(page) * kPageSize;
    const auto range_end = [&] {
      return range + 1 < ranges.size() ? ranges[range + 1] >> 8 : kNumCodePoints;
    };
    while (range_end() <= first) ++range;
    const auto flags = static_cast<uint8_t>(ranges[range]);
    const bool uniform = range_end() >= first + kPageSize;
    if (uniform && uniform_page[flags] >= 0) {
      page_index_[page] = static_cast<uint16_t>(uniform_page[flags]);
      continue;
    }
    const std::size_t index = pages_.size() / kPageSize;
    page_index_[page] = static_cast<uint16_t>(index);
    if (uniform) uniform_page[flags] = static_cast<int>(index);
    for (uint32_t i = 0; i < kPageSize; ++i) {
      while (range_end() <= first + i) ++range;
      pages_.push_back(static_cast<uint8_t>(ranges[range]));
    }
  }
}

bool UnicodeTable::may_change_in_nfc(std::string_view text) const {
  const char* end = text.data() + text.size();
  for (const char* p = text.data(); p != end;) {
    if (static_cast<unsigned char>(*p) < 0xCC) {  // below U+0300 nothing changes or composes backwards
      p += static_cast<unsigned char>(*p) < 0x80 ? 1 : 2;
      continue;
    }
    if ((flags(utf8_decode_valid(p)) & kNfcTrigger) != 0) return true;
  }
  return false;
}

// Code points that take no part in NFC are borders: no reordering or composition reaches across them. So the
// text is cut there, and only runs with a trigger in them are worked on. This also keeps characters that a
// newer utf8proc knows, but the reference does not, out of utf8proc's hands.
void UnicodeTable::append_nfc(std::string_view text, std::string& out) const {
  const char* const end = text.data() + text.size();
  const char* p = text.data();
  const char* copied = p;
  while (p != end) {
    const char* const run = p;
    const char* run_end = p;
    bool triggered = false;
    while (p != end) {
      const uint8_t f = flags(utf8_decode_valid(p));
      if ((f & kNfcActive) == 0) break;
      triggered |= (f & kNfcTrigger) != 0;
      run_end = p;
    }
    if (!triggered) continue;
    out.append(copied, run);
    append_composed({run, static_cast<std::size_t>(run_end - run)}, out);
    copied = run_end;
  }
  out.append(copied, end);
}

void UnicodeTable::append_composed(std::string_view run, std::string& out) const {
  std::vector<utf8proc_int32_t> points;
  points.reserve(run.size() + 1);
  const char* const end = run.data() + run.size();
  for (const char* p = run.data(); p != end;) {
    std::array<utf8proc_int32_t, 8> parts;
    int boundary_state = 0;
    const auto num_parts =
        utf8proc_decompose_char(static_cast<utf8proc_int32_t>(utf8_decode_valid(p)), parts.data(),
                                parts.size(), UTF8PROC_DECOMPOSE, &boundary_state);
    GOSSAMER_CHECK(num_parts >= 0 && num_parts <= static_cast<utf8proc_ssize_t>(parts.size()));
    points.insert(points.end(), parts.begin(), parts.begin() + num_parts);
  }
  // utf8proc's own ordering is quadratic in the length of a run of marks, which a request may choose.
  for (auto first = points.begin(); first != points.end();) {
    if (combining_class(*first) == 0) {
      ++first;
      continue;
    }
    const auto last = std::find_if(first, points.end(), [](auto c) { return combining_class(c) == 0; });
    std::stable_sort(first, last, [](auto a, auto b) { return combining_class(a) < combining_class(b); });
    first = last;
  }
  const auto num_points =
      utf8proc_normalize_utf32(points.data(), static_cast<utf8proc_ssize_t>(points.size()),
                               static_cast<utf8proc_option_t>(UTF8PROC_COMPOSE | UTF8PROC_STABLE));
  GOSSAMER_CHECK_GE(num_points, 0);
  for (utf8proc_ssize_t i = 0; i < num_points; ++i) {
    utf8_append(static_cast<char32_t>(points[static_cast<std::size_t>(i)]), out);
  }
}

}  // namespace gossamer
