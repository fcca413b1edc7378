# make demo   try authd on an embedded database, in the foreground; DEMO_ARGS=--once ends after the show
# make test   install what the tests need and run everything
# make bench  measure authd beside the real Courier
# make lint   ruff and mypy
# make docs   write docs/settings.md from the settings tables

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
DEMO_ARGS ?=
TEST_ARGS ?=
BENCH_ARGS ?=

.PHONY: demo test bench lint docs setup clean

# The stamps are newer than pyproject.toml where the environment has what it names.
$(VENV)/installed: pyproject.toml
	tests/setup python "$(PYTHON)"
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --editable .
	touch $@

$(VENV)/installed-dev: $(VENV)/installed
	$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[dev]'
	touch $@

demo: $(VENV)/installed
	$(BIN)/python docs/demo.py $(DEMO_ARGS)

setup: $(VENV)/installed-dev
	tests/setup peers

test: setup lint
	tests/run $(TEST_ARGS)

bench: setup
	$(BIN)/python -m tests.bench $(BENCH_ARGS)

lint: $(VENV)/installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

docs: $(VENV)/installed
	$(BIN)/python -m authd.config.document > docs/settings.md

clean:
	rm -rf $(VENV) demo .mypy_cache .ruff_cache .pytest_cache .hypothesis .coverage .coverage.* build *.egg-info
