#!/usr/bin/env bash
# fmt-check.sh VERSION: names the Go sources that gofumpt would change; fails when there are any.
set -euo pipefail
cd "$(dirname "$0")/.."
bad=$(git ls-files -co --exclude-standard -z '*.go' |
  xargs -0 grep -LZ '^// Code generated .* DO NOT EDIT' |
  xargs -0 scripts/tool.sh gofumpt mvdan.cc/gofumpt "$1" -l)
if [[ -n $bad ]]; then
  printf 'not formatted (make fmt mends it):\n%s\n' "$bad" >&2
  exit 1
fi
