#!/usr/bin/env bash
# Generates the Python modules and type stubs of every contract, beside the .proto files.
set -euo pipefail
cd "$(dirname "$0")/.."
python=${PYTHON:-.venv/bin/python}
bin=$(dirname "$python")
find protos -name '*_pb2*.py*' -delete
"$python" -m grpc_tools.protoc -I protos \
  --plugin=protoc-gen-mypy="$bin/protoc-gen-mypy" \
  --plugin=protoc-gen-mypy_grpc="$bin/protoc-gen-mypy_grpc" \
  --python_out=protos --grpc_python_out=protos --mypy_out=quiet:protos --mypy_grpc_out=quiet:protos \
  $(find protos -name '*.proto' | sort)
find protos/formwork -type d -exec touch {}/__init__.py \;
