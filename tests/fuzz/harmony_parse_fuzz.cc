// Any token ids as what GPT-OSS sampled: messages without lost text, the same in whatever pieces they come,
// and the same parts of an OpenAI answer. A byte of the input is the token of that byte, except that 0xF5 to
// 0xFD, which no UTF-8 text has, are the special tokens and an id beyond the vocabulary, and 0xFE makes the
// next byte a token of its own (so that bytes that are not UTF-8 come too).
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <span>
#include <string>
#include <vector>

#include "base/check.h"
#include "tests/fuzz/byte_tokenizer.h"
#include "tests/text/harmony_oracle.h"
#include "text/harmony_chat.h"
#include "text/harmony_json.h"
#include "text/harmony_reference.h"
#include "text/harmony_stream.h"

namespace gossamer {
namespace {

constexpr int32_t kFirstSpecial = 0xF5;
constexpr int32_t kEscape = 0xFE;

std::vector<int32_t> ids_of(std::span<const uint8_t> data) {
  std::vector<int32_t> ids;
  for (std::size_t i = 0; i < data.size(); ++i) {
    const bool is_escaped = data[i] == kEscape && i + 1 < data.size();
    if (is_escaped) ++i;
    const bool is_special = !is_escaped && data[i] >= kFirstSpecial && data[i] < kEscape;
    ids.push_back(is_special ? 256 + data[i] - kFirstSpecial : data[i]);
  }
  return ids;
}

void check_stream(const Tokenizer& tokenizer, std::span<const int32_t> ids,
                  const HarmonyStream::Options& options) {
  HarmonyStream stream(tokenizer, options);
  std::vector<HarmonyDelta> deltas;
  for (const int32_t id : ids) std::ranges::move(stream.push(id), std::back_inserter(deltas));
  std::ranges::move(stream.flush(), std::back_inserter(deltas));
  GOSSAMER_CHECK_EQ(HarmonyOracle(tokenizer).find_fault(ids, deltas), std::string());
  std::vector<HarmonyMessage> messages;
  for (const HarmonyDelta& delta : deltas) append_delta(delta, messages);
  const HarmonyParse whole = parse_harmony(tokenizer, ids, options);
  GOSSAMER_CHECK_EQ(messages_to_json(messages), messages_to_json(whole.messages));
  GOSSAMER_CHECK(stream.recoveries() == whole.recoveries);
}

void check_chat(const Tokenizer& tokenizer, std::span<const int32_t> ids) {
  const std::vector<std::string> tools = {"f", "get_weather"};
  HarmonyChat chat(tokenizer, tools);
  ChatParts parts;
  for (const int32_t id : ids) {
    for (const ChatDelta& delta : chat.push(id)) parts.add(delta);
  }
  for (const ChatDelta& delta : chat.flush()) parts.add(delta);
  const ChatParts whole = parse_chat(tokenizer, ids, tools);
  GOSSAMER_CHECK_EQ(parts.reasoning, whole.reasoning);
  GOSSAMER_CHECK_EQ(parts.content, whole.content);
  GOSSAMER_CHECK_EQ(parts.tool_calls.size(), whole.tool_calls.size());
  for (std::size_t i = 0; i < parts.tool_calls.size(); ++i)
    GOSSAMER_CHECK_EQ(parts.tool_calls[i].arguments, whole.tool_calls[i].arguments);
}

}  // namespace
}  // namespace gossamer

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, std::size_t size) {
  using namespace gossamer;
  static const Tokenizer tokenizer(harmony_byte_tokenizer());
  const std::vector<int32_t> ids = ids_of({data, size});
  check_stream(tokenizer, ids, {});
  check_stream(tokenizer, ids, {.role = std::nullopt});
  check_chat(tokenizer, ids);
  for (const bool strict : {false, true}) {
    const auto verdict =
        parse_harmony_as_reference(tokenizer, ids, {.role = HarmonyRole::kAssistant, .strict = strict});
    GOSSAMER_CHECK(verdict.ok() || !verdict.error().message.empty());
  }
  return 0;
}
