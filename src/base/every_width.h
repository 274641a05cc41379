// For loops over plain arrays that a compiler turns into vectors by itself: compiled for wider vectors too,
// the widest chosen when the program starts. The arithmetic is the same in each, so are the bits, as long as
// the loop's order does not depend on the width (-ffp-contract=off, no -ffast-math).
#pragma once

// In front of a function of the anonymous namespace. Sanitizers are not ready yet when such choices are made.
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__) && !defined(__SANITIZE_ADDRESS__) && \
    !defined(__SANITIZE_THREAD__)
#define GOSSAMER_EVERY_WIDTH __attribute__((target_clones("avx512f", "avx2", "default")))
#else
#define GOSSAMER_EVERY_WIDTH
#endif

// In front of what such a function calls.
#define GOSSAMER_INTO_EVERY_WIDTH inline __attribute__((always_inline))
