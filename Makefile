# The verbs of this repository. Each works in a fresh clone: without an active virtual
# environment one is made in .venv; a stamp in it makes the second call quick.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.PHONY: help install dev demo test test-paddle check format bench examples clean

PYTHON ?= python3
ifdef VIRTUAL_ENV
VENV := $(VIRTUAL_ENV)
else
VENV := .venv
endif
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.gloss-installed
DEVELOPED := $(VENV)/.gloss-developed
BENCHED := $(VENV)/.gloss-benched
PIP := $(BIN)/python -m pip --disable-pip-version-check install --quiet

DEMO_LAKE := build/demo-lake
FILE := regexp_extract(uri, '[^/]+$$') AS file

help: ## list the verbs
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 20

install: $(INSTALLED) ## install gloss
dev: $(DEVELOPED) ## install gloss with what tests and checks need

demo: $(INSTALLED) ## read the example corpus and ask it questions
	@rm -rf $(DEMO_LAKE)
	@echo '$$ gloss ingest examples/corpus --lake $(DEMO_LAKE)'
	@code=0; $(BIN)/gloss ingest examples/corpus --lake $(DEMO_LAKE) || code=$$?; \
	case $$code in \
	0) echo 'make demo: wanted exit code 3, because one example is broken; found 0' >&2; exit 1;; \
	3) echo 'Exit code 3: all but unfinished-recording.mp4, which is broken on purpose, is in the lake.';; \
	*) exit $$code;; esac
	@echo
	@echo '$$ gloss search "limpet*" --lake $(DEMO_LAKE)'
	@$(BIN)/gloss search "limpet*" --lake $(DEMO_LAKE)
	@echo
	@echo '$$ gloss query "SELECT … FROM assets" --lake $(DEMO_LAKE)'
	@$(BIN)/gloss query "SELECT $(FILE), kind, status, language, duration_seconds AS seconds, \
	page_count AS pages, clip_count AS clips, title FROM assets ORDER BY kind, file" --lake $(DEMO_LAKE)

test: $(DEVELOPED) ## run all tests
	$(BIN)/python -m pytest

# An environment of its own: PaddleOCR brings another build of OpenCV, which takes cv2 over. It has only what these
# tests import, not all of `dev`: PaddleX wants PyYAML 6.0.2 and no other, the S3 server of the tests a newer one.
test-paddle: ## run the tests of the PaddleOCR engine, on the weights in RapidOCR's wheel
	test -x .venv-paddle/bin/python || $(PYTHON) -m venv .venv-paddle
	.venv-paddle/bin/python -m pip --disable-pip-version-check install --quiet -e '.[paddle]' hypothesis pytest pytest-timeout
	OMP_NUM_THREADS=1 .venv-paddle/bin/python -m pytest -m paddle tests/test_ocr_paddle.py

check: $(DEVELOPED) ## lint, format and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(DEVELOPED) ## let ruff rewrite the files
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(BENCHED) ## measure beside a hand-written loop, plain Ray Data and Daft
	$(BIN)/python -m benchmarks
	$(BIN)/python -m benchmarks.batching

examples: $(DEVELOPED) ## make the example corpus again (needs espeak-ng and fonts)
	$(BIN)/python examples/make_examples.py

clean: ## remove what was built; an active environment stays
	rm -rf build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .venv .venv-paddle

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	{ echo "Wanted Python 3.11 or newer; $(PYTHON) is $$($(PYTHON) --version 2>&1). Try make PYTHON=python3.11" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)

# pip compiles what it copies, and copies nothing of an editable install. Where Python is told to write no byte
# code, as in many containers, each of our processes would compile anew: 0.5 to 0.7 s of CPU time.
COMPILE := $(BIN)/python -m compileall -q cluster jobs operators schemas

$(INSTALLED): pyproject.toml | $(BIN)/python
	$(PIP) -e .
	$(COMPILE)
	@touch $@

$(DEVELOPED): pyproject.toml | $(BIN)/python
	$(PIP) -e '.[dev]'
	$(COMPILE)
	@touch $@ $(INSTALLED)

$(BENCHED): pyproject.toml | $(BIN)/python
	$(PIP) -e '.[dev,bench]'
	$(COMPILE)
	@touch $@ $(DEVELOPED) $(INSTALLED)
