// Any bytes as an event stream, in pieces that the input itself chooses: the events of the standard, written
// down once more, wherever the pieces end. The first byte is how many of the following are lengths of pieces.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/check.h"
#include "http/sse_parser.h"
#include "tests/http/sse_oracle.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, std::size_t size) {
  using namespace gossamer;
  if (size == 0) return 0;
  const std::size_t num_lengths = std::min<std::size_t>(data[0], size - 1);
  const std::string text(reinterpret_cast<const char*>(data) + 1 + num_lengths, size - 1 - num_lengths);
  SseParser parser;
  std::vector<SseEvent> events;
  std::string_view rest = text;
  for (std::size_t i = 0; !rest.empty(); ++i) {
    const std::size_t length =
        num_lengths == 0 ? rest.size() : std::min<std::size_t>(data[1 + i % num_lengths], rest.size());
    if (num_lengths > 0 && length == 0 && i >= num_lengths) break;  // lengths of zero only
    parser.push(rest.substr(0, length), [&](const SseEvent& event) { events.push_back(event); });
    rest.remove_prefix(length);
  }
  parser.push(rest, [&](const SseEvent& event) { events.push_back(event); });
  const std::vector<SseEvent> expected = test::sse_events(text);
  GOSSAMER_CHECK_EQ(events.size(), expected.size());
  for (std::size_t i = 0; i < events.size(); ++i) GOSSAMER_CHECK(test::same_event(events[i], expected[i]));
  return 0;
}
