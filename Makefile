# Python >= 3.11, make and git are all that is assumed. `make` or `make help` lists the targets.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
RAY := .venv.ray
RAY_STAMP := $(RAY)/.installed
PEERS := .venv.peers
ENCODERS := .venv.encoders
PEERS_STAMP := $(PEERS)/.installed

.DEFAULT_GOAL := help
.PHONY: help install install-ray test-ray test-services test-browser test-encoders run plan test test-scenarios test-slow faults fuzz-images check audit bench bench-quick bench-scale bench-ingest bench-gpu bench-ray params recipes source-rows attributes docs serve ui lock clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):[^#]*## /\1\t/' | expand -t 14

install: $(STAMP) ## make .venv from requirements.lock (done by the others where needed)

# The stamp is newer than the lock once everything is in, so that nothing is set up twice.
$(STAMP): requirements.lock requirements-text.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "error: Python >= 3.11 is needed; set PYTHON=/path/to/python3.11"; exit 2; }
	@echo "setting up $(VENV) (once; several minutes and about 6 GB on Linux, most of it torch)"
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install -qq --disable-pip-version-check --requirement requirements.lock
	@$(BIN)/python -m pip install -qq --disable-pip-version-check --no-deps --requirement requirements-text.lock
	@echo "packages are in; adding headstart itself"
	@$(BIN)/python -m pip install -qq --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@$(BIN)/python -m compileall -q headstart tasks flows
	@$(BIN)/python -m flows.empty_database
	@touch $(STAMP)

install-ray: $(STAMP) ## add Ray to .venv, so that cells can run on several machines (docs/howto/several-machines.md)
	@$(BIN)/python -m pip install -qq --disable-pip-version-check --no-deps --requirement requirements-ray.lock

run: $(STAMP) ## run the pipeline as params.yaml says; ends with the verdict, the model and the report
	@$(BIN)/headstart run

plan: $(STAMP) ## say what a run would do, how long it takes and how sure its verdict can be
	@$(BIN)/headstart run --plan

test: $(STAMP) ## the test suite, in two processes of one thread each
	@OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses 2 --dist loadscope

test-scenarios: $(STAMP) ## what reruns, dataset versions, kill and resume, own data: minutes of real git and DVC
	@$(BIN)/python -m pytest -m scenario

test-slow: $(STAMP) ## the long tier: simulations and A/A runs, with their figures
	@$(BIN)/python -m pytest -m slow -s

faults: $(STAMP) ## what breaks and what is broken: faults and bad input, all of tests/faults; writes tests/faults/faults.json
	@OMP_NUM_THREADS=1 FAULTS_TALLY=1 $(BIN)/python -m pytest --numprocesses 2 --dist loadscope --no-loadscope-reorder \
		--timeout 600 --durations 25 -m '' tests/faults $$($(BIN)/python tests/faults/tally.py)
	@$(BIN)/python tools/faults_table.py

fuzz-images: $(STAMP) ## 10,000 mutated images through ingest (about a minute)
	@OMP_NUM_THREADS=1 FAULTS_TALLY=1 $(BIN)/python -m pytest -p no:xdist -m faults tests/faults/test_mutated_images.py

test-encoders: $(STAMP) ## encoders of the transformers library against our blocks (it lies beside .venv: others import it where it is there)
	@test -d $(ENCODERS)/transformers || $(BIN)/python -m pip install -qq --disable-pip-version-check --no-deps \
		--target $(ENCODERS) transformers==5.24.0
	@PYTHONPATH=$(CURDIR)/$(ENCODERS) $(BIN)/python -m pytest -p no:xdist tests/unit/backbones/test_text_networks.py \
		tests/unit/flows/test_weights_flag.py

test-ray: $(RAY_STAMP) ## cells on a Ray cluster of two nodes in this machine, in an environment of its own (minutes)
	@$(RAY)/bin/python -m pytest -p no:xdist -m ray tests/cluster

test-services: $(STAMP) ## a run on Prefect and MLflow on PostgreSQL, with passwords, and on S3 (minutes)
	@.ci/packages '/usr/lib/postgresql/*/bin/initdb:postgresql'
	@$(BIN)/python -m pytest -p no:xdist -m services tests/services

test-browser: $(STAMP) ## a run from Prefect's form to its report, in headless Chromium; pictures in build/screenshots (minutes)
	@.ci/packages chromium:chromium
	@OMP_NUM_THREADS=1 $(BIN)/python -m pytest -p no:xdist -m browser tests/browser

