# Everything is made in .venv and build; `make clean` removes both. All paths are relative, so that the checkout's
# own path may have spaces. ARGS is passed on: make test ARGS='-k quoted -x'; ARGS='-n0 --pdb' runs them in one process.

.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory
# pip must not install twice at once into one environment
.NOTPARALLEL:
ARGS :=
#: which python to use; the newest suitable one when not given
PYTHON :=

VENV := .venv
RUN := $(VENV)/bin/python
PIP := -m pip --disable-pip-version-check install -qq
CONVERT := $(RUN) -m nbconvert --log-level=ERROR
DEMO := build/demo
QUICKSTART := 01_quickstart

.PHONY: help demo notebook check check-unit test coverage test-newest faults bench bench-widget format lint lint-style lint-types
.PHONY: lint-walls lint-node check-install clean

help:
	@echo 'make demo           execute notebooks/$(QUICKSTART).ipynb in a real kernel, and show it as HTML'
	@echo 'make notebook       open JupyterLab on the notebooks'
	@echo 'make check          style, types, walls and the quick tests: about a minute'
	@echo 'make test           run the tests; the end says which parts were skipped, and how to have them'
	@echo 'make coverage       run the tests, and show which lines they never reach'
	@echo 'make test-newest    run unit and contract tests on the newest Python of this machine'
	@echo 'make format         format the code, and mend what can be mended by a tool'
	@echo 'make faults         kill, stop and starve kernels, executors and disks, many times over (as root: more of it)'
	@echo 'make bench          measure the local engine against others'
	@echo 'make bench-widget   measure the widget in a real browser'
	@echo 'make lint           check style, types, and the walls between modules'
	@echo 'make check-install  install without extras, elsewhere, and run a task'
	@echo 'make clean          remove everything that make made'

# --- the virtual environment ----------------------------------------------------------------------------------

# It is made anew when the checkout was moved or its python is gone: scripts in it hold absolute paths.
STALE := $(shell { test "$$(cat $(VENV)/.place)" = "$$(pwd -P)" && $(RUN) -c ''; } 2>/dev/null || echo stale)
ifneq ($(STALE),)
.PHONY: $(VENV)/.place
endif

$(VENV)/.place:
	@best=''; newest=0; \
	for python in $(if $(PYTHON),'$(PYTHON)',python3 python3.13 python3.12 python3.11); do \
		number=$$("$$python" -c 'import sys; print(sys.version_info[0] * 1000 + sys.version_info[1])' 2>/dev/null) || continue; \
		if [ "$$number" -ge 3011 ] && [ "$$number" -gt "$$newest" ]; then best=$$python; newest=$$number; fi; \
	done; \
	if [ -z "$$best" ]; then \
		echo 'Python 3.11 or later is needed, and none was found. Install one, or name it: make PYTHON=/path/to/python3' >&2; exit 1; \
	fi; \
	if ! "$$best" -c 'import ensurepip, venv' 2>/dev/null; then \
		echo "$$best cannot make virtual environments. Install its venv package (on Debian and Ubuntu: python3-venv)." >&2; exit 1; \
	fi; \
	echo "making $(VENV) with $$("$$best" --version)"; \
	rm -rf $(VENV) && "$$best" -m venv $(VENV)
	@pwd -P > $@

# .has-EXTRA: the project is installed with the extra EXTRA of pyproject.toml
$(VENV)/.has-%: pyproject.toml $(VENV)/.place
	@echo 'installing stratos_jupyter[$*] in $(VENV) (a minute or two, once)'
	@$(RUN) $(PIP) --editable '.[$*]'
	@touch $@

