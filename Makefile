# `make demo` and `make test` set up all they need (.venv/, and Debian packages: see scripts/setup) and may be run at once.
# YES=1 installs Debian packages by sudo without asking.

BIN := .venv/bin
PYTEST := $(BIN)/python -m pytest

.PHONY: help demo test test-long chaos lint format bench dist clean

help:
	@echo "make demo       run the tour on this machine: Rust, C++, Go and C, compiled here, run in the sandbox"
	@echo "make test       formatter, linter, types and tests, on several workers; ARGS=... goes to pytest, such as ARGS='-n 0 tests/cli'"
	@echo "make test-long  the tests that take minutes or gigabytes"
	@echo "make chaos      10,000 tasks while schedulers, links and hosts fail at random (minutes, as root); CHAOS_SEED=n repeats one"
	@echo "make lint       formatter, linter and types only;  make format  lets them mend what they can"
	@echo "make bench      tasks and calls a second against GNU parallel, HyperQueue and dask; the scheduler by itself"
	@echo "make dist       in dist/: batchwasm, one file that needs no Python (Linux x86-64, minutes); wheel and sdist"
	@echo "make clean      removes what was made, .venv too"

demo:
	@started=$$(date +%s); scripts/setup demo && $(BIN)/python scripts/demo.py $$started

# By file: what a file's tests share, say a compiled module, is made once, and each worker has its own servers and folders.
test: lint
	@$(PYTEST) -m "not long" -n auto --dist loadfile $(ARGS)

test-long: setup-test
	@$(PYTEST) -m long -n auto --dist loadfile --timeout 1800 $(ARGS)

chaos: setup-test
	@$(BIN)/python -m tests.chaos $(ARGS)

lint: setup-test
	@$(BIN)/ruff format --check --quiet
	@$(BIN)/ruff check --quiet
	@$(BIN)/mypy --no-error-summary
	@$(BIN)/mypy --no-error-summary --platform darwin --cache-dir .mypy_cache/darwin

format: setup-test
	@$(BIN)/ruff format --quiet
	@$(BIN)/ruff check --quiet --fix

bench: setup-test
	@$(BIN)/python benchmarks/throughput.py $(ARGS)
	@$(BIN)/python benchmarks/functions.py
	@$(BIN)/python benchmarks/transports.py
	@$(BIN)/python benchmarks/core.py --tasks 1000 100000
	@$(BIN)/python benchmarks/makespan.py --hosts 100 --tasks 100000
	@$(BIN)/python benchmarks/tui.py

dist: setup-test
	@rm -f dist/batchwasm-*.whl dist/batchwasm-*.tar.gz
	@said=$$($(BIN)/python -m build --outdir dist . 2>&1) || { echo "$$said" >&2; exit 1; }
	@$(BIN)/python scripts/onefile/build.py dist

.PHONY: setup-test
setup-test:
	@scripts/setup test

clean:
	rm -rf .venv build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
