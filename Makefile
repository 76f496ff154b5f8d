# `make demo` and `make test` set everything up first; a machine needs Python 3.11 or
# newer and make. PYTHON chooses the interpreter, THREADS how many cores to use.
PYTHON ?= python3
THREADS ?= 2
VENV := .venv
BIN := $(VENV)/bin
SOURCES := $(shell find stencilnet configs -name '*.py' -o -name '*.yaml' -o -path '*.zarr/zarr.json' -o -name py.typed)

export OMP_NUM_THREADS := $(THREADS)
export MKL_NUM_THREADS := $(THREADS)

.PHONY: demo test long lint docs paper clean

demo: $(VENV)/package
	$(BIN)/stencilnet demo --overwrite

# One worker for each core, with one thread. What is long comes apart, as `make long`.
PYTEST = OMP_NUM_THREADS=1 MKL_NUM_THREADS=1 $(BIN)/pytest --numprocesses $(THREADS) --dist worksteal
test: $(VENV)/package
	$(PYTEST) -m "not long"

long: $(VENV)/package
	$(PYTEST) -m long

lint: $(VENV)/package
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

docs: $(VENV)/package
	$(BIN)/sphinx-build --fail-on-warning --quiet docs build/docs
	@echo "wrote build/docs/index.html"

# Tables 1 to 6 and Figures 1 to 8 of the paper that this project builds on.
paper: $(VENV)/package
	$(BIN)/python simulations/paper.py

clean:
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache .hypothesis build dist

# The package is installed as a user has it, not linked to this folder, so that the
# tests see what a wheel would hold.
$(VENV)/package: $(VENV)/dependencies README.md $(SOURCES)
	$(BIN)/pip install --quiet --no-deps --no-build-isolation --force-reinstall .
	@touch $@

# torch goes first, in the version that is tested. On Linux the usual index has builds for
# graphics cards, with gigabytes of libraries: see the README for one without.
$(VENV)/dependencies: pyproject.toml constraints.txt
	$(PYTHON) -c "import sys; sys.version_info >= (3, 11) or sys.exit('stencilnet needs Python 3.11 or newer: make PYTHON=python3.11')"
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --constraint constraints.txt pip
	$(BIN)/pip install --quiet --constraint constraints.txt torch
	$(BIN)/pip install --quiet --constraint constraints.txt --group dev .
	@touch $@
