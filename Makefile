# Every target sets up what it needs by itself: a virtual environment in .venv, from the hashed lock files.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
READY  := $(VENV)/.ready

.PHONY: setup demo bench test test-all test-cluster coverage lint fmt dist lock clean

setup: $(READY)

$(READY): requirements.lock requirements-dev.lock pyproject.toml clients/python/pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Headrace needs Python 3.11 or newer; set PYTHON=…"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock -r requirements-dev.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable . --editable clients/python
	@touch $@

demo: $(READY)          ## replay a real trace through two workers; ARGS="--seconds 20 --broker apache" passes options on
	@$(BIN)/headrace demo $(ARGS)

bench: $(READY)         ## the pipeline beside its peers; ARGS="latency", "provider", "memory" or "scale" for the others
	@$(BIN)/headrace bench $(or $(ARGS),pipeline)

# Three processes, each with a broker of its own: most tests that need one wait most of their time (tests/support/lanes.py).
test: $(READY)          ## everything that guards the promise, on a real broker; ARGS="tests/unit -k offsets" narrows, PROCESSES=4
	$(BIN)/python -m pytest -m "not long" -n $(or $(PROCESSES),3) --no-loadscope-reorder $(ARGS)

test-all: test          ## that, then what measures or takes long (marker `long`, docs/testing.md), with the machine to itself
	$(BIN)/python -m pytest -m long $(ARGS)

test-cluster: $(READY)  ## random schedules of faults on three brokers; SEEDS=60 SECONDS=90 for the whole, SEED=7 ARGS=-v for one
	$(BIN)/python -m tests.cluster --seed $(or $(SEED),1) --seeds $(or $(SEEDS),3) --seconds $(or $(SECONDS),60) $(ARGS)

coverage: $(READY)      ## as test, with the lines that no test reached; coverage.xml for programs
	$(BIN)/python -m pytest --cov --cov-report=term:skip-covered --cov-report=xml $(ARGS)

lint: $(READY)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo

fmt: $(READY)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

dist: $(READY)          ## wheel and sdist in dist/; TAG=v1.2.3 fails unless that is the version
	@test -z "$(TAG)" || test "$(TAG)" = "v$$($(BIN)/hatchling version)" || { echo "tag $(TAG), but pyproject.toml says $$($(BIN)/hatchling version)" >&2; exit 1; }
	$(BIN)/hatchling build

lock: $(READY)          ## renew both lock files from pyproject.toml
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links --no-header --no-annotate --extra embedded pyproject.toml -o requirements.lock
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links --no-header --no-annotate --group dev -c requirements.lock -o requirements-dev.lock

clean:
	rm -rf $(VENV) .cache .mypy_cache .pytest_cache .ruff_cache .hypothesis .coverage coverage.xml build dist *.egg-info
