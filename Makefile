# Fairlead's commands for people and for CI. `make help` lists them.
# A Python that is new enough and can make environments (Debian has that in a package of its own).
PYTHON ?= $(shell for p in python3.13 python3.12 python3.11 python3; do "$$p" -I -c 'import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo "$$p"; break; }; done)
PYTHON_GIVEN := $(filter-out file,$(origin PYTHON))
VENV := .venv
BIN := $(VENV)/bin
WORKERS ?=
TEST_PROCESSES ?= auto
PACKAGES ?= dev
LONG := not long
# The tests of a module share what is costly to make: they are parted only at the end.
PYTEST := $(BIN)/python -m pytest -n $(TEST_PROCESSES) --dist worksteal

.DEFAULT_GOAL := help
.PHONY: help run setup test test-long test-failed test-servers test-distributed cluster-test cluster-test-all test-quick test-newest check coverage lint manifests lock image clean

# Many short processes are started here: none of them should compile Fairlead anew, nor do what the
# shell's settings of Python say.
unexport PYTHONDONTWRITEBYTECODE PYTHONHOME PYTHONOPTIMIZE PYTHONPATH PYTHONSAFEPATH PYTHONWARNINGS

help:  ## list the commands
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

run: $(VENV)/.run  ## set up what the main job needs, run it on the Boston data, and serve what comes of it
	$(BIN)/fairlead run examples/boston.yaml --deploy $(if $(WORKERS),--workers $(WORKERS))
	$(BIN)/fairlead report boston-prices
	$(BIN)/fairlead models
	sh examples/served.sh boston-prices $(BIN)/fairlead

setup: $(VENV)/.dev  ## make .venv with the boosters and the developer tools

test: $(VENV)/.dev  ## set up everything, then run every test that needs no server of others
	$(PYTEST) -m "not servers and not cluster and not distributed and $(LONG)"

test-servers: $(VENV)/.dev  ## the tests on PostgreSQL, RabbitMQ, S3: each on a private server
	$(PYTEST) -m "servers and not distributed"

cluster-test: $(VENV)/.dev  ## the tests on Kubernetes: the cluster of $$KUBECONFIG, or one that is started here
	tests/cluster/run sh -c '$(PYTEST) --dist loadfile -m "cluster and not long and not disrupts"; status=$$?; $(PYTEST) -n 0 -m disrupts && exit $$status'

cluster-test-all: $(VENV)/.dev  ## the same with the examples as they are, and with TensorFlow and Spark: 3 GB, takes minutes more
	FAIRLEAD_TEST_DISTRIBUTED=yes tests/cluster/run sh -c '$(PYTEST) --dist loadfile -m "cluster and not disrupts"; status=$$?; $(PYTEST) -n 0 -m disrupts && exit $$status'

test-distributed:  ## the tests of TensorFlow and Spark, in .venv-distributed (4.3 GB)
	$(MAKE) .test-distributed VENV=.venv-distributed

.PHONY: .test-distributed
.test-distributed: $(VENV)/.distributed
	$(PYTEST) -m "distributed and not cluster and $(LONG)"

test-long:  ## what of make test and make test-distributed takes minutes, and repeats others in another place
	$(MAKE) test test-distributed LONG=long

test-failed: $(VENV)/.$(PACKAGES)  ## the tests that failed last, one after the other
	$(PYTEST) -n 0 --last-failed --last-failed-no-failures none

test-quick: $(VENV)/.dev  ## the unit tests, the contracts on SQLite, and each command once: before a commit
	$(PYTEST) -m "not servers and not cluster and not distributed" tests/unit tests/contract tests/acceptance/test_each_command.py

test-newest:  ## every test with the newest packages that pyproject.toml allows, in .venv-newest
	$(MAKE) test test-servers VENV=.venv-newest NEWEST=newest

check: lint test test-servers  ## what CI runs: lint, types, import contracts, every test

coverage: $(VENV)/.dev  ## every test, and which lines it runs; takes half as long again
	$(PYTEST) --interpreters new -m "not cluster and not distributed" --cov --cov-report=term:skip-covered

lint: $(VENV)/.dev  ## ruff, mypy and the import contracts
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

LOCK := $(BIN)/uv pip compile --quiet --upgrade --universal --python-version 3.11 --generate-hashes --no-header --no-annotate
LOCK_AS_DEV := $(LOCK) --constraint requirements/dev.txt
FOREST := --extra postgresql --extra rabbitmq --extra s3 --extra kubernetes --extra api --extra traces

manifests: $(VENV)/.dev  ## write deploy/kustomize again from the objects of an installation
	$(BIN)/python deploy/generate.py

lock: $(VENV)/.dev  ## write the lock files again from pyproject.toml
	$(BIN)/python -m pip install --quiet --upgrade uv
	$(LOCK) --extra dev pyproject.toml requirements/build.in -o requirements/dev.txt
	$(LOCK_AS_DEV) pyproject.toml requirements/build.in -o requirements/run.txt
	$(LOCK_AS_DEV) --extra dev --extra keras --extra spark --no-emit-package pyspark pyproject.toml requirements/build.in -o requirements/distributed.txt
	$(LOCK_AS_DEV) --no-deps requirements/sources.in -o requirements/sources.txt
	$(LOCK_AS_DEV) $(FOREST) pyproject.toml -o requirements/image-forest.txt
	$(LOCK_AS_DEV) $(FOREST) --extra xgboost --extra lightgbm --extra catboost pyproject.toml -o requirements/image-boosters.txt
	$(LOCK_AS_DEV) $(FOREST) --extra xgboost --extra keras --extra spark --no-emit-package pyspark pyproject.toml -o requirements/image-distributed.txt
	$(LOCK_AS_DEV) requirements/build.in requirements/image.in -o requirements/image-tools.txt

TARGET := forest
TAG :=
BASE :=

image:  ## build the image with docker or buildah: TARGET=forest, boosters or distributed, TAG=its name, BASE=what it is built on
	image/build.sh "$(TARGET)" "$(TAG)" "$(BASE)"

clean:  ## delete .venv and what the tools cached (never .fairlead)
	rm -rf $(VENV) .venv-newest .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis .coverage

# What is installed is recorded in the environment: these are asked every time.
.PHONY: $(VENV)/.run $(VENV)/.dev $(VENV)/.distributed
$(VENV)/.run $(VENV)/.dev $(VENV)/.distributed: $(VENV)/.%:
	@python="$(PYTHON)"; test -n "$$python" || { echo "Fairlead needs Python 3.11 or newer with ensurepip and venv (on Debian: the package python3-venv); none was found; give make PYTHON=/path/to/python3" >&2; exit 1; }; \
	"$$python" -I requirements/install.py $(VENV) $(or $(NEWEST),$*) $(if $(PYTHON_GIVEN),--this-python)