# The tests need the Mesos engine too, hence an http-parser that pip can install.
HTTP_PARSER := packaging/http-parser
$(VENV)/.has-test: pyproject.toml $(HTTP_PARSER)/pyproject.toml $(wildcard $(HTTP_PARSER)/http_parser/*.py) $(VENV)/.place
	@echo 'installing stratos_jupyter[test,mesos] in $(VENV) (a minute or two, once)'
	@$(RUN) $(PIP) --upgrade ./$(HTTP_PARSER) --editable '.[test,mesos]'
	@touch $@

# --- for users ------------------------------------------------------------------------------------------------

# State and IPython's profile stay in the build directory: a demo leaves nothing behind.
demo: export STRATOS_HOME = $(CURDIR)/$(DEMO)/state
demo: export IPYTHONDIR = $(CURDIR)/$(DEMO)/ipython
demo: $(VENV)/.has-notebook
	@rm -rf $(DEMO) && mkdir -p $(DEMO)
	@echo 'executing notebooks/$(QUICKSTART).ipynb'
	@$(CONVERT) --to notebook --execute --KernelManager.transport_encryption=auto --output-dir $(DEMO) notebooks/$(QUICKSTART).ipynb
	@$(CONVERT) --to html --output-dir $(DEMO) $(DEMO)/$(QUICKSTART).ipynb
	@echo "executed notebook: $$PWD/$(DEMO)/$(QUICKSTART).ipynb"
	@echo "the same as HTML:  $$PWD/$(DEMO)/$(QUICKSTART).html"
	@echo 'make notebook opens it for you to play with'

notebook: $(VENV)/.has-notebook
	$(RUN) -m jupyterlab --notebook-dir=notebooks $(ARGS)

# --- for developers -------------------------------------------------------------------------------------------

# All processors; the tests of a file share what they start, so they go to one of them (tests/support/distribution.py).
PYTEST := -m pytest -n auto --dist loadfile

check: lint check-unit

check-unit: $(VENV)/.has-test
	$(RUN) $(PYTEST) -q -m 'not slow' tests/unit $(ARGS)

test: $(VENV)/.has-test
	$(RUN) $(PYTEST) $(ARGS)

# pyproject.toml says what is measured, tests/support/coverage_floors.py how much must be reached.
coverage: $(VENV)/.has-test
	$(RUN) $(PYTEST) --cov --cov-report=term:skip-covered $(ARGS)

# What the newest Python changes shows here first. tests/support/pythons.py finds it.
test-newest: $(VENV)/.has-test
	@newest=$$($(RUN) -m tests.support.pythons) && if [ -z "$$newest" ]; then \
		echo "no Python newer than $$($(RUN) --version | cut -d' ' -f2) is on this machine: nothing more to test"; \
	else \
		echo "testing with $$newest"; rm -rf build/newest && mkdir -p build && "$$newest" -m venv build/newest && \
		build/newest/bin/python $(PIP) ./$(HTTP_PARSER) --editable '.[test,mesos]' && \
		build/newest/bin/python $(PYTEST) -p no:cacheprovider tests/unit tests/contract $(ARGS); \
	fi

faults: $(VENV)/.has-test
	STRATOS_ROUNDS=$${STRATOS_ROUNDS:-50} $(RUN) -m pytest tests/faults -s $(ARGS)

bench: $(VENV)/.has-notebook
	$(RUN) benchmarks/local.py $(ARGS)

bench-widget: $(VENV)/.has-test
	$(RUN) benchmarks/widget.py $(ARGS)

format: $(VENV)/.has-dev
	$(RUN) -m ruff check --fix-only .
	$(RUN) -m ruff format .

lint: lint-style lint-types lint-walls lint-node

lint-style: $(VENV)/.has-dev
	$(RUN) -m ruff check .
	$(RUN) -m ruff format --check .

lint-types: $(VENV)/.has-dev
	$(RUN) -m mypy

lint-walls: $(VENV)/.has-dev
	$(RUN) $(VENV)/bin/lint-imports --no-logo

# What runs on a node must do so with the Python of an old cluster.
lint-node: $(VENV)/.has-dev
	$(RUN) $(VENV)/bin/vermin --quiet --no-tips --violations --target=3.6- stratos_jupyter/backend/executor

# -I: what was installed is imported, not the checkout.
check-install: export STRATOS_HOME = $(CURDIR)/build/install/state
check-install: $(VENV)/.place
	@rm -rf build/install && mkdir -p build && $(RUN) -m venv build/install
	@build/install/bin/python $(PIP) .
	@build/install/bin/python -I -c 'from pathlib import Path; import stratos_jupyter; \
		static = Path(stratos_jupyter.__file__).parent / "static"; \
		missing = [name for name in ("job.js", "job.css", "report.css") if not (static / name).is_file()]; \
		assert not missing, f"not in the wheel: {missing}"; \
		job = stratos_jupyter.Processor(master="local", job_id="installed"); \
		job.explicit_batch(["echo installed, and it works"]); \
		print(*job.get_results())'

clean:
	rm -rf $(VENV) build dist .coverage .coverage.* .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
