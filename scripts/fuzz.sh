#!/usr/bin/env bash
# fuzz.sh HOWLONG: runs each fuzz target of the module for HOWLONG: a time (3m), or
# a number of inputs (2000x). CI counts inputs: at the end of a time, Go's fuzzer
# now and then reports its own deadline as a failure (golang/go#75804).
set -euo pipefail
cd "$(dirname "$0")/.."
count=0
while IFS=: read -r file line; do
  target=${line#func }
  target=${target%%(*}
  echo "fuzz $(dirname "$file") $target"
  go test -run '^$' -fuzz "^$target\$" -fuzztime "$1" -fuzzminimizetime 20x "./$(dirname "$file")"
  count=$((count + 1))
done < <(git ls-files -co --exclude-standard '*_test.go' | sort | xargs grep -HoE '^func Fuzz[A-Za-z0-9_]+\(' || true)
echo "fuzzed $count targets for $1 each"
if ((count == 0)); then
  echo 'fuzz: found no target; the search must be wrong' >&2
  exit 1
fi
