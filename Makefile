# kbwatch: `make help` lists what can be done.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

PYTHON ?= python3
SEED ?= 7
PORT ?= 9092
EVENTS ?= 50000000
# Somebody sits at a terminal: then the demo's NOC page stays open until Ctrl-C.
HOLD ?= $(shell test -t 0 && echo --hold)
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
KAFKA := $(BIN)/python deploy/local/kafka.py

.PHONY: help
help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@echo
	@echo "  SEED=n      another simulated month for demo and demo-harmless (now $(SEED))"
	@echo "  PORT=n      another port for up (now $(PORT))"
	@echo "  EVENTS=n    rows that bench asks the boards' queries of (now $(EVENTS))"
	@echo "  HOLD=       do not hold the demo's NOC page open at the end"
	@echo "  PYTHON=...  another Python >= 3.11 for the virtual environment (now $(PYTHON))"

.PHONY: setup
setup: $(STAMP) ## .venv with everything pinned, and the jars of local Kafka
	@$(KAFKA) fetch

$(STAMP): deploy/constraints.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
	  echo "kbwatch needs Python 3.11 or newer as '$(PYTHON)': install it, or say make PYTHON=/path/to/python3.11 setup" >&2; exit 2; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
	  echo "'$(PYTHON)' has no venv module: install it (Debian: apt-get install python3-venv)" >&2; exit 2; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --require-hashes -r deploy/constraints.txt
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation -e .
	@touch $@

.PHONY: demo demo-harmless
demo: setup ## the founding incident, KB5062557, end to end (exit 0: caught, and nothing else halted)
	$(BIN)/kbwatch demo --seed $(SEED) $(HOLD)

demo-harmless: setup ## the same month without the defect: nothing may halt
	$(BIN)/kbwatch demo --seed $(SEED) --harmless $(HOLD)

.PHONY: check test
check: $(STAMP) ## format, lint, types, import rules, unit and contract tests: under a minute
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m pytest -q -n auto -m "not slow" tests/unit tests/contract

# The closing line of pytest is the last thing said: CI reads it.
test: setup ## everything that CI runs
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m pytest

.PHONY: seeds bench margins regbench regbench-full
seeds: $(STAMP) ## KB5062557's month for SEED 1 to 20, with and without the defect, without a broker
	$(BIN)/python -m streams.regbench.runner --seeds 1-20
	$(BIN)/python -m streams.regbench.runner --seeds 1-20 --harmless

bench: setup ## what everything costs; writes build/bench/{summary,collector}.json
	$(BIN)/python -m tests.bench.detection
	$(BIN)/python -m tests.bench.store --events $(EVENTS)
	$(BIN)/python -m tests.bench.collector
	$(BIN)/python -m tests.bench.noc
	$(BIN)/python -m tests.bench.noc_streams

regbench: $(STAMP) ## KB-RegBench, a few roll-outs of everything, into docs/regbench.md: minutes
	$(BIN)/kbwatch regbench run
	$(BIN)/kbwatch regbench report

regbench-full: $(STAMP) ## all of it: says how long it takes, goes on where it was stopped
	$(BIN)/kbwatch regbench run --full
	$(BIN)/kbwatch regbench report

margins: $(STAMP) ## learn the shipped default margins anew (design seeds)
	$(BIN)/python -m streams.regbench.design --out streams/detection/default_margins.toml

.PHONY: format
format: $(STAMP) ## put the code into shape
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

.PHONY: up down
up: setup ## local Kafka on 127.0.0.1, port PORT, with kbwatch's topics
	@$(KAFKA) start --port $(PORT)
	@$(BIN)/kbwatch topics apply --set kafka.bootstrap=127.0.0.1:$(PORT)

down: ## stop what `make up` started
	@$(PYTHON) deploy/local/kafka.py stop

.PHONY: constraints
constraints: ## pin the newest versions that go together (needs uv)
	uv pip compile pyproject.toml --upgrade --universal --python-version 3.11 --generate-hashes \
	  --no-emit-index-url --no-header --no-annotate --all-extras --group dev -q \
	  -o deploy/constraints.txt
