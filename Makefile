# The project's commands; `make help` lists them.
SHELL := /usr/bin/env bash
PYTHON_ENV := .venv/bin/python
BIN := .venv/bin
ARGS ?=

.DEFAULT_GOAL := help
.PHONY: help setup run down status clients test check protos docs baseline engine bench bench-engine clean

help: ## list the commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: ## make .venv, or bring it up to date (every command does)
	@bash infra/setup.sh

run: setup ## start the mesh, send it one real request, leave it running
	@$(PYTHON_ENV) -m infra.local run

down: ## stop what `make run` started, keep the data
	@if [ -x $(PYTHON_ENV) ]; then $(PYTHON_ENV) -m infra.local down; \
	else echo "formwork: no .venv: nothing was started from here" >&2; exit 1; fi

status: ## list the mesh's processes, and whether they serve
	@if [ -x $(PYTHON_ENV) ]; then $(PYTHON_ENV) -m infra.local status; \
	else echo "formwork: no .venv: nothing was started from here" >&2; exit 1; fi

clients: setup ## install the clients that tests/clients drives (`make test` does)
	@bash tests/clients/install.sh

test: setup $(if $(ARGS),,clients) ## run every test (ARGS=...: only pytest, with these)
	$(if $(ARGS),,cd engine && cargo test --locked --lib --quiet)
	@$(PYTHON_ENV) -m pytest $(ARGS)

check: setup ## lint, format, types, import rules, contracts
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache
	$(BIN)/buf lint
	$(BIN)/buf breaking --against protos/baseline.binpb
	@bash infra/check_protos.sh
	cd engine && cargo fmt --check
	cd engine && cargo clippy --locked --all-targets --quiet -- -D warnings

protos: setup ## generate the contracts' Python modules
	bash infra/generate_protos.sh

docs: setup ## write the pages that are made of tables: docs/errors.md
	$(PYTHON_ENV) -m gateway.error_page

baseline: setup ## after a release: what contracts must not break from now on
	$(BIN)/buf build -o protos/baseline.binpb

engine: setup ## build and install the grammar engine
	$(PYTHON_ENV) -m pip install --quiet --no-build-isolation --no-deps -e engine

bench: setup ## many schemas through the running mesh: ARGS="FOLDER_OR_FILE..."
	@$(PYTHON_ENV) -m infra.local run && set -a && . "$$($(PYTHON_ENV) -m infra.local client-env)" && set +a \
	  && $(PYTHON_ENV) bench/mesh_schemas.py $(ARGS)

bench-engine: setup ## the engine beside its peer: HARNESS=FOLDER of the benchmark harness, BENCH_PYTHON=with its packages
	@$(PYTHON_ENV) bench/engine_table.py $(if $(HARNESS),$(HARNESS),$(error HARNESS= is the folder of maskbench.py)) \
	  --python $(if $(BENCH_PYTHON),$(BENCH_PYTHON),$(PYTHON_ENV)) $(ARGS)

clean: ## remove .venv and every cache; the mesh's data stays in FORMWORK_HOME
	rm -rf .venv .venv.lock .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis .coverage
	rm -rf engine/target tests/clients/python/.venv tests/clients/node/node_modules
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
