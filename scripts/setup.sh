#!/usr/bin/env bash
# What building, testing and the demo need on a Debian machine with Go. Root:
# what is missing is installed. Anybody else: told the command, and it fails.
set -euo pipefail

want_go=1.26
missing=()

have() { command -v "$1" >/dev/null 2>&1; }
have_sshd() { have sshd || [[ -x /usr/sbin/sshd ]]; }
have_postgres() { have postgres || compgen -G '/usr/lib/postgresql/*/bin/postgres' >/dev/null; }

if ! have go; then
  echo "setup: Go $want_go or newer is not on the PATH: install it from https://go.dev/dl/" >&2
  exit 1
fi
go_version=$(go env GOVERSION)
go_version=${go_version#go}
if [[ $(printf '%s\n%s\n' "$want_go" "$go_version" | sort -V | head -n 1) != "$want_go" ]]; then
  echo "setup: Go $want_go or newer is needed, this is $go_version" >&2
  exit 1
fi

have_sshd || missing+=(openssh-server)
have ssh-keygen || missing+=(openssh-client)
have_postgres || missing+=(postgresql)
have pgbouncer || [[ -x /usr/sbin/pgbouncer ]] || missing+=(pgbouncer)
have psql || missing+=(postgresql-client) # for the demo on PostgreSQL
have gcc || missing+=(gcc libc6-dev) # for the race detector
have busybox || missing+=(busybox) # one of the shells that quoting is tested in
# Login shells that an account may have.
have zsh || missing+=(zsh)
have ksh93 || missing+=(ksh93u+m)
have mksh || missing+=(mksh)
have yash || missing+=(yash)
have bsd-csh || missing+=(csh)
have tcsh || missing+=(tcsh)
have fish || missing+=(fish)
# The programs by which a command takes on another user, and who makes users to try it with.
have sudo || missing+=(sudo)
have doas || missing+=(opendoas)
have su || missing+=(util-linux)
have dropbear || [[ -x /usr/sbin/dropbear ]] || missing+=(dropbear-bin) # another SSH server
have vtysh && [[ -x /usr/lib/frr/bgpd ]] || missing+=(frr) # a real device program, for the plugin network
have useradd || missing+=(passwd)
have curl || missing+=(curl)
have ip || missing+=(iproute2) # networks of their own, for make chaos
compgen -G '/usr/lib/*/faketime/libfaketime.so.1' >/dev/null || missing+=(libfaketime) # to move the clock of a database
# Guests of the sandbox's tests in other languages than Go.
have clang || missing+=(clang)
have wasm-ld || missing+=(lld)
[[ -d /usr/include/wasm32-wasi ]] || missing+=(wasi-libc libclang-rt-14-dev-wasm32)
[[ -x /usr/bin/rustc ]] || missing+=(rustc)
compgen -G '/usr/lib/rustlib/wasm32-unknown-unknown' >/dev/null || missing+=(libstd-rust-dev-wasm32)
have npm || missing+=(nodejs npm)

# The compiler of AssemblyScript, in the folder of this tree's tools.
assemblyscript() {
  local version=0.28.20 dir
  dir=$(cd "$(dirname "$0")/.." && pwd)/.cache/tools/assemblyscript
  if [[ ! -x $dir/node_modules/.bin/asc ]]; then
    echo "setup: installing assemblyscript $version"
    mkdir -p "$dir"
    npm install --silent --no-audit --no-fund --prefix "$dir" "assemblyscript@$version" >/dev/null
  fi
}

if ((${#missing[@]} == 0)); then
  assemblyscript
  exit 0
fi
if ((EUID != 0)); then
  echo "setup: missing: ${missing[*]}. As root: apt-get update && apt-get install -y --no-install-recommends ${missing[*]}" >&2
  exit 1
fi
if ! have apt-get; then
  echo "setup: missing: ${missing[*]}, and there is no apt-get here to install them with" >&2
  exit 1
fi
echo "setup: installing ${missing[*]}"
export DEBIAN_FRONTEND=noninteractive
# No service is started: tests and the demo start their own, on free ports.
policy=/usr/sbin/policy-rc.d
if [[ ! -e $policy ]]; then
  printf '#!/bin/sh\nexit 101\n' >"$policy"
  chmod 755 "$policy"
  trap 'rm -f "$policy"' EXIT
fi
log=$(mktemp)
if ! { apt-get update && apt-get install -y --no-install-recommends "${missing[@]}"; } >"$log" 2>&1 </dev/null; then
  cat "$log" >&2
  rm -f "$log"
  echo "setup: installing ${missing[*]} went wrong; the lines above say why" >&2
  exit 1
fi
rm -f "$log"
assemblyscript
