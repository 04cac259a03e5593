# Fairlead's commands for people and for CI. `make help` lists them.
PYTHON ?= $(shell for p in python3.13 python3.12 python3.11 python3; do "$$p" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo "$$p"; break; }; done)
VENV ?= .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
WORKERS ?=
TEST_PROCESSES ?= auto
# The tests of a module share what is costly to make: they are parted only at the end.
PYTEST := $(BIN)/python -m pytest -n $(TEST_PROCESSES) --dist worksteal

.DEFAULT_GOAL := help
.PHONY: help run setup test check coverage lint lock clean

# Many short processes are started here: none of them should compile Fairlead anew.
unexport PYTHONDONTWRITEBYTECODE

help:  ## list the commands
	@grep -E '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

run: $(VENV)/.run  ## set up what the main job needs, run it on the Boston data, and serve what comes of it
	$(BIN)/fairlead run examples/boston.yaml --deploy $(if $(WORKERS),--workers $(WORKERS))
	$(BIN)/fairlead report boston-prices
	$(BIN)/fairlead models
	sh examples/served.sh boston-prices $(BIN)/fairlead

setup: $(VENV)/.dev  ## make .venv with the boosters and the developer tools

test: $(VENV)/.dev  ## set up everything, then run every test
	$(PYTEST)

check: lint test  ## what CI runs: lint, types, import contracts, every test

coverage: $(VENV)/.dev  ## every test, and which lines it runs; takes half as long again
	$(PYTEST) --cov --cov-report=term:skip-covered

lint: $(VENV)/.dev  ## ruff, mypy and the import contracts
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

lock: $(VENV)/.dev  ## write the lock files again from pyproject.toml (needs uv)
	uv pip compile --quiet --upgrade --universal --python-version 3.11 --generate-hashes --no-header --no-annotate pyproject.toml requirements/build.in -o requirements/run.txt
	uv pip compile --quiet --upgrade --universal --python-version 3.11 --generate-hashes --no-header --no-annotate pyproject.toml requirements/build.in --all-extras -o requirements/dev.txt

clean:  ## delete .venv and what the tools cached (never .fairlead)
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis .coverage

$(BIN)/python:
	@test -n "$(PYTHON)" || { echo "Fairlead needs Python 3.11 or newer; none was found (set PYTHON=/path/to/python3)" >&2; exit 1; }
	"$(PYTHON)" -m venv $(VENV)

$(VENV)/.run: requirements/run.txt pyproject.toml | $(BIN)/python
	@echo "installing what the job needs into $(VENV), 0.8 GB: a minute or more, and pip says nothing"
	$(PIP) install --require-hashes -r requirements/run.txt
	$(PIP) install --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/.dev: requirements/dev.txt pyproject.toml | $(BIN)/python
	@echo "installing everything into $(VENV), 1.6 GB: some minutes, and pip says nothing"
	$(PIP) install --require-hashes -r requirements/dev.txt
	$(PIP) install --no-deps --no-build-isolation --editable .
	@touch $@ $(VENV)/.run
