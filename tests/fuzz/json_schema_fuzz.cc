// Arbitrary bytes as a JSON schema: a reason for refusing it, or a grammar in which some byte can follow
// wherever nothing is complete. Bytes behind a zero byte choose the way through it.
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <utility>
#include <vector>

#include "base/check.h"
#include "base/error.h"
#include "base/json.h"
#include "grammar/json_schema.h"
#include "grammar/machine.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, std::size_t size) {
  using namespace gossamer;
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  const std::size_t zero = input.find('\0');
  const std::string_view choices = zero == std::string_view::npos ? input : input.substr(zero + 1);
  json::value schema;
  try {
    schema = parse_json(input.substr(0, zero), "input");
  } catch (const Error&) {
    return 0;
  }
  const Result<Grammar> grammar = json_schema_grammar(schema, {.space = JsonSpace::kLines, .max_depth = 8});
  if (!grammar.ok()) {
    GOSSAMER_CHECK(!grammar.error().message.empty());
    return 0;
  }
  Machine machine(grammar.value());
  Frontier frontier = machine.start();
  Frontier next;
  for (const char choice : choices.substr(0, 200)) {
    if (frontier.finished() || machine.overflowed()) break;
    std::vector<uint8_t> possible;
    for (const Config& config : frontier.configs) {
      for (const ByteEdge& edge : grammar.value().node(config.node).edges) {
        machine.step(frontier, edge.low, next);
        if (!next.dead()) possible.push_back(edge.low);
      }
      if (possible.size() > 64) break;
    }
    GOSSAMER_CHECK(!possible.empty() || frontier.may_exit);
    if (possible.empty()) break;
    machine.step(frontier, possible[static_cast<uint8_t>(choice) % possible.size()], next);
    std::swap(frontier, next);
  }
  return 0;
}
