# Two commands: `make demo` and `make test`. Each sets up .venv by itself; a second run starts at once.

VENV  := .venv
PY    := $(VENV)/bin/python
FAISS := $(shell nvidia-smi -L >/dev/null 2>&1 && echo gpu || echo cpu)
# pip cannot swap one build of FAISS for another, so the other one goes first.
OTHER_FAISS := $(if $(filter gpu,$(FAISS)),faiss-cpu,faiss-gpu-cuvs)
READY      := $(VENV)/.ready-$(FAISS)
READY_TEST := $(VENV)/.ready-$(FAISS)-test
READY_BENCH := $(VENV)/.ready-$(FAISS)-bench
# A .venv whose Python is gone, or that was moved here from another folder, is made anew.
SOUND := $(shell $(PY) -c 'import pip' 2>/dev/null && [ "$$(cat $(VENV)/.folder)" = "$(CURDIR)" ] && echo yes)
INSTALL := $(PY) -m pip install --disable-pip-version-check
# The map is built when the package is installed.
MAP := hatch_build.py $(shell find query/web -name node_modules -prune -o -name dist -prune -o -type f -print)

.PHONY: demo test faults fuzz audit lint format bench clean new-venv

demo: $(READY)
	$(VENV)/bin/embedstore demo

test: lint
	$(PY) -m pytest $(PYTEST_ARGS)

# Thousands of faults in the middle of everything that writes; EMBEDSTORE_FAULT_SEED draws others. An hour or two.
faults: $(READY_TEST)
	$(PY) -m pytest -m slow -s tests/faults

# Every reader of files and requests, with EMBEDSTORE_FUZZ_SECONDS of CPU time and from EMBEDSTORE_FUZZ_SEED on.
fuzz: export EMBEDSTORE_FUZZ_SECONDS ?= 3600
fuzz: $(READY_TEST)
	$(PY) -m tests.fuzz.run --keep fuzz-faults

# What is installed, against the public lists of advisories; it needs the network, and is no part of `make test`.
audit: $(READY_TEST)
	$(INSTALL) --quiet pip-audit
	$(PY) -m pip_audit --local --skip-editable

lint: $(READY_TEST)
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy

format: $(READY_TEST)
	$(PY) -m ruff check --fix .
	$(PY) -m ruff format .

# Every measurement of docs/benchmarks.md at a size that takes half an hour; larger ones are named there.
RESULTS := benchmarks/results
bench: $(READY_BENCH)
	mkdir -p $(RESULTS)
	$(PY) -m benchmarks.encode --json $(RESULTS)/encode.json
	$(PY) -m benchmarks.search --rows 200000 --json $(RESULTS)/search.json
	$(PY) -m benchmarks.search --vectors real --rows 300000 --json $(RESULTS)/search_real.json
	$(PY) -m benchmarks.filtered --rows 200000 --json $(RESULTS)/filtered.json
	$(PY) -m benchmarks.recall --rows 200000 --json $(RESULTS)/recall.json
	$(PY) -m benchmarks.build --rows 200000 --json $(RESULTS)/build.json
	$(PY) -m benchmarks.cold_start --rows 1000000 --json $(RESULTS)/cold_start.json
	$(PY) -m benchmarks.classify --rows 1000000 --json $(RESULTS)/classify.json
	$(PY) -m benchmarks.concurrency --rows 200000 --json $(RESULTS)/concurrency.json
	$(PY) -m benchmarks.load --rows 60000 --seconds 10 --minutes 5 --json $(RESULTS)/load.json
	$(PY) -m benchmarks.remote --rows 60000 --json $(RESULTS)/remote.json
	$(PY) -m benchmarks.page

clean:
	rm -rf $(VENV) demo .mypy_cache .ruff_cache .pytest_cache .hypothesis

$(READY): pyproject.toml $(MAP) $(if $(SOUND),,new-venv)
	rm -f $(VENV)/.ready-*
	$(PY) -m pip uninstall --quiet --yes $(OTHER_FAISS)
	$(INSTALL) --editable '.[$(FAISS)]'
	touch $@

$(READY_TEST): pyproject.toml $(MAP) $(if $(SOUND),,new-venv)
	rm -f $(VENV)/.ready-*
	$(PY) -m pip uninstall --quiet --yes $(OTHER_FAISS)
	$(INSTALL) --editable '.[$(FAISS),test]'
	touch $(READY) $@

$(READY_BENCH): pyproject.toml $(MAP) $(if $(SOUND),,new-venv)
	rm -f $(VENV)/.ready-*
	$(PY) -m pip uninstall --quiet --yes $(OTHER_FAISS)
	$(INSTALL) --editable '.[$(FAISS),test,bench]'
	touch $(READY) $(READY_TEST) $@

new-venv:
	@for python in python3.13 python3.12 python3.11 python3; do \
		if $$python -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then \
			echo "setting up $(VENV) with $$($$python --version); the first time takes some minutes"; \
			rm -rf $(VENV) && $$python -m venv $(VENV) && echo "$(CURDIR)" > $(VENV)/.folder; \
			exit; \
		fi; \
	done; \
	echo "error: no Python 3.11 or newer with its venv module was found." \
		"Install one (on Debian and Ubuntu: apt-get install python3-venv) and run make again." >&2; \
	exit 1
