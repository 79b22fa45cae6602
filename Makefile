# `make demo` and `make test`: each sets up .venv once, then does its job.

PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test check bench clean

demo: .venv/.installed
	$(BIN)/noiseforge demo --out runs/demo

test: .venv/.installed check
	$(BIN)/pytest -q

check: .venv/.installed
	$(BIN)/ruff check src tests benchmarks
	$(BIN)/ruff format --check src tests benchmarks
	$(BIN)/mypy

bench: .venv/.installed
	$(BIN)/python -m benchmarks.throughput
	$(BIN)/python -m benchmarks.metrics

.venv/.installed: pyproject.toml constraints.txt src/noiseforge/networks/wavenet/kernel.cpp
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[dev,frames,log]'
	touch $@

clean:
	rm -rf .venv build dist src/*.egg-info src/noiseforge/networks/wavenet/_kernel.*
