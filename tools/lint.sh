#!/usr/bin/env bash
# clang-format over every source file of ours; clang-tidy over the ones that a release build compiles.
set -euo pipefail
cd "$(dirname "$0")/.."

mapfile -t sources < <(git ls-files '*.cc' '*.h' '*.inl')
clang-format --dry-run --Werror "${sources[@]}"

test -f build/release/compile_commands.json || cmake --preset release --log-level=WARNING
mapfile -t units < <(git ls-files 'src/*.cc' 'apps/*.cc' | grep -v -E 'kernels_(neon|amx|avx)|base/json.cc')
printf '%s\n' "${units[@]}" | xargs -P "$(nproc)" -n 4 clang-tidy -p build/release --quiet 2>&1 |
  { grep -vE '^([0-9]+ warnings? (and [0-9]+ errors? )?generated|Suppressed |Use -header-filter)' || true; } 
echo "lint: ${#sources[@]} files formatted, ${#units[@]} checked by clang-tidy"
