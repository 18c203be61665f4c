# Two commands matter: `make demo` and `make test`. Each sets up .venv when it has to.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

JITTOR := .venv-jittor

.PHONY: setup demo test test-avx2 test-jittor jittor fuzz lint types format bench docs screenshots clean

setup: $(STAMP)

$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or later is needed; try make PYTHON=python3.12 ...")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[dev]"
	touch $@

demo: setup  # simulate, scan, subset, voxelize, stats, train, evaluate, pictures
	rm -rf demo
	$(BIN)/dmanet demo demo

# Two processes share the cores already: more threads in each would only wait for one another.
test: setup
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -n 2 --dist loadfile
	@echo "Not run here: the tests of dmanet_jittor, which need jittor; run \`make test-jittor\`."

# As on a processor with AVX2 and no more, which torch's CPU kernels treat otherwise.
AVX2 := ONEDNN_MAX_CPU_ISA=AVX2 ATEN_CPU_CAPABILITY=avx2
test-avx2: setup
	$(AVX2) OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -n 2 --dist loadfile tests/dmanet

# An environment without torch, whose numpy is one that jittor computes right with (docs/jittor.md).
jittor: $(JITTOR)/.installed

$(JITTOR)/.installed: requirements-jittor.txt pyproject.toml
	$(PYTHON) -m venv $(JITTOR)
	$(JITTOR)/bin/pip install --quiet --disable-pip-version-check -r requirements-jittor.txt
	$(JITTOR)/bin/pip install --quiet --disable-pip-version-check --no-deps -e .
	$(JITTOR)/bin/python -m dmanet_jittor.set_up
	touch $@

test-jittor: jittor
	OMP_NUM_THREADS=2 $(JITTOR)/bin/python -m pytest -q tests/dmanet_jittor

# Ten thousand hostile inputs, in about half an hour; a minute of it is part of `make test`.
fuzz: setup
	$(BIN)/python -m tests.fuzz

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports

types: setup
	$(BIN)/mypy

format: setup
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: setup  # the longer tables of docs/, in about an hour; the pages name the commands of the others
	$(BIN)/python -m benchmarks.voxelize
	$(BIN)/python -m benchmarks.voxelize_profile
	$(BIN)/python -m benchmarks.loader
	$(BIN)/python -m benchmarks.layouts
	OMP_NUM_THREADS=1 $(BIN)/python -m benchmarks.train_step
	$(BIN)/python -m benchmarks.evaluation
	$(BIN)/python -m benchmarks.divergence
	$(BIN)/python -m benchmarks.ablation --seeds 2
	$(BIN)/python -m benchmarks.learn
	$(BIN)/python -m benchmarks.convolution_faults

docs: setup
	$(BIN)/python -m cli.documentation

screenshots: setup  # of a report in docs/; needs a Chromium
	$(BIN)/python -m tests.browser.screenshots

clean:
	rm -rf $(VENV) $(JITTOR) demo build *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
