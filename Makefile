# All commands of the project. `make` alone lists them.

VENV := .venv
# Which Python to build the environment with; the project needs 3.11.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
SNAKEMAKE := $(VENV)/bin/snakemake --profile profiles/local
# The demo fits 8 GiB however many cores there are: two trainings at a time, of one thread each.
DEMO := $(SNAKEMAKE) --configfile config/demo.yaml --resources gpu=1 mem_mb=7600 \
	--set-threads teach_model=1 unlearn_concept=1

# The rounds of `make calibrate`: their number (their seeds begin at SEED), and what is known of
# their models: each fact (for the audit), or whether a model was taught (for the paper's scores).
ROUNDS ?= 1
KIND ?= facts
ROUND = results/calibration/$(KIND)/$(SEED)
TARGET_facts := fact_rounds
TARGET_models := calibrated

.DEFAULT_GOAL := help
.PHONY: help setup demo calibrate test test-crate test-report test-paper test-slurm test-gpu test-utility lint clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(VENV)/.installed ## create the virtual environment .venv, with all tools

demo: setup ## a study of a small real model that learns, hides and forgets facts: minutes, no GPU
	@$(DEMO)
	@echo "The figures:"
	@ls results/demo/figures/*/*.png
	@echo "The report, to be opened in a browser:"
	@echo "$(CURDIR)/results/demo/report.html"

calibrate: setup ## rounds of models whose facts are known one by one: make calibrate SEED=301 ROUNDS=2; half an hour each
	@test -n "$(SEED)" || { echo "error: name the first round's seed: make calibrate SEED=301 ROUNDS=2" >&2; exit 2; }
	@test -n "$(TARGET_$(KIND))" || { echo "error: KIND=$(KIND); allowed: facts, models" >&2; exit 2; }
	$(VENV)/bin/python calibration/make_study.py $(ROUND) --kind $(KIND) --seed $(SEED) --rounds $(ROUNDS)
	$(SNAKEMAKE) $(TARGET_$(KIND)) --set-threads teach_model=1 unlearn_concept=1 --configfile $(ROUND)/study.yaml
	$(VENV)/bin/python calibration/keep_rounds.py $(ROUND)

test: setup ## all tests except the long ones below
	tests/side_by_side.sh $(VENV)/bin/python "tests/workflow tests/hub" \
		"--ignore=tests/workflow --ignore=tests/hub"

test-crate: setup $(VENV)/roc-validator/.installed ## the archive against the profiles of RO-Crate
	$(VENV)/bin/pytest tests/crate

test-report: setup ## the report in a real browser; installs Debian's chromium, as root, if it is missing
	tests/browser/install.sh
	$(VENV)/bin/pytest tests/browser

test-paper: setup ## the paper's whole study with tiny models, from a stand-in for the Hub to the figures
	$(VENV)/bin/pytest tests/paper

test-slurm: setup ## a real Slurm cluster on this machine, including its failures; needs root on Debian
	tests/slurm/run.sh

test-gpu: setup ## the sweep on a GPU, if there is one
	$(VENV)/bin/pytest tests/gpu

test-utility: setup ## what else models can do, by lm-evaluation-harness; installs it
	$(VENV)/bin/pip install --quiet --disable-pip-version-check '.[utility]' -c constraints.txt
	$(VENV)/bin/pytest tests/utility

lint: setup ## style, types and snakemake --lint
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy
	$(VENV)/bin/snakefmt --check Snakefile workflow/Snakefile workflow/rules
	$(VENV)/bin/snakemake --lint --configfile config/demo.yaml

clean: ## remove the environment and caches; results stay
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# Made again only if its inputs have changed. Byte-compiled on all cores, since pip compiles on one, which takes half of
# its time. As with pip, files for other Python versions may fail to compile.
$(VENV)/.installed: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' 2>/dev/null || \
		{ echo "error: Python 3.11 is needed, found $$($(PYTHON) --version 2>&1); install it, or name one: make PYTHON=/path/to/python3.11" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/pip install --quiet --disable-pip-version-check --no-compile -e '.[dev]' -c constraints.txt
	@$(VENV)/bin/python -m compileall -qq -j 0 $(VENV)/lib || true
	@touch $@

# An environment of its own: roc-validator needs an older rich than the one in constraints.txt.
$(VENV)/roc-validator/.installed: tests/crate/requirements.txt
	$(PYTHON) -m venv $(VENV)/roc-validator
	$(VENV)/roc-validator/bin/pip install --quiet --disable-pip-version-check -r tests/crate/requirements.txt
	@touch $@
