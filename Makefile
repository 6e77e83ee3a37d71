# Two commands to know: `make sweep` and `make test`. Both install what they need into .venv first.
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11 python; do \
	$$p -c 'import sys, venv, ensurepip; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null && echo $$p && break; done)
VENV ?= .venv
BIN := $(VENV)/bin
# PIP_CONSTRAINT also pins what pip installs to build the project itself.
PIP := PIP_CONSTRAINT=constraints.txt PIP_DISABLE_PIP_VERSION_CHECK=1 $(BIN)/python -m pip install --quiet

.PHONY: sweep test check lint format types ui bench clean help

sweep: $(VENV)/.installed ## install, then run the default sweep (about a minute)
	$(BIN)/python run.py -m

test: $(VENV)/.installed-dev ## install, then run every test
	$(BIN)/python -m pytest -n 2 --dist loadfile $(ARGS)

check: lint types test ## lint, format check, types and tests

lint: $(VENV)/.installed-dev ## ruff: rules and format; import contracts
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports

format: $(VENV)/.installed-dev ## ruff: rewrite files in the project's format
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

types: $(VENV)/.installed-dev ## mypy
	$(BIN)/mypy

PORT ?= 5000
ui: $(VENV)/.installed ## the MLflow UI on http://127.0.0.1:5000; PORT=5001 for another port
	MLFLOW_DISABLE_TELEMETRY=true MLFLOW_SERVER_ENABLE_JOB_EXECUTION=false \
	$(BIN)/mlflow ui --backend-store-uri sqlite:///outputs/mlflow.db --host 127.0.0.1 --port $(PORT)

bench: $(VENV)/.installed-bench ## a sweep and a single run against their peers; ARGS=all (hours), ARGS=--help for others
	$(BIN)/python -m tests.benchmarks $(or $(ARGS),sweep single)

clean: ## remove .venv (outputs/ stays)
	rm -rf $(VENV)

help: ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## /{printf "make %-8s %s\n", $$1, $$2}' Makefile

$(VENV)/bin/python:
	@test -n "$(PYTHON)" || { echo "Python 3.11, 3.12 or 3.13 with venv is needed: install one, or make PYTHON=/path/to/python3.12" >&2; exit 2; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: $(VENV)/bin/python pyproject.toml constraints.txt
	$(PIP) --editable .
	@touch $@

$(VENV)/.installed-dev: $(VENV)/.installed
	$(PIP) --editable '.[dev]'
	@touch $@

$(VENV)/.installed-bench: $(VENV)/.installed
	$(PIP) --editable '.[bench]'
	@touch $@
