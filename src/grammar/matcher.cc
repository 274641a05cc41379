#include "grammar/matcher.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "base/check.h"

namespace gossamer {

Matcher::Matcher(std::shared_ptr<const GrammarMasks> masks)
    : masks_(std::move(masks)), machine_(masks_->grammar()) {
  frontiers_.push_back(machine_.start());
}

bool Matcher::advance(int32_t token) {
  const std::string_view bytes = masks_->vocabulary().tokens().of(token);
  if (bytes.empty()) return false;
  Frontier next = machine_.run(frontiers_.back(), bytes);
  if (next.dead()) return false;
  tokens_.push_back(token);
  frontiers_.push_back(std::move(next));
  return true;
}

void Matcher::rollback(std::size_t num_tokens) {
  GOSSAMER_CHECK_LE(num_tokens, tokens_.size());
  tokens_.resize(num_tokens);
  frontiers_.resize(num_tokens + 1);
}

// The alternatives are taken apart by their stacks: what a local mask cannot know is the same for all
// alternatives of a stack. Regular nodes are looked up one by one, so that their masks are shared.
void Matcher::fill_mask(std::span<uint64_t> mask) {
  std::vector<Config> configs = frontiers_.back().configs;
  std::sort(configs.begin(), configs.end(),
            [](const Config& a, const Config& b) { return a.stack != b.stack ? a.stack < b.stack : a < b; });
  for (std::size_t begin = 0; begin < configs.size();) {
    const StackId stack = configs[begin].stack;
    nested_nodes_.clear();
    std::size_t end = begin;
    for (; end < configs.size() && configs[end].stack == stack; ++end) {
      const Config& config = configs[end];
      if (!masks_->grammar().node(config.node).is_regular) {
        nested_nodes_.push_back(config.node);
        continue;
      }
      const bool counted = config.limits.left != TextLimits::kUnlimited;
      const std::shared_ptr<const LocalMask> local = masks_->regular(config.node, counted);
      local->apply(mask, config.limits);
      fill_leavers(*local, stack, config.limits, mask);
    }
    if (!nested_nodes_.empty()) fill_nested(stack, mask);
    begin = end;
  }
}

void Matcher::fill_nested(StackId stack, std::span<uint64_t> mask) {
  const std::shared_ptr<const LocalMask> local =
      masks_->nested(machine_, nested_nodes_, machine_.depth(stack));
  local->apply(mask, {});
  fill_leavers(*local, stack, {}, mask);
}

void Matcher::fill_leavers(const LocalMask& local, StackId stack, const TextLimits& limits,
                           std::span<uint64_t> mask) {
  const TokenTrie& trie = local.leavers();
  if (trie.empty() || machine_.is_bottom(stack)) return;  // nothing follows the end of everything
  walked_.resize(TokenTrie::kMaxBytes + 1);
  walked_[0] = machine_.after_return(stack);
  trie.walk([&](uint32_t i) {
    const TokenTrie::Node& at = trie.node(i);
    machine_.step(walked_[at.depth - 1U], at.byte, walked_[at.depth]);
    if (walked_[at.depth].dead()) return false;
    for (const CountedToken& token : trie.tokens_at(i)) {
      if (token.chars < limits.needed || token.chars > limits.left) continue;
      const auto id = static_cast<std::size_t>(token.id);
      if (id / 64 < mask.size()) mask[id / 64] |= uint64_t{1} << (id % 64);
    }
    return true;
  });
}

std::string Matcher::forced_bytes(std::size_t max_bytes) {
  std::string forced;
  Frontier at = frontiers_.back();
  Frontier next;
  while (forced.size() < max_bytes && !at.may_exit) {
    int only = -1;
    for (const Config& config : at.configs) {
      for (const ByteEdge& edge : masks_->grammar().node(config.node).edges) {
        if (edge.low != edge.high || (only >= 0 && only != edge.low)) return forced;
        only = edge.low;
      }
    }
    if (only < 0) break;
    machine_.step(at, static_cast<uint8_t>(only), next);
    if (next.dead()) break;
    forced += static_cast<char>(only);
    std::swap(at, next);
  }
  return forced;
}

std::string GrammarConstraint::fill_mask(std::span<const int32_t> output, std::span<uint64_t> mask) {
  const std::span<const int32_t> known = matcher_.tokens();
  const auto differs = std::mismatch(known.begin(), known.end(), output.begin(), output.end());
  const auto shared = static_cast<std::size_t>(differs.second - output.begin());
  if (shared < known.size()) matcher_.rollback(shared);
  for (std::size_t i = shared; i < output.size(); ++i) {
    if (!matcher_.advance(output[i]))
      return fmt::format("token {} (number {} of the output) is not allowed by the grammar", output[i],
                         i + 1);
  }
  if (matcher_.is_finished() && !output.empty()) {
    // The engine stops at the last token. Should it ask further, the answer is that token: no mask is empty.
    const auto last = static_cast<std::size_t>(output.back());
    if (last / 64 < mask.size()) mask[last / 64] |= uint64_t{1} << (last % 64);
    return {};
  }
  matcher_.fill_mask(mask);
  if (std::all_of(mask.begin(), mask.end(), [](uint64_t word) { return word == 0; }))
    return "the grammar goes on in a way that no token of the vocabulary can say";
  if (matcher_.overflowed()) return "the grammar is too ambiguous: too many alternatives are open at once";
  return {};
}

}  // namespace gossamer
