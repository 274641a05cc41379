#!/usr/bin/env bash
# Runs every fuzz target in a folder for some seconds each, two at a time.
# usage: run_fuzzers.sh FOLDER SECONDS
set -euo pipefail
folder=$1
seconds=$2

run_one() {
  local target=$1 name work
  name=$(basename "$target" _fuzz)
  work=$(mktemp -d)
  mkdir -p "$work/corpus"
  if "$target" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 -artifact_prefix="$work/" "$work/corpus" \
    >"$work/log" 2>&1; then
    echo "fuzz $name: $(grep -o 'Done [0-9]* runs' "$work/log" || echo done), no failure"
    rm -rf "$work"
  else
    tail -50 "$work/log"
    echo "fuzz $name: FAILED, see $work"
    return 1
  fi
}
export -f run_one
export seconds
find "$folder" -name '*_fuzz' -type f | sort | xargs -P 2 -I{} bash -c 'run_one {}'
