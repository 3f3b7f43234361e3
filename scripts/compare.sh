#!/usr/bin/env bash
# Measures OpsConductor beside River, Celery and, with TEMPORAL=1, Temporal's test
# server, and writes docs/comparisons.md (OUT names another file, - standard output).
# Root: what Celery needs is installed. Anybody else: it is left out where it is missing.
# The first build of Temporal takes minutes.
set -euo pipefail
cd "$(dirname "$0")/../compare"

peers=$(mktemp -d)
trap 'rm -rf "$peers"' EXIT

celery() { command -v redis-server >/dev/null && /usr/bin/python3 -c 'import celery, redis' 2>/dev/null; }

if ! celery && ((EUID == 0)) && command -v apt-get >/dev/null; then
  echo "compare: installing python3-celery python3-redis redis-server" >&2
  policy=/usr/sbin/policy-rc.d # no service is started
  if [[ ! -e $policy ]]; then
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    chmod 755 "$policy"
    trap 'rm -rf "$peers" "$policy"' EXIT
  fi
  { apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends python3-celery python3-redis redis-server; } \
    >"$peers/apt.log" 2>&1 </dev/null || echo "compare: that went wrong; Celery is left out" >&2
fi

arguments=(-bin ../bin/opsconductor -river "$peers/river" -rounds "${ROUNDS:-3}" -out "${OUT:-../docs/comparisons.md}")
(cd river && go build -o "$peers/river" .)
if [[ ${TEMPORAL:-} == 1 ]]; then
  echo "compare: building Temporal's test server" >&2
  (cd temporal && go build -o "$peers/temporal" .)
  arguments+=(-temporal "$peers/temporal")
fi
go run . "${arguments[@]}"
