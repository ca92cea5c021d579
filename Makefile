# Every target creates its environment: `make demo` and `make test` need Python 3.11 to 3.14 and make, nothing else.
# `make test PYTHON=python3.12` uses that interpreter in its own virtual environment. `make test ARGS="-k cuts"` passes arguments on.

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.NOTPARALLEL:
.PHONY: help demo test slow bench accuracy peers zoo sweep parity oldest dist check docs docs-site lock clean

ifeq ($(origin PYTHON),undefined)
VENV ?= .venv
else
VENV ?= .venv-$(notdir $(PYTHON))
endif
PYTHON ?= $(shell sh tools/find_python.sh)
BIN := $(VENV)/bin
PINS := requirements/constraints.txt
NO_DEPS := requirements/no-deps.txt

export OMP_NUM_THREADS ?= 1
export MPLBACKEND ?= Agg
export HF_HUB_OFFLINE ?= 1
export TOKENIZERS_PARALLELISM ?= false
export PIP_DISABLE_PIP_VERSION_CHECK ?= 1

help:
	@echo "make demo    trains two small models, explains them, and writes demo-output/report.html"
	@echo "make test    the test suite                           make slow    the long tests"
	@echo "make bench   speed, memory and accuracy, compared with captum, shap and loops written by hand"
	@echo "make accuracy accuracy of Shapley values, and error against budget"
	@echo "make peers   accuracy of Shapley values, compared with the newest captum, shap and shapiq (PYTHON=python3.12 or newer)"
	@echo "make zoo     rules on many architectures               make sweep   rules on every family of transformers"
	@echo "make check   lint, types, import layering, suppressions, the examples in the documents"
	@echo "make docs-site the documentation as a site in site/, with the reference of every public name"
	@echo "make parity  LRP rules compared with zennit, metrics with Quantus, methods on a sentence encoder; written to docs/reports"
	@echo "make oldest  smoke tests with the oldest versions       make dist    builds the package, and uses the wheel in an empty environment"
	@echo "make lock    renews requirements/constraints.txt      make clean   removes all build output"

$(VENV)/.made:
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 15))' \
	  || { echo "ascribe needs Python 3.11 to 3.14. Choose one: make PYTHON=python3.12 ..." >&2; exit 1; }
	@echo "creating $(VENV) (once; the downloads take some minutes)" >&2
	@$(PYTHON) -m venv --clear $(VENV)
	@touch $@

$(VENV)/.has-%: $(VENV)/.made pyproject.toml $(PINS) $(NO_DEPS)
	@echo "installing ascribe[$*] into $(VENV), as pinned in $(PINS)" >&2
	@$(BIN)/python -m pip install -qq --constraint $(PINS) --editable ".[$*]"
	@case $* in test|dev) $(BIN)/python -m pip install -qq --no-deps --requirement $(NO_DEPS) ;; esac
	@touch $@

demo: $(VENV)/.has-demo
	@$(BIN)/ascribe demo --out demo-output $(ARGS)

test: $(VENV)/.has-test
	@$(BIN)/python -m pytest $(ARGS)

slow: $(VENV)/.has-test
	@$(BIN)/python -m pytest -m slow $(ARGS)

bench: $(VENV)/.has-test
	@env -u OMP_NUM_THREADS $(BIN)/python -m benchmarks $(ARGS)
	@$(BIN)/python -m benchmarks.accuracy

accuracy: $(VENV)/.has-test
	@$(BIN)/python -m benchmarks.accuracy $(ARGS)
	@$(BIN)/python -m benchmarks.budgets

peers: $(VENV)/.has-test requirements/peers.txt
	@$(BIN)/python -m pip install -qq --requirement requirements/peers.txt
	@$(BIN)/python -m benchmarks.accuracy --commit $(ARGS)
	@$(BIN)/python -m benchmarks.autolrp --commit

zoo: $(VENV)/.has-test
	@$(BIN)/python -m benchmarks.zoo $(ARGS)

sweep: $(VENV)/.has-test
	@$(BIN)/python -m benchmarks.zoo sweep $(ARGS)

docs: $(VENV)/.has-test
	@$(BIN)/python -m pytest tests/package/test_docs.py $(ARGS)

docs-site: $(VENV)/.has-docs
	@$(BIN)/python -m tools.site site
	@echo "site/index.html"

check: $(VENV)/.has-dev
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/python tools/layers.py ascribe
	@$(BIN)/python tools/suppressions.py ascribe
	@$(BIN)/python -m pytest tests/package/test_docs.py

parity: $(VENV)/.has-test requirements/parity.txt requirements/quantus.txt
	@$(BIN)/python -m pip install -qq --no-deps --upgrade --target .venv-zennit --requirement requirements/parity.txt
	@$(BIN)/python -m pip install -qq --no-deps --upgrade --target .venv-quantus --requirement requirements/quantus.txt
	@PYTHONPATH=.venv-zennit $(BIN)/python -m pytest tests/parity/test_zennit_parity.py $(ARGS)
	@PYTHONPATH=.venv-zennit $(BIN)/python -W ignore -m tests.support.zennit_cases docs/reports/parity.md
	@PYTHONPATH=.venv-quantus $(BIN)/python -m pytest tests/parity/test_quantus_parity.py tests/parity/test_sentences.py $(ARGS)
	@PYTHONPATH=.venv-quantus $(BIN)/python -W ignore -m benchmarks.quantus --commit
	@PYTHONPATH=.venv-quantus HF_HUB_OFFLINE=1 $(BIN)/python -W ignore -m benchmarks.sentences --commit

oldest:
	@$(PYTHON) tools/oldest.py $(ARGS)

dist: $(VENV)/.made requirements/dist.txt
	@$(BIN)/python -m pip install -qq --requirement requirements/dist.txt
	@$(BIN)/python tools/dist.py $(ARGS)

lock:
	@$(PYTHON) tools/lock.py $(PINS)

clean:
	rm -rf .venv .venv-* build dist site *.egg-info demo-output bench-output .pytest_cache .hypothesis .mypy_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
