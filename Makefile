# `make run` and `make test` are all that a newcomer needs; `make help` tells the rest.
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
OPA_VERSION := v1.22.2

.DEFAULT_GOAL := help
.PHONY: help install run demo test test-long check lint format bench bench-postgres clean

help: ## This list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 16

$(VENV)/.run: requirements/demo.txt pyproject.toml
	@command -v $(PYTHON) >/dev/null || { echo "$(PYTHON) not found: install Python 3.11 or say make PYTHON=python3" >&2; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "installing what the gateway needs into $(VENV) ..." >&2
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/demo.txt
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/.dev: $(VENV)/.run requirements/dev.txt
	@echo "installing what the tests need into $(VENV) ..." >&2
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/dev.txt
	@touch $@

install: $(VENV)/.run ## Install the gateway and its demo into .venv

run: $(VENV)/.run ## Start the gateway with a Datasette and a PostgreSQL behind it; Ctrl-C stops all
	@exec $(BIN)/python -m demo run

demo: $(VENV)/.run ## A scripted CI job tries everything (JSON=1 for a program)
	@exec $(BIN)/python -m demo check $(if $(JSON),--json)

# OPA is built where Go is at hand; without it the tests that need a real OPA are skipped (CI insists on them).
.tools/bin/opa: tests/tools/opa/go.mod tests/tools/opa/go.sum
	@if command -v go >/dev/null; then \
	  echo "building OPA $(OPA_VERSION) ..." >&2; mkdir -p .tools/bin; \
	  cd tests/tools/opa && go build -o ../../../.tools/bin/opa github.com/open-policy-agent/opa; \
	else echo "no Go here: tests with a real OPA are skipped" >&2; fi

test: $(VENV)/.dev .tools/bin/opa check ## Lint, types and tests, through a real Envoy
	@$(BIN)/python -m pytest -q -m "not slow" $(ARGS)

test-long: $(VENV)/.dev .tools/bin/opa ## The long tests too: 300 MB bodies, fuzzing
	@$(BIN)/python -m pytest -q $(ARGS)

check: $(VENV)/.dev ## Lint and types
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy

format: $(VENV)/.dev ## Format the code
	@$(BIN)/ruff check --fix . ; $(BIN)/ruff format .

bench: $(VENV)/.dev ## Measure what the gateway adds to a request
	@$(BIN)/python -m tests.bench.latency

bench-postgres: $(VENV)/.dev ## Measure what the gateway adds to PostgreSQL, beside PgBouncer
	@$(BIN)/python -m tests.bench.postgres $(ARGS)

clean: ## Remove what the demo and the tests left
	rm -rf .extproc .pytest_cache .mypy_cache .ruff_cache
