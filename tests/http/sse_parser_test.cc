#include "http/sse_parser.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/http/sse_oracle.h"

namespace gossamer::test {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

std::vector<SseEvent> parse(const std::vector<std::string_view>& pieces) {
  SseParser parser;
  std::vector<SseEvent> events;
  for (const std::string_view piece : pieces)
    parser.push(piece, [&](const SseEvent& event) { events.push_back(event); });
  return events;
}

std::vector<std::string> data_of(const std::vector<SseEvent>& events) {
  std::vector<std::string> data;
  for (const SseEvent& event : events) data.push_back(event.data);
  return data;
}

void expect_same(const std::vector<SseEvent>& found, const std::vector<SseEvent>& expected,
                 const std::string& what) {
  ASSERT_EQ(data_of(found), data_of(expected)) << what;
  for (std::size_t i = 0; i < found.size(); ++i) EXPECT_TRUE(same_event(found[i], expected[i])) << what;
}

const std::vector<std::string> kStreams = {
    "data: a\n\ndata: b\n\n",
    "data: a\r\n\r\ndata: b\r\n\r\n",
    "data: a\r\rdata: b\r\r",
    "data: one\ndata: two\r\ndata:three\r\n\n",
    ": comment\n\ndata: x\n: in between\ndata: y\n\n",
    "event: delta\ndata: {\"a\": 1}\nid: 7\n\ndata: next\n\nid\ndata\n\n",
    "\xEF\xBB\xBF"
    "data: after the mark\n\n",
    "\xEF\xBB\xBF\n\ndata: x\n\n",
    "data:  two blanks\ndata:\n\n",
    "data\n\ndata\ndata\n\n",
    "data: caf\xC3\xA9 \xF0\x9F\x99\x82\n\n",
    "retry: 100\nunknown: x\ndata: y\n\n",
    "event: nothing follows\n\ndata: [DONE]\n\n",
    "data: cut off\n",
    "data: a\n\r\ndata: b\n\r\n\r",
    std::string("id: a\0b\ndata: x\n\nid: ok\ndata: y\n\n", 34),
};

TEST(SseParser, SplitsAndJoinsAsTheStandardSays) {
  EXPECT_THAT(data_of(parse({kStreams[0]})), ElementsAre("a", "b"));
  EXPECT_THAT(data_of(parse({kStreams[3]})), ElementsAre("one\ntwo\nthree"));
  EXPECT_THAT(data_of(parse({kStreams[4]})), ElementsAre("x\ny"));
  EXPECT_THAT(data_of(parse({kStreams[8]})), ElementsAre(" two blanks\n"));
  EXPECT_THAT(data_of(parse({kStreams[9]})), ElementsAre("", "\n"));
  const std::vector<SseEvent> events = parse({kStreams[5]});
  ASSERT_EQ(events.size(), 3U);
  EXPECT_EQ(events[0].type, "delta");
  EXPECT_EQ(events[1].type, "");
  EXPECT_EQ(events[1].id, "7");
  EXPECT_EQ(events[2].id, "");
}

TEST(SseParser, GivesTheSameEventsAtEverySplit) {
  for (const std::string& stream : kStreams) {
    const std::vector<SseEvent> expected = sse_events(stream);
    const std::string_view text = stream;
    expect_same(parse({text}), expected, stream);
    for (std::size_t i = 0; i <= text.size(); ++i) {
      for (std::size_t j = i; j <= text.size(); ++j)
        expect_same(parse({text.substr(0, i), text.substr(i, j - i), text.substr(j)}), expected,
                    stream + " at " + std::to_string(i) + ", " + std::to_string(j));
    }
    std::vector<std::string_view> bytes;
    for (std::size_t i = 0; i < text.size(); ++i) bytes.push_back(text.substr(i, 1));
    expect_same(parse(bytes), expected, stream);
  }
}

// A server that ends lines with CR alone, or CR LF in two packets, must not wait for the next byte.
TEST(SseParser, GivesAnEventAtTheFirstByteOfItsBlankLine) {
  EXPECT_THAT(data_of(parse({"data: x\r\n\r"})), ElementsAre("x"));
  EXPECT_THAT(data_of(parse({"data: x\r\r"})), ElementsAre("x"));
  EXPECT_THAT(data_of(parse({"data: x\r\n\r", "\ndata: y\n\n"})), ElementsAre("x", "y"));
}

TEST(SseParser, TellsAStreamThatWasCutOff) {
  for (const auto& [text, is_cut] : std::vector<std::pair<std::string, bool>>{{"data: x\n\n", false},
                                                                              {"data: x\n", true},
                                                                              {"data: x", true},
                                                                              {"data: x\n\nda", true},
                                                                              {"", false}}) {
    SseParser parser;
    parser.push(text, [](const SseEvent&) {});
    EXPECT_EQ(parser.has_unfinished(), is_cut) << text;
  }
  EXPECT_THAT(parse({"data: x\n"}), IsEmpty());
}

TEST(SseParser, GivesUpOnAnEventThatIsTooLong) {
  for (const std::string& stream : {std::string("data: ") + std::string(200, 'x'), [] {
                                      std::string lines;
                                      for (int i = 0; i < 40; ++i) lines += "data: 12345\n";
                                      return lines;
                                    }()}) {
    SseParser parser(100);
    int events = 0;
    parser.push("data: short\n\n", [&](const SseEvent&) { ++events; });
    for (const char& c : stream) parser.push({&c, 1}, [&](const SseEvent&) { ++events; });
    EXPECT_TRUE(parser.is_overlong());
    parser.push("\n\ndata: more\n\n", [&](const SseEvent&) { ++events; });
    EXPECT_EQ(events, 1);
  }
}

}  // namespace
}  // namespace gossamer::test
