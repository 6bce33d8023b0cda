# make demo | verify | quick | test | lint | fuzz | docs | bench | bench-data | bench-train | bench-quality | clean | help: each sets up what it needs, once.
# Variables: VENV (the virtual environment's folder), PYTHON (a CPython 3.11 to 3.13 to make it with).
VENV ?= .venv
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11 python; do \
	"$$p" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 14))' 2>/dev/null && echo "$$p" && break; done)

# Compiled modules are kept, also where the surroundings forbid it (as many containers do): compiling torch's anew takes every
# process that imports it five to ten seconds.
unexport PYTHONDONTWRITEBYTECODE

# Stages run as `python -m stages.x`, so the environment's python must be the first on PATH.
RUN = PATH="$(abspath $(VENV))/bin:$$PATH"

.PHONY: demo verify quick test lint fuzz docs bench bench-data bench-train bench-quality clean help setup
demo: setup
	$(RUN) dvc repro
	@echo "Done: open data/report/index.html in a browser and type a caption, or look at data/samples/grid.gif; then try: . $(VENV)/bin/activate; t2v --help"

# The demo twice, in clean clones of the last commit, and every output compared: twice as long as the demo.
verify: setup
	$(RUN) python -m tools.verify_runs

# The longest files of tests come first, as tests/conftest.py puts them.
PYTEST = pytest -n logical --maxprocesses 8 --dist loadfile --no-loadscope-reorder

# What to run while you work: everything but the tests marked slow, under 10 minutes on 2 cores.
quick: lint
	$(RUN) $(PYTEST) -m "not slow"

# mypy runs beside the tests: before them it would take a minute, and one core alone.
test: setup
	$(RUN) ruff check .
	$(RUN) ruff format --check .
	@$(RUN) mypy & types=$$!; $(RUN) $(PYTEST); tests=$$?; wait $$types && exit $$tests

lint: setup
	$(RUN) ruff check .
	$(RUN) ruff format --check .
	$(RUN) mypy

# Changed files through all that reads strangers' files, for SECONDS; what breaks a rule is in build/fuzz/faults.
SECONDS ?= 3600
fuzz: setup
	$(RUN) python -m tools.fuzz --seconds $(SECONDS)

docs: setup
	@$(RUN) python -c "import furo, myst_parser, sphinx" 2>/dev/null || $(RUN) python -m pip install -q -c constraints.txt -e ".[docs]"
	$(RUN) python -m sphinx -q -W --keep-going -b html docs build/docs
	@echo "Done: open build/docs/index.html"

bench: bench-data bench-train

bench-data: setup
	$(RUN) python -m bench.data

bench-train: setup
	$(RUN) python -m bench.train

bench-quality: setup
	$(RUN) python -m dvc repro judge
	$(RUN) python -m bench.quality

setup:
	@test -n "$(PYTHON)" || { echo "error: no CPython 3.11 to 3.13 on PATH; install one, or: make PYTHON=/path/to/python3"; exit 1; }
	@"$(PYTHON)" -I tools/install.py "$(VENV)"
	@$(RUN) python -m pipeline.cli prepare

clean:
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache *.egg-info build

help:
	@sed -n '1,2s/^# //p' $(firstword $(MAKEFILE_LIST))
