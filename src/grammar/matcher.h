// Matcher: where one sequence stands in its grammar, and which tokens may follow. GrammarConstraint wraps it
// in the two methods that the engine calls (engine/token_constraint.h); this room knows no engine, so the
// server's adaptor hands the calls on.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "grammar/grammar_masks.h"
#include "grammar/machine.h"

namespace gossamer {

class Matcher {
 public:
  explicit Matcher(std::shared_ptr<const GrammarMasks> masks);

  // Adds a token; false, and nothing is changed, if the grammar does not allow it here.
  bool advance(int32_t token);
  // Forgets all tokens but the first `num_tokens`.
  void rollback(std::size_t num_tokens);
  std::span<const int32_t> tokens() const { return tokens_; }

  // Sets the bits of the tokens that advance() would accept. Ids beyond the mask are left out.
  void fill_mask(std::span<uint64_t> mask);

  // What was said is whole. More may still be allowed, as after the 1 of a number.
  bool is_complete() const { return frontiers_.back().may_exit; }
  // Nothing may follow.
  bool is_finished() const { return frontiers_.back().finished(); }
  // The bytes that must come next because there is no choice, at most `max_bytes` of them. Marks are among
  // them. How they are cut into tokens is left to the model.
  std::string forced_bytes(std::size_t max_bytes);

  // The grammar has more open alternatives than are followed, and the masks are not to be trusted.
  bool overflowed() const { return machine_.overflowed(); }

 private:
  void fill_nested(StackId stack, std::span<uint64_t> mask);
  void fill_leavers(const LocalMask& local, StackId stack, const TextLimits& limits,
                    std::span<uint64_t> mask);

  std::shared_ptr<const GrammarMasks> masks_;
  Machine machine_;
  std::vector<int32_t> tokens_;
  std::vector<Frontier> frontiers_;  // before the first token and behind each
  std::vector<Frontier> walked_;     // by depth in a trie of leavers
  std::vector<NodeId> nested_nodes_;
};

// What the engine's TokenConstraint asks for, with its signatures.
class GrammarConstraint {
 public:
  explicit GrammarConstraint(std::shared_ptr<const GrammarMasks> masks) : matcher_(std::move(masks)) {}

  // Sets the tokens that may follow `output`, all that the sequence has given so far. Whatever it shares with
  // the call before is not looked at again; it may also be shorter. Returns an empty string, or what is
  // wrong.
  std::string fill_mask(std::span<const int32_t> output, std::span<uint64_t> mask);

  // A grammar always says what may follow, if only that text may not contain special tokens.
  bool is_active(std::span<const int32_t>) const { return true; }

  const Matcher& matcher() const { return matcher_; }

 private:
  Matcher matcher_;
};

}  // namespace gossamer
