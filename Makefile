# What a person types. Everything made lands in build/ and .venv/, both ignored by git.

PYTHON ?= python3
BIN := .venv/bin
INSTALLED := .venv/installed

.PHONY: help demo convert test check bench clean

help:  ## list these commands
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 10

$(INSTALLED): pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --disable-pip-version-check -c constraints.txt -e '.[tflite,onnx,convert,dev]'
	touch $@

demo: $(INSTALLED)  ## from nothing: install, fetch, convert, and run the loop over a real video
	$(BIN)/python -m models demo

convert: $(INSTALLED)  ## convert the models of models/recipes to bundles in build/bundles
	$(BIN)/python -m converters convert --all

test: $(INSTALLED)  ## run all tests, from nothing
	$(BIN)/python -m pytest

check: $(INSTALLED)  ## lint, strict types, import law
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(INSTALLED)  ## measure the loop against bare models, and its parts against their peers
	$(BIN)/python -m benchmarks

clean:  ## remove build/ and .venv/
	rm -rf build .venv dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
