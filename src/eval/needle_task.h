// What needle tests ask: the sentences to hide, the question, and how answers are judged. Called by
// `gossamer verify needle`.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "eval/needle_text.h"

namespace gossamer {

enum class NeedleKind : uint8_t {
  kNeedle,   // a sentence and a question of the user's (Kamradt's test)
  kPasskey,  // a random number in nonsense that repeats (llama.cpp's passkey)
  kRuler,    // random numbers for random keys, one of them asked for (RULER's niah)
};

struct NeedleTask {
  NeedleKind kind = NeedleKind::kNeedle;
  std::string needle = "The secret code is 7842.";  // kNeedle only, with the next three
  std::string question = "What is the secret code?";
  std::vector<std::string> expected;  // all of them must be in the answer; empty: derive_expected(needle)
  bool random_codes = false;          // another number in each question, so that none can be remembered
  int num_keys = 4;                   // kRuler: the one asked for and distractors
  uint64_t seed = 0;
};

// What `needle` is there to say: its last number, or its last word. Nothing where it has neither.
std::optional<std::string> derive_expected(std::string_view needle);

struct NeedleQuestion {
  std::string before;                 // of the hay: what the model is told first; may be empty
  std::vector<Insertion> insertions;  // the needle at `depth`, then distractors anywhere
  std::string question;
  std::string answer_begin;  // for models without a chat form: what the answer goes on from
  std::vector<std::string> expected;

  // Behind the hay.
  std::string after(bool chat) const;
};

// The same for the same task, length and depth. Throws Error for a task that cannot be asked.
NeedleQuestion make_needle_question(const NeedleTask& task, int64_t length, double depth);

// The hay of kPasskey, where the user has no other.
extern const char* const kPasskeyHay;

// The share of `expected` that `answer` has: as text in lower case with single spaces, dashes and spaces of
// every kind being one, commas that separate thousands left out, and no number being a part of a longer one.
double needle_score(std::string_view answer, const std::vector<std::string>& expected);

}  // namespace gossamer
