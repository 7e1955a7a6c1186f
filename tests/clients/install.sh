#!/usr/bin/env bash
# Installs the clients that these tests drive, each as its lock file has it, apart from our own environment:
# some of them want other versions of what we use. Node's are left out where there is no Node.
# Whatever is not what the lock files have hashes of is refused, and no package's own script is run.
set -euo pipefail
cd "${BASH_SOURCE[0]%/*}"

# Tells whether a folder holds what its lock file says, by the stamp of the last install.
is_current() { [ "$(cat "$1/formwork.stamp" 2>/dev/null)" = "$(sha256sum <"$2")" ]; }

fail() {
  tail -n 5 "$1" >&2
  echo "formwork: the clients of tests/clients cannot be installed (all of it: tests/clients/$1)" >&2
  exit 1
}

if ! is_current python/.venv python/requirements.txt; then
  echo "  clients        installing Python's"
  rm -rf python/.venv
  ../../.venv/bin/python -m venv python/.venv
  python/.venv/bin/python -m pip install --disable-pip-version-check --no-input --no-compile \
    --no-deps --require-hashes --only-binary :all: -r python/requirements.txt >python/.venv/install.log 2>&1 || fail python/.venv/install.log
  sha256sum <python/requirements.txt >python/.venv/formwork.stamp
fi

if ! command -v npm >/dev/null; then
  echo "  clients        no Node on PATH: its clients are not checked"
elif ! is_current node/node_modules node/package-lock.json; then
  echo "  clients        installing Node's"
  npm ci --prefix node --ignore-scripts --no-audit --no-fund >node/install.log 2>&1 || fail node/install.log
  mv node/install.log node/node_modules/
  sha256sum <node/package-lock.json >node/node_modules/formwork.stamp
fi
