# Barnabas: what a developer runs. `make` alone prints the list.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
CACHE := .cache
UV_VERSION := 0.13.9
DATA ?= ./data
ARGS ?=
# Java side of `make interop`, `make bench`, `make demo`: a directory with libs/*.jar of Apache Kafka.
export KAFKA_HOME ?= $(CURDIR)/$(CACHE)/kafka-4.3.1

PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
PYTEST := $(BIN)/python -m pytest

.PHONY: help setup run test check format interop interop-setup bench soak demo dist lock clean

help: ## Show this list
	@awk -F':.*## ' '/^[a-z-]+:.*## /{printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

run: $(VENV)/.run ## Start a node on localhost:9092 with its data in ./data (DATA=…, ARGS=…)
	@exec $(BIN)/barnabas start --data "$(DATA)" $(ARGS)

test: $(VENV)/.dev ## Run the tests (ARGS=… goes to pytest; BARNABAS_SEED=… repeats a run)
	$(PYTEST) --numprocesses auto --dist worksteal $(ARGS)

check: $(VENV)/.dev ## Formatting, lint, strict types, directions of import, tidy rules
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(PYTEST) -p no:randomly tests/test_tidy.py

format: $(VENV)/.dev ## Format the sources and mend what ruff can mend
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

interop: interop-setup ## Other languages' clients, Kafka's tools, a real Apache Kafka beside ours; strace
	$(PYTEST) --numprocesses 2 --dist worksteal -m "interop and not soak" -rs --durations 30 \
	  tests/interop tests/crash $(ARGS)

interop-setup: $(VENV)/.dev
	@tests/interop/setup.sh

bench: interop-setup ## Speed and size beside a real Apache Kafka, into benchmarks/RESULTS.md
	$(BIN)/python -m benchmarks $(ARGS)

soak: interop-setup ## The long runs: many seeds, many crash images, every swap (bounded in time)
	$(PYTEST) -m soak --timeout 0 $(ARGS)

demo: interop-setup ## 336,776 flights through the node, a kill -9 in the middle (examples/flights)
	$(BIN)/python -m examples.flights $(ARGS)

dist: $(VENV)/.dev ## Build the wheel and the source archive into dist/
	$(BIN)/python -m build --no-isolation --outdir dist .

setup: $(VENV)/.dev ## Make .venv and install everything that is pinned in requirements/

lock: $(CACHE)/uv-$(UV_VERSION)/bin/uv ## Pin all dependencies anew, with hashes, in requirements/
	@for set in run dev demo clients; do \
	  case $$set in \
	    run) options="--group build pyproject.toml" ;; \
	    dev) options="--group dev pyproject.toml" ;; \
	    demo) options="--group demo --no-deps" ;; \
	    clients) options="--group clients" ;; \
	  esac; \
	  $< pip compile --quiet --upgrade --universal --python-version 3.11 --generate-hashes \
	    --custom-compile-command "make lock" --output-file requirements/$$set.txt $$options; \
	  echo "requirements/$$set.txt"; \
	done

clean: ## Remove what was built here (not ./data)
	rm -rf $(VENV) $(CACHE) tests/interop/node/node_modules dist build .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis

# --- Stamps: what is set up already is not set up again ----------------------------------------

$(VENV)/.made:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "Barnabas needs Python 3.11 or newer; $(PYTHON) is older. Try: make PYTHON=python3.11 $(MAKECMDGOALS)" >&2; exit 1; }
	@echo "Making $(VENV) with $$($(PYTHON) --version)"
	@$(PYTHON) -m venv $(VENV)
	@touch $@

$(VENV)/.run: requirements/run.txt pyproject.toml | $(VENV)/.made
	@echo "Installing Barnabas and what it runs on"
	@$(PIP) install --require-hashes -r requirements/run.txt
	@$(PIP) install --no-deps --no-build-isolation --editable .
	@$(BIN)/python -m compileall -q src
	@touch $@

$(VENV)/.dev: requirements/dev.txt $(VENV)/.run
	@echo "Installing the tools for development"
	@$(PIP) install --require-hashes -r requirements/dev.txt
	@touch $@

$(CACHE)/uv-$(UV_VERSION)/bin/uv:
	@$(PYTHON) -m venv $(CACHE)/uv-$(UV_VERSION)
	@$(CACHE)/uv-$(UV_VERSION)/bin/python -m pip --disable-pip-version-check --quiet install uv==$(UV_VERSION)
