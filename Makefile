# Every target sets up what it needs by itself: a virtual environment in .venv, from the hashed lock files.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
READY  := $(VENV)/.ready
KUBE   := v1.34.4


# Compiled once, not by each of the processes that a run of the tests starts.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: setup demo bench test test-all test-cluster coverage kube lint docs chart fmt dist lock clean

setup: $(READY)

$(READY): requirements.lock requirements-dev.lock pyproject.toml clients/python/pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Headrace needs Python 3.11 or newer; set PYTHON=…"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --progress-bar on --disable-pip-version-check --require-hashes -r requirements.lock -r requirements-dev.lock
	$(BIN)/python -m pip install --progress-bar on --disable-pip-version-check --no-deps --no-build-isolation --editable . --editable clients/python
	@touch $@

demo: $(READY)          ## replay a real trace through two workers; ARGS="--seconds 20 --broker apache" passes options on
	@$(BIN)/headrace demo $(ARGS)

bench: $(READY)         ## the pipeline beside its peers; ARGS="latency", "provider", "memory" or "scale" for the others
	@$(BIN)/headrace bench $(or $(ARGS),pipeline)

# Seven processes, six of them with a broker of their own: most tests that need one wait most of their time, and what the
# seventh does needs none (tests/support/lane_scheduling.py).
test: $(READY)          ## everything that guards the promise, on a real broker; ARGS="tests/unit -k offsets" narrows, PROCESSES=3 for a smaller machine
	@$(BIN)/python -m tests.support.compiled
	$(BIN)/python -m pytest -m "not long" -n $(or $(PROCESSES),7) --no-loadscope-reorder $(ARGS)

test-all: test          ## that, what takes long (marker `long`, docs/testing.md), and what measures (`alone`), with the machine to itself
	$(BIN)/python -m pytest -m "long and not alone" -n $(or $(PROCESSES),7) --no-loadscope-reorder --durations 10 $(ARGS)
	$(BIN)/python -m pytest -m alone --durations 20 $(ARGS)

test-cluster: $(READY)  ## random schedules of faults on three brokers; SEEDS=60 SECONDS=90 for the whole, SEED=7 ARGS=-v for one
	$(BIN)/python -m tests.cluster --seed $(or $(SEED),1) --seeds $(or $(SEEDS),3) --seconds $(or $(SECONDS),60) $(ARGS)

kube:                   ## kube-apiserver and etcd from their Go modules in build/kube, for tests/integration/test_real_kubernetes.py
	cd tests/kubernetes && CGO_ENABLED=0 GOFLAGS="-mod=readonly -buildvcs=false $(KUBE_GOFLAGS)" go build -trimpath -gcflags=all="-N -l -dwarf=false" -ldflags="-s -w -X k8s.io/component-base/version.gitVersion=$(KUBE) -X k8s.io/component-base/version.gitMajor=1 -X k8s.io/component-base/version.gitMinor=$(word 2,$(subst ., ,$(KUBE)))" -o ../../build/kube/ ./etcd ./kube-apiserver

coverage: $(READY)      ## as test, with the lines that no test reached; coverage.xml for programs
	$(BIN)/python -m pytest --cov --cov-report=term:skip-covered --cov-report=xml $(ARGS)

lint: $(READY)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo

docs: $(READY)         ## the docs site in build/site, every link checked; DOCS_SOURCE=https://…/blob/main links to files beside docs/
	$(BIN)/mkdocs build --strict

chart: $(READY)        ## write the dashboards, and what the chart ships of them and of the rules
	$(BIN)/python -m ops.grafana
	rm -rf ops/helm/headrace/files && mkdir -p ops/helm/headrace/files
	cp -R ops/grafana/dashboards ops/prometheus/rules ops/helm/headrace/files/

fmt: $(READY)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

dist: $(READY)          ## wheel and sdist in dist/; TAG=v1.2.3 fails unless that is the version
	@test -z "$(TAG)" || test "$(TAG)" = "v$$($(BIN)/hatchling version)" || { echo "tag $(TAG), but pyproject.toml says $$($(BIN)/hatchling version)" >&2; exit 1; }
	$(BIN)/hatchling build

lock: $(READY)          ## renew both lock files from pyproject.toml
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links --no-header --no-annotate --extra embedded --extra encryption --extra otel pyproject.toml -o requirements.lock
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links --no-header --no-annotate --group dev -c requirements.lock -o requirements-dev.lock

clean:
	rm -rf $(VENV) .cache .mypy_cache .pytest_cache .ruff_cache .hypothesis .coverage coverage.xml build dist *.egg-info
