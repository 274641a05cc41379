#!/usr/bin/env bash
# Installs the Debian packages that the given groups need and that are not there yet: build, package, lint, fuzz,
# web, arm.
# Needs root or sudo; otherwise prints the exact line to run.
set -euo pipefail

declare -A groups=(
  [build]="cmake g++ ninja-build libboost1.81-dev libcli11-dev libfmt-dev libpcre2-dev libutf8proc-dev libxxhash-dev
           libssl-dev prometheus-cpp-dev libspdlog-dev libyaml-cpp-dev libjs-marked libjs-highlight.js libgtest-dev libgmock-dev
           libbenchmark-dev"
  [package]="dpkg-dev file"
  [lint]="clang-format clang-tidy"
  [fuzz]="clang libclang-rt-14-dev"
  [web]="chromium python3-minimal"
  [arm]="g++-aarch64-linux-gnu qemu-user"
)

missing=()
for group in "$@"; do
  for package in ${groups[$group]}; do
    state=$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null || true)
    [ "$state" = installed ] || missing+=("$package")
  done
done
[ ${#missing[@]} -gt 0 ] || exit 0

install="apt-get install -y --no-install-recommends ${missing[*]}"
if [ "$(id -u)" = 0 ]; then
  as_root=""
elif command -v sudo >/dev/null && sudo -n true 2>/dev/null; then
  as_root="sudo"
else
  echo "Packages are missing. Run this as root, then try again:" >&2
  echo "  apt-get update && $install" >&2
  exit 1
fi
echo "Installing: ${missing[*]}"
$as_root env DEBIAN_FRONTEND=noninteractive apt-get update -qq
$as_root env DEBIAN_FRONTEND=noninteractive $install -qq >/dev/null
