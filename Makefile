# Needs python3 (3.11 or newer, with venv) and make; everything else is installed into .venv.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

PYTHON ?= python3
PORT ?= 8000
ARGS ?=
# Processes that run the tests: many of these wait, so one more than a small machine has cores.
PROCESSES ?= 3
# Set UPGRADE=--upgrade to move every pin to the newest version that pyproject.toml allows.
UPGRADE ?=

BIN := .venv/bin
COMPILE := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header $(UPGRADE)

.PHONY: help run production test lint format bench screenshots translations lock clean python installed installed-dev

help: ## this list
	@sed -nE 's/^([a-z-]+):.*## (.*)/make \1|\2/p' Makefile | while IFS='|' read -r name text; do \
		printf '  %-12s %s\n' "$$name" "$$text"; done

run: installed ## the demo: issuer on PORT (8000), shop and payments API on the next port; Ctrl-C ends it
	@exec $(BIN)/authserver demo run --port $(PORT)

production: installed-dev ## nginx, PostgreSQL, Redis and two workers as in deploy/, to try; Ctrl-C ends it
	@scripts/install-test-services.sh
	@exec $(BIN)/python -m deploy.rehearsal

# Without bytecode each process of the tests, and each server that they start, compiles the same files anew.
test: export PYTHONDONTWRITEBYTECODE =
test: installed-dev ## every test; ARGS="tests/oauth -k par" picks some
	@scripts/install-test-services.sh
ifeq ($(strip $(ARGS)),)
	@$(BIN)/python -m pytest -n $(PROCESSES) --dist loadgroup
else
	@$(BIN)/python -m pytest $(ARGS)
endif

lint: installed-dev ## ruff (rules and format) and mypy --strict
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy

format: installed-dev ## rewrite the code as `make lint` wants it
	@$(BIN)/ruff check --fix-only .
	@$(BIN)/ruff format .

bench: installed-dev ## CPU time of each hot path beside a plain Flask view
	@$(BIN)/python -m benchmarks

screenshots: installed-dev ## pictures of every page, into docs/screens
	@scripts/install-test-services.sh
	@$(BIN)/python scripts/screenshots.py

translations: installed-dev ## the catalogues of translations/ from templates and code; 1 if a text has no German
	@$(BIN)/python scripts/translations.py

# The smaller sets are held to the versions of the development set: one .venv serves them all.
lock: installed-dev ## requirements*.lock from pyproject.toml; UPGRADE=--upgrade for new versions
	@$(COMPILE) --extra dev pyproject.toml -o requirements-dev.lock
	@$(COMPILE) --constraint requirements-dev.lock pyproject.toml -o requirements.lock
	@$(COMPILE) --constraint requirements-dev.lock --group build -o requirements-build.lock

clean: ## remove .venv, caches and builds; instance/ (keys and data) stays
	@rm -rf .venv build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis .coverage htmlcov \
		tests/node/node_modules
	@find . -name .git -prune -o -name __pycache__ -prune -exec rm -rf {} +

# bootstrap.py compares digests itself, so it is called each time (60 ms when nothing changed).
installed: python
	@$(PYTHON) scripts/bootstrap.py run

installed-dev: python
	@$(PYTHON) scripts/bootstrap.py dev

python:
	@command -v "$(PYTHON)" >/dev/null || { \
		echo "$(PYTHON) is not installed: Python 3.11 or newer is needed (Debian: apt-get install python3 python3-venv)" >&2; \
		exit 1; }
