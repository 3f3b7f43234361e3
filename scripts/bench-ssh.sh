#!/usr/bin/env bash
# bench-ssh.sh [OPTION...]: runs `bench ssh` with the options. Root: Debian's
# ansible-core is installed first when it is missing; anybody else goes without it.
set -euo pipefail
cd "$(dirname "$0")/.."

if ! command -v ansible >/dev/null 2>&1; then
  if ((EUID == 0)); then
    echo "bench-ssh: installing ansible-core" >&2
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends ansible-core >/dev/null
  else
    echo "bench-ssh: without Ansible; to have it: sudo apt-get install ansible-core" >&2
  fi
fi
exec "${BIN:-bin/opsconductor}" bench ssh --json "$@"
