#!/usr/bin/env bash
# All that CI checks, each part timed. Slow parts last.
set -euo pipefail
cd "$(dirname "$0")/.."

part() {
  local began=$SECONDS
  echo "== $*"
  "$@"
  echo "== $* took $((SECONDS - began)) s"
}

part make generate-check
part make fmt-check
part make vet
part make compare-vet
part make lint
part make test
part make walk WALK_EVENTS=300000
part make sim
part make attack
part make chaos CHAOS=short
part make interop FAKES=1000
part make race
part make fuzz
part make bench BENCHFLAGS=-benchtime=1x