bench-ray: $(RAY_STAMP) ## cells an hour against workers, by Ray and by local processes (about 15 minutes)
	@$(RAY)/bin/python -m benchmarks.ray

# The tests must not make `make test` need Ray: an environment of their own.
$(RAY_STAMP): requirements.lock requirements-ray.lock
	@echo "setting up $(RAY), with Ray (once; several minutes)"
	@test -x $(RAY)/bin/python || $(PYTHON) -m venv $(RAY)
	@$(RAY)/bin/python -m pip install -qq --disable-pip-version-check --requirement requirements.lock --requirement requirements-ray.lock
	@touch $(RAY_STAMP)

check: $(STAMP) ## ruff, mypy strict on headstart/, import-linter, bandit, pip-audit
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(BIN)/bandit --quiet --configfile pyproject.toml --recursive headstart tasks flows benchmarks tools
	@$(BIN)/python tools/audit.py

audit: $(STAMP) ## known vulnerabilities of the packages in requirements.lock; says so where nobody can be asked
	@$(BIN)/python tools/audit.py

bench: $(STAMP) $(PEERS_STAMP) ## the same jobs with the peers, side by side: fastai, timm, Lightning and others (about an hour)
	@$(BIN)/python -m benchmarks

bench-quick: $(STAMP) $(PEERS_STAMP) ## a small version of it, which writes no results (under five minutes)
	@$(BIN)/python -m benchmarks --quick --fresh

bench-scale: $(STAMP) ## how time and memory grow with images, classes, size, labels and strategies (half an hour, 3 GB)
	@$(BIN)/python -m benchmarks.scale

bench-ingest: $(STAMP) ## 100,000 texts and 10,000 clips through ingest: seconds and memory (about 2 minutes)
	@$(BIN)/python -m benchmarks.ingest_rows

# The peers never touch the product's own packages.
$(PEERS_STAMP): benchmarks/peers/requirements.txt
	@echo "setting up $(PEERS), the peers' own (once; several minutes)"
	@test -x $(PEERS)/bin/python || $(PYTHON) -m venv $(PEERS)
	@$(PEERS)/bin/python -m pip install -qq --disable-pip-version-check --requirement benchmarks/peers/requirements.txt
	@touch $(PEERS_STAMP)

bench-gpu: $(STAMP) $(PEERS_STAMP) ## images a second of training on a GPU, beside torchvision's and timm's; exits with 2 without one
	@$(BIN)/python -m benchmarks.gpu

recipes: $(STAMP) ## try recipes of each strategy on real pairs, and write docs/methods.md's tables (about 20 minutes)
	@$(BIN)/python -m benchmarks.recipes

source-rows: $(STAMP) ## what joint training is worth when the source has few rows (about 5 minutes)
	@$(BIN)/python -m benchmarks.source_rows

attributes: $(STAMP) ## what a source of attributes is worth, and classes without a label (about 10 minutes)
	@$(BIN)/python -m benchmarks.attributes

params: $(STAMP) ## write params.yaml anew from the defaults, where a setting was added
	@$(BIN)/python -c "from pathlib import Path; from headstart.settings import write_default; write_default(Path('params.yaml'))"

docs: $(STAMP) ## make docs/settings.md anew from the settings
	@$(BIN)/python tools/settings_table.py > docs/settings.md

serve: $(STAMP) ## Prefect's UI with a form and schedules, a worker, and MLflow's pages; Ctrl-C stops all of it
	@$(BIN)/headstart serve

ui: $(STAMP) ## open MLflow's pages on this project's runs
	@$(BIN)/headstart ui

lock: ## make requirements.lock anew from pyproject.toml
	@rm -rf $(VENV).lock && $(PYTHON) -m venv $(VENV).lock
	@$(VENV).lock/bin/python -m pip install -qq --disable-pip-version-check --upgrade pip
	@$(VENV).lock/bin/python -m pip install -qq --disable-pip-version-check --group dev --editable '.[services]'
	@$(VENV).lock/bin/python tools/lock.py > requirements.lock
	@$(VENV).lock/bin/python -m pip install -qq --disable-pip-version-check --constraint requirements.lock --editable '.[ray]'
	@$(VENV).lock/bin/python tools/lock.py requirements.lock > requirements-ray.lock
	@rm -rf $(VENV).lock

clean: ## remove what runs made, MLflow's runs too; data, params.yaml and dvc.lock stay
	@rm -rf packs models features reports .headstart .dvc/tmp .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache .grimp_cache
