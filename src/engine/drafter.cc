#include "engine/drafter.h"

#include <algorithm>
#include <bit>

#include "base/check.h"
#include "base/checksum.h"

namespace gossamer {
namespace {

constexpr int kLongestWait = 64;
constexpr std::size_t kSmallestTable = 64;

std::span<const int32_t> ngram_before(std::span<const int32_t> tokens, int64_t end) {
  return tokens.subspan(static_cast<std::size_t>(end - NgramIndex::kNgramTokens), NgramIndex::kNgramTokens);
}

}  // namespace

// The n-gram's slot: the one that has it, or an empty one.
std::size_t NgramIndex::slot_of(std::span<const int32_t> tokens, int64_t end) const {
  const auto ngram = ngram_before(tokens, end);
  const std::size_t last = ends_.size() - 1;
  std::size_t slot = checksum(std::as_bytes(ngram)) & last;
  while (ends_[slot] != 0 && !std::ranges::equal(ngram, ngram_before(tokens, ends_[slot]))) {
    slot = (slot + 1) & last;
  }
  return slot;
}

void NgramIndex::insert(std::span<const int32_t> tokens, int64_t end) {
  if (2 * static_cast<std::size_t>(num_used_ + 1) > ends_.size()) {
    std::vector<int32_t> old(std::max(kSmallestTable, 2 * ends_.size()), 0);
    old.swap(ends_);
    for (const int32_t known : old) {
      if (known != 0) ends_[slot_of(tokens, known)] = known;
    }
  }
  int32_t& latest = ends_[slot_of(tokens, end)];
  num_used_ += latest == 0 ? 1 : 0;
  latest = static_cast<int32_t>(end);
}

std::vector<int32_t> NgramIndex::propose(std::span<const int32_t> tokens, int count) {
  const auto size = static_cast<int64_t>(tokens.size());
  if (size <= kNgramTokens || count <= 0) return {};
  // All but the last n-gram, which is the one to be found.
  for (int64_t end = std::max(num_indexed_ + 1, kNgramTokens); end < size; ++end) insert(tokens, end);
  num_indexed_ = size - 1;
  const int64_t before = ends_[slot_of(tokens, size)];
  if (before == 0) return {};
  std::vector<int32_t> draft;
  for (int64_t next = before; static_cast<int>(draft.size()) < count; ++next) {
    // Beyond the end the repetition goes on with itself.
    const int64_t beyond = next - size;
    draft.push_back(beyond < 0 ? tokens[static_cast<std::size_t>(next)]
                               : draft[static_cast<std::size_t>(beyond)]);
  }
  return draft;
}

int DraftLength::next(int most) {
  if (sit_out_ > 0) {
    --sit_out_;
    return 0;
  }
  return std::min(length_, most);
}

void DraftLength::observe(int64_t num_drafted, int64_t num_accepted) {
  if (num_drafted == 0) return;
  if (2 * num_accepted < num_drafted) {
    length_ = std::max(1, length_ / 2);
    wait_ = std::min(2 * wait_, kLongestWait);
    sit_out_ = wait_;
    return;
  }
  wait_ = 4;
  // Twice what was right; a draft that was cut (fewer than length_ were drafted) says nothing against it.
  if (num_accepted == num_drafted)
    length_ = std::max(length_, static_cast<int>(2 * num_drafted));
  else
    length_ = static_cast<int>(std::max<int64_t>(1, num_accepted + 1));
}

bool DraftGain::pays() {
  if (sit_out_ == 0) return true;
  --sit_out_;
  return false;
}

void DraftGain::observe(int64_t num_sequences, int64_t num_drafted, int64_t num_new, double seconds) {
  constexpr double kOfNewest = 0.25;
  constexpr int kSitOutSteps = 100;
  const auto size = std::min<std::size_t>(std::bit_width(static_cast<uint64_t>(num_sequences)), kSizes - 1);
  double& plain = plain_seconds_[size];
  if (num_drafted == 0) {
    plain = plain == 0.0 ? seconds : plain + kOfNewest * (seconds - plain);
    return;
  }
  if (plain == 0.0) return;
  const double gain = static_cast<double>(num_new) / static_cast<double>(num_sequences) * plain / seconds;
  gain_ += kOfNewest * (gain - gain_);
  if (gain_ < 1.0) {
    sit_out_ = kSitOutSteps;
    gain_ = 1.0;
  }
}

}  // namespace gossamer
