#!/usr/bin/env bash
# tool.sh NAME PACKAGE VERSION ARGS…: runs a Go tool in a pinned version. It is
# built from source once (`go run` would link a large one again every time) and
# kept in .cache/tools/VERSION.
set -euo pipefail

name=$1 package=$2 version=$3
shift 3
dir=$(cd "$(dirname "$0")/.." && pwd)/.cache/tools/$version
if [[ ! -x $dir/$name ]]; then
  mkdir -p "$dir"
  echo "building $name $version (once)" >&2
  GOBIN=$dir nice go install "$package@$version"
fi
exec "$dir/$name" "$@"
