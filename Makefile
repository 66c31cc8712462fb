# Everything Baton needs beside Python 3.11 and make is installed into .venv by these targets.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
export PATH := $(CURDIR)/$(BIN):$(PATH)

.DEFAULT_GOAL := help
.PHONY: help run demo test chaos promises mutants bench check fmt documents requirements clean

help: ## show this help
	@awk -F ':.*## ' '/^[a-z][a-z-]*:.*## / {printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

run: $(VENV)/run.stamp ## everything on this machine, a small village loaded (PORT=, DATA=, BUS=kafka)
	@$(BIN)/baton run

demo: $(VENV)/run.stamp ## the real cases played through the gateway, ending in a situation report (BUS=kafka)
	@$(BIN)/baton demo

test: $(VENV)/dev.stamp ## every test, against a real PostgreSQL, a real Kafka and a real Envoy
	@$(BIN)/pytest -n 2 --dist loadfile $(PYTEST_ARGS)

chaos: $(VENV)/dev.stamp ## a town under load, its processes killed, then judged (SEED=, ORDERS=, KILLS=, BUS=)
	@$(BIN)/python -m tests.chaos

promises: $(VENV)/dev.stamp ## the promises at the sizes they name, far more than `make test` takes
	@PROMISES=full $(BIN)/pytest tests/promises \
		tests/dispatch/test_suspended_while_assigned.py tests/dispatch/test_relay_shuffled.py $(PYTEST_ARGS)

mutants: $(VENV)/dev.stamp ## seed each defect into a copy and show the test that turns red (NAMES=)
	@$(BIN)/python -m tests.mutants $(NAMES)

bench: $(VENV)/dev.stamp ## what it does per second, as ratios taken in one run (ROWS=)
	@$(BIN)/python -m tests.bench $(ROWS)

check: $(VENV)/dev.stamp ## lint, types, import rules, drift of generated documents; writes nothing
	@$(BIN)/ruff check . && $(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-cache
	@$(BIN)/baton documents --check

documents: $(VENV)/run.stamp ## write the OpenAPI and AsyncAPI documents anew
	@$(BIN)/baton documents

fmt: $(VENV)/dev.stamp ## format the code and mend what ruff can mend
	@$(BIN)/ruff check --fix-only . ; $(BIN)/ruff format .

requirements: $(VENV)/dev.stamp ## pin the newest versions again, with hashes
	@$(BIN)/pip install --quiet uv
	@$(BIN)/uv pip compile --quiet --upgrade --generate-hashes --no-emit-index-url --universal --python-version 3.11 pyproject.toml -o requirements/run.txt
	@$(BIN)/uv pip compile --quiet --upgrade --generate-hashes --no-emit-index-url --universal --python-version 3.11 --extra dev pyproject.toml -o requirements/dev.txt

clean: ## remove what was installed and built
	rm -rf $(VENV) build

$(VENV)/bin/python:
	@echo "baton: making a Python environment in $(VENV)"
	@$(PYTHON) -c 'import sys; sys.exit("Baton needs Python 3.11 or newer, this is " + sys.version.split()[0]) if sys.version_info < (3, 11) else None'
	@$(PYTHON) -m venv $(VENV)

$(VENV)/run.stamp: requirements/run.txt pyproject.toml | $(VENV)/bin/python
	@echo "baton: installing (pinned by hash; the first time this takes a minute or two)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps -r requirements/run.txt
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-build-isolation --no-deps --editable .
	@touch $@

$(VENV)/dev.stamp: requirements/dev.txt pyproject.toml | $(VENV)/run.stamp
	@echo "baton: installing what the tests need"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps -r requirements/dev.txt
	@touch $@
