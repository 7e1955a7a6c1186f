#!/usr/bin/env bash
# Fails when the committed modules are not what the contracts generate.
set -euo pipefail
cd "$(dirname "$0")/.."
fresh=$(mktemp -d)
trap 'rm -rf "$fresh"' EXIT
mkdir "$fresh/infra"
cp infra/generate_protos.sh "$fresh/infra/"
cp -r protos "$fresh/"
PYTHON="$PWD/.venv/bin/python" bash "$fresh/infra/generate_protos.sh"
find "$fresh/protos" protos -name __pycache__ -type d -prune -exec rm -rf {} +
if ! diff -r -q "$fresh/protos" protos; then
  echo "formwork: the generated modules in protos/ are stale: run 'make protos' and commit" >&2
  exit 1
fi
