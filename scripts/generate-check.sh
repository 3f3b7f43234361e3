#!/usr/bin/env bash
# Runs make generate and fails when any file of the tree has changed by it. It
# compares contents, not with the last commit, so it works in a dirty tree too.
set -euo pipefail
cd "$(dirname "$0")/.."
snapshot() { git ls-files -co --exclude-standard -z | sort -z | xargs -0 sha256sum 2>/dev/null || true; }
before=$(snapshot)
make generate
after=$(snapshot)
if ! diff <(echo "$before") <(echo "$after") >&2; then
  echo 'make generate changes the files above: run it and commit what it writes' >&2
  exit 1
fi
