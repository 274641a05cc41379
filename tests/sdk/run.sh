#!/usr/bin/env bash
# The OpenAI Python SDK, and plain sockets, against the built program: tests/sdk/run.sh [PROGRAM] [pytest options].
# Makes a virtual environment in the build folder; needs PyPI once.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
program=$(realpath "${1:-$root/build/release/bin/gossamer}")
shift || true
environment="$root/build/sdk-environment"
if ! "$environment/bin/python" -c "import openai, jsonschema, pytest" 2>/dev/null; then
  python3 -m venv "$environment"
  "$environment/bin/pip" install --quiet --disable-pip-version-check -r "$here/requirements.txt"
fi
export GOSSAMER_PROGRAM="$program" PYTHONDONTWRITEBYTECODE=1
exec "$environment/bin/python" -m pytest -p no:cacheprovider -q "$here" "$@"
