#!/usr/bin/env bash
# The demo: a server on a throw-away folder, two real SSH servers as targets, and
# examples/first-light.yaml on them. Everything goes through the command line and
# so through the API. Whatever it starts, it stops, also on Ctrl-C.
set -euo pipefail
cd "$(dirname "$0")/.."

bin=$PWD/bin/opsconductor
work=$(mktemp -d "${TMPDIR:-/tmp}/opsconductor-demo.XXXXXX")
dir=$work/host
pids=()
schema=""

cleanup() {
  local status=$?
  trap - EXIT INT TERM
  local pid
  for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null || true; done
  for pid in "${pids[@]}"; do wait "$pid" 2>/dev/null || true; done
  if [[ -n $schema ]]; then
    psql "$DATABASE_URL" -qX -c "DROP SCHEMA $schema CASCADE" 2>/dev/null || echo "demo: the schema $schema is left over" >&2
  fi
  rm -rf "$work"
  exit "$status"
}
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

say() { printf '\n== %s\n' "$*"; }

# until_true SECONDS WHAT COMMAND…: polls until the command succeeds.
until_true() {
  local deadline=$((SECONDS + $1)) what=$2
  shift 2
  until "$@"; do
    if ((SECONDS >= deadline)); then
      echo "demo: $what did not come up in time" >&2
      [[ -s $work/host.log ]] && tail -n 20 "$work/host.log" >&2
      exit 1
    fi
    sleep 0.05
  done
}

sshd=$(command -v sshd || echo /usr/sbin/sshd)

# start_target NAME: an OpenSSH server with a host key of its own on a free
# loopback port; sets port.
start_target() {
  local name=$1 try pid
  ssh-keygen -q -t ed25519 -N '' -C "$name" -f "$work/$name.key"
  for try in {1..20}; do
    port=$((20000 + RANDOM % 20000))
    if (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then
      continue # somebody listens there
    fi
    cat >"$work/$name.conf" <<CONF
ListenAddress 127.0.0.1
Port $port
HostKey $work/$name.key
PidFile $work/$name.pid
AuthorizedKeysFile $work/user.key.pub
StrictModes no
UsePAM no
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin prohibit-password
LogLevel ERROR
CONF
    "$sshd" -D -e -f "$work/$name.conf" >>"$work/$name.log" 2>&1 &
    pid=$!
    for _ in {1..100}; do
      if (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null && kill -0 "$pid" 2>/dev/null; then
        pids+=("$pid")
        return
      fi
      kill -0 "$pid" 2>/dev/null || break
      sleep 0.05
    done
    kill "$pid" 2>/dev/null || true
    wait "$pid" 2>/dev/null || true
  done
  echo "demo: the SSH server of $name did not start after $try tries:" >&2
  tail -n 5 "$work/$name.log" >&2
  exit 1
}

say "two SSH servers with keys of their own"
((EUID != 0)) || mkdir -p /run/sshd # sshd's empty folder for its unprivileged part
ssh-keygen -q -t ed25519 -N '' -C demo -f "$work/user.key"
declare -A ports
for name in first second; do
  start_target "$name"
  ports[$name]=$port
  echo "$name listens on 127.0.0.1:$port"
done

if [[ -n ${DATABASE_URL:-} ]]; then
  say "a server on PostgreSQL, in a schema of its own"
  # The demo's credential is sealed under a key that goes away with it: what it
  # stores must go away too.
  new_schema=opsconductor_demo_$$_$RANDOM
  psql "$DATABASE_URL" -qX -v ON_ERROR_STOP=1 -c "CREATE SCHEMA $new_schema"
  schema=$new_schema
  join=?
  [[ $DATABASE_URL != *\?* ]] || join='&'
  export OPSCONDUCTOR_DATABASE_URL="$DATABASE_URL${join}search_path=$schema"
else
  say "a server on SQLite, in $dir"
fi
OPSCONDUCTOR_LOG_LEVEL=${OPSCONDUCTOR_LOG_LEVEL:-warn} "$bin" dev --dir "$dir" --listen 127.0.0.1:0 >"$work/host.log" 2>&1 &
pids+=("$!")
until_true 60 "the server" test -s "$dir/url"
export OPSCONDUCTOR_DIR=$dir
OPSCONDUCTOR_URL=$(<"$dir/url")
export OPSCONDUCTOR_URL
echo "it answers at $OPSCONDUCTOR_URL"

say "the targets, with pinned host keys and a sealed credential"
"$bin" credential create "demo" --kind ssh_key --username "$(id -un)" --key-file "$work/user.key" --protocol ssh --tag demo >/dev/null
for name in first second; do
  "$bin" asset create "$name" --address 127.0.0.1 --port "${ports[$name]}" --protocol ssh --os linux --tag demo \
    --host-key-file "$work/$name.key.pub" --credential "demo" >/dev/null
done
"$bin" asset list

say "plan, then run exactly that plan"
plan=$("$bin" workflow plan examples/first-light.yaml --hash-only)
echo "plan $plan"
"$bin" run submit --plan "$plan" --follow --timeout 2m

say "done"
