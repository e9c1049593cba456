# `make help` says what there is. Everything is installed into .venv here; the weights go to the user's cache folder.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.PHONY: help setup weights samples demo test soak chaos lint bench pictures lock sbom audit clean

# Without compiled modules a process takes twice as long to start, and there are many; they are kept in .venv and here.
unexport PYTHONDONTWRITEBYTECODE

VENV := .venv
BIN := $(VENV)/bin
DEMO := demo

# 3.11 first: every package of the lock has a ready-made wheel for it; for others pocketsphinx is built from source.
PYTHONS := $(or $(PYTHON),python3.11 python3.12 python3.10 python3)
RIGHT_PYTHON := import sys; sys.exit(not (3, 10) <= sys.version_info[:2] < (3, 13))

help: ## List the targets
	@sed -nE 's/^([a-z]+):.*## (.*)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 14

$(BIN)/uv: requirements-uv.lock
	@for python in $(PYTHONS); do \
	  if "$$python" -c '$(RIGHT_PYTHON)' 2>/dev/null; then found=$$python; break; fi; \
	done; \
	if [ -z "$${found:-}" ]; then \
	  echo "FV2ES needs Python 3.10, 3.11 or 3.12, and none of these is one: $(PYTHONS). Name one: make PYTHON=/path/to/python" >&2; \
	  exit 1; \
	fi; \
	[ -x $(BIN)/python ] || "$$found" -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-uv.lock
	@touch $@

# uv does not read pip's settings, so it is handed the index that pip was set up with, where there is one.
$(VENV)/.installed: $(BIN)/uv requirements.lock pyproject.toml
	@echo "Installing the locked packages into $(VENV) ..."
	@index=$${UV_DEFAULT_INDEX:-$${PIP_INDEX_URL:-$$($(BIN)/python -m pip config get global.index-url 2>/dev/null || true)}}; \
	if [ -n "$$index" ]; then export UV_DEFAULT_INDEX="$$index"; fi; \
	$(BIN)/uv pip install --python $(BIN)/python --no-deps --require-hashes -r requirements.lock; \
	$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation -e .
	@touch $@

setup: $(VENV)/.installed weights ## Install everything that is needed into .venv, and fetch the default weights

weights: $(VENV)/.installed
	@$(BIN)/fv2es models pull

samples: $(VENV)/.installed
	@$(BIN)/fv2es models pull sample-face sample-speech

demo: setup samples ## Build a small corpus, label it and print the rows
	@$(BIN)/python -m pipelines.demo build $(DEMO)/corpus
	@rm -rf $(DEMO)/out; code=0; \
	$(BIN)/fv2es label $(DEMO)/corpus --out $(DEMO)/out || code=$$?; \
	if [ $$code -ne 3 ]; then \
	  echo "The labelling ended with exit code $$code; 3 was expected (finished, and two files are broken on purpose)." >&2; \
	  exit 1; \
	fi
	@$(BIN)/python -m pipelines.demo show $(DEMO)/out

# Much of a test is waiting: two processes share the files of tests.
test: setup samples ## Run the tests
	@$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

NIGHTS := 60
VIDEOS := 1000000
CLIPS_HERE = $(or $(CLIPS),$(addsuffix /clips,$(FV2ES_TEST_DATA)))

soak: setup samples ## Run what takes hours: long tests, 60 nights, a million videos, engine against engine: make soak CLIPS=folder
	@$(BIN)/python -m pytest -m soak
	@$(BIN)/python -m benchmarks.nights --nights $(NIGHTS)
	@$(BIN)/python -m benchmarks.scale --videos $(VIDEOS)
	@if [ -n "$(CLIPS_HERE)" ]; then \
	  $(BIN)/python -m benchmarks.engines --clips "$(CLIPS_HERE)"; \
	else \
	  echo "Engines were not compared: say on which clips by CLIPS=folder-of-videos" >&2; \
	fi

ROUNDS := 20

chaos: setup ## Break runs in every way, at random moments, many times over: make chaos ROUNDS=20
	@$(BIN)/python -m tests.chaos.rounds --rounds $(ROUNDS) $(if $(SEED),--seed $(SEED))

lint: $(VENV)/.installed ## Run the linter, the formatter's check and the type checker
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy

BENCH := build/bench

bench: setup samples ## Measure speed, its limit, and other ways; the machine must be quiet: make bench CLIPS=folder STRICT=1
	@$(BIN)/python -m benchmarks.speed $(if $(CLIPS_HERE),--clips "$(CLIPS_HERE)") $(if $(STRICT),--strict) \
	  --work $(BENCH) --json $(BENCH)/speed.json --plot $(BENCH)/speed.svg

pictures: demo ## Take the README's pictures of the demo's output (needs Chromium)
	@$(BIN)/python -m benchmarks.pictures $(DEMO)/out docs/pictures

LOCK := $(BIN)/uv pip compile --quiet --universal --python-version 3.10 --generate-hashes --no-emit-index-url --no-annotate --no-header

lock: $(BIN)/uv ## Pin and hash every package anew; no address gets into the locks
	@$(LOCK) --all-extras --upgrade pyproject.toml -o requirements.lock
	@$(LOCK) --upgrade requirements-uv.in -o requirements-uv.lock

sbom: $(VENV)/.installed ## Write the bill of materials (CycloneDX) to build/sbom.json
	@$(BIN)/python -m deploy.sbom

audit: $(VENV)/.installed ## Compare what is installed with the lock, list licences, look up known holes (network)
	@$(BIN)/python -m deploy.audit

clean: ## Remove what the demo, tests and tools made; .venv and the weights stay
	@rm -rf $(DEMO) build .pytest_cache .hypothesis .mypy_cache .ruff_cache *.egg-info
