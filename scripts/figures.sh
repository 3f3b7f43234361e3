#!/usr/bin/env bash
# figures.sh [STORE...]: runs every benchmark but the soak, one after the other, on
# both stores or those named, and prints one table in Markdown. About eight minutes on
# two quiet cores. What goes on meanwhile stands on standard error.
set -euo pipefail
cd "$(dirname "$0")/.."

bin=${BIN:-bin/opsconductor}
stores=("$@")
((${#stores[@]} > 0)) || stores=(sqlite postgres)
cache=$(mktemp -d)
trap 'rm -rf "$cache"' EXIT
export OPSCONDUCTOR_CACHE_DIR=${OPSCONDUCTOR_CACHE_DIR:-$cache}

bench() {
  echo "== bench $*" >&2
  "$bin" bench "$@" --markdown
}

# The folder of the newest PostgreSQL, as the benchmarks find it.
postgres_version() {
  local program
  program=$(command -v postgres || compgen -G '/usr/lib/postgresql/*/bin/postgres' | sort -V | tail -n 1)
  "$program" --version 2>/dev/null || echo "no PostgreSQL"
}

cat <<END
$(date -u +%F), $(nproc) cores ($(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1)), $(uname -sr), $(go env GOVERSION), $(postgres_version),
OpsConductor $(git describe --tags --always --dirty). The database is on the same machine, with fsync and synchronous commits. The load is the machine's average
of a minute before each benchmark began.

| figure | store | measured | reach | reached | load |
|---|---|---|---|---|---|
END
for store in "${stores[@]}"; do
  bench steps --store "$store"
  bench chain --store "$store"
  bench fanout --store "$store"
  bench backlog --store "$store"
  bench restart --store "$store"
  if [[ $store == postgres ]]; then
    bench chain --hosts 2 --store postgres
    bench takeover --times 10 --store postgres
  fi
done
