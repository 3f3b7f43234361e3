#!/usr/bin/env bash
# Starts a server on a folder that stays, and prints how to reach it.
set -euo pipefail
cd "$(dirname "$0")/.."
dir=${OPSCONDUCTOR_DIR:-./opsconductor-data}
exec bin/opsconductor dev --dir "$dir" --print-token "$@"
