PYTHON ?= python3
RUN ?= results/latest
BIN := .venv/bin

.PHONY: setup bench bench-quick bench-full bench-faults raft-paper families report regress docs check test test-slow test-browser perf scale clean

setup: .venv/installed

.venv/installed: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or later is needed: make PYTHON=python3.11 ..."; exit 1; }
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	@touch $@

bench: setup
	$(BIN)/election-bench run --profile default

bench-quick: setup
	$(BIN)/election-bench run --profile quick

bench-full: setup
	$(BIN)/election-bench run --profile full

bench-faults: setup
	$(BIN)/election-bench run --profile faults

raft-paper: setup
	for part in split simulate processes draw; do $(BIN)/python -m bench.raft_paper $$part || exit; done

families: setup
	for part in simulate processes draw; do $(BIN)/python -m bench.families $$part || exit; done

report: setup
	$(BIN)/election-bench report $(RUN)

regress: setup
	$(BIN)/election-bench regress --quiet

docs: setup
	$(BIN)/python -m tests.pages

check: setup
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

test: setup
	$(BIN)/pytest -m 'not slow' --ignore=tests/browser --ignore=tests/perf

test-slow: setup
	$(BIN)/pytest -m slow --ignore=tests/browser --ignore=tests/perf

test-browser: setup
	$(BIN)/python -m pip install --quiet --editable '.[browser]'
	$(BIN)/pytest tests/browser

perf: setup
	$(BIN)/pytest tests/perf --benchmark-columns=median,iqr,rounds --benchmark-sort=name
	$(BIN)/python -m bench.perf

scale: setup
	$(BIN)/python -m bench.perf.scale

clean:
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis .benchmarks build *.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
