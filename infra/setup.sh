#!/usr/bin/env bash
# Makes .venv in the repository, or brings it up to date: finds a Python for infra/environment.py.
set -euo pipefail
cd "${BASH_SOURCE[0]%/*}/.."

fits() { "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; }

for candidate in ${PYTHON:-} .venv/bin/python python3.11 python3.12 python3.13 python3; do
  if fits "$candidate"; then
    exec "$candidate" -I infra/environment.py "$@"
  fi
done
echo "formwork: no Python 3.11 or newer: install one (with its venv module), or name it with PYTHON=" >&2
exit 1
