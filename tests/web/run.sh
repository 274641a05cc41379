#!/usr/bin/env bash
# Tests the chat page in headless Chromium: run.sh tests what lies in web/chat against a server that misbehaves on request,
# run.sh URL the page that a running `gossamer serve` gives. Installs what it needs where it may; where there is no browser,
# it says so and passes.
set -euo pipefail
cd "$(dirname "$0")/../.."

find_browser() { command -v chromium chromium-browser google-chrome | head -n 1; }
[ -n "$(find_browser)" ] || tools/install_packages.sh web || true
if [ -z "$(find_browser)" ]; then
  echo "tests/web: skipped, since there is no chromium here and it could not be installed"
  exit 0
fi
if [ $# -gt 0 ]; then
  exec python3 tests/web/page_test.py --url "$@"
fi
tools/install_packages.sh build
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cmake -DSOURCES=web/chat -DMARKED=/usr/share/javascript/marked/marked.umd.min.js \
  -DHIGHLIGHT=/usr/share/javascript/highlight.js/highlight.min.js -DOUTPUT="$folder/chat_page.html" -P web/build_page.cmake
python3 tests/web/page_test.py --page "$folder/chat_page.html"
