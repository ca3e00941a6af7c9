# On a machine with Python 3.11, 3.12 or 3.13 and make: `make demo`. Everything else is fetched and made here, in .venv.

ENV     := .venv
PY      := $(ENV)/bin/python
STAMP   := $(ENV)/installed
HOME_OF_STACK := .local
# A company's own certificate authority is known to the system: pip asks it by itself, uv when it is told to.
export UV_SYSTEM_CERTS ?= true
# Another interpreter: make demo PYTHON=/path/to/python3.12
PYTHON  ?=
PAGES   := $(wildcard *.md */*.md docs/*/*.md .github/*.md)

.PHONY: help compose-demo processes-demo helm-test k8s-test chart-docs demo up down status shell test test-fast test-long explore chaos bench zoo lint format docs site constraints install clean
.DEFAULT_GOAL := help

help:
	@echo 'make demo    ten months of real flights through the whole loop, on a real Airflow and MLflow; then stops them'
	@echo 'make up      the same stack, left running; prints addresses and login'
	@echo 'make shell   a shell whose `airflow` is that stack; or .local/bin/airflow, from anywhere'
	@echo 'make compose-demo  Celery workers, S3 and MLflow in containers: docker/README.md; processes-demo: without an engine'
	@echo 'make down    stops it                      make status   what of it runs'
	@echo 'make test    all tests                     make lint     ruff, mypy and the floors'
	@echo 'make test-fast  those that start no server and simulate nothing: about two minutes'
	@echo 'make test-long  what says in full what a test says in short: every page of docs/extending, followed and used'
	@echo 'make helm-test  the chart, rendered by the real helm; make k8s-test  installed on a real API server (both need Go)'
	@echo 'make explore  the property tests on examples that nobody has drawn yet, 1,000 each'
	@echo 'make chaos   200 promoters at once, 500 kills, storms of 1,000 events, half an hour of search for specifications that break, the whole backtest: two hours or so'
	@echo 'make bench   speed and memory, as a table  make docs     the specification reference'
	@echo 'make zoo     22 streams whose truth is known, through the backtest: make zoo ARGS="--seed 2 --only sudden"'
	@echo 'make site    the documentation as pages, in build/site'
	@echo 'make clean   stops the stack, deletes .venv, .local and caches'

demo: $(STAMP)
	@$(PY) -m dev demo --home $(HOME_OF_STACK)

up: $(STAMP)
	@$(PY) -m dev up --home $(HOME_OF_STACK)

down: $(STAMP)
	@$(PY) -m dev down --home $(HOME_OF_STACK)

status: $(STAMP)
	@$(PY) -m dev status --home $(HOME_OF_STACK)

compose-demo: $(STAMP)
	@$(PY) -m dev.compose demo

processes-demo: $(STAMP)
	@$(PY) -m dev.compose processes

shell: $(STAMP)
	@$(PY) -m dev shell --home $(HOME_OF_STACK)

test: $(STAMP)
	$(PY) -m pytest -q -n 2

test-fast: $(STAMP)
	$(PY) -m pytest -q -n 2 -m 'not (mlflow or postgres or airflow or server or slow or chaos or long or helm or k8s)'

test-long: $(STAMP)
	$(PY) -m pytest -q -n 2 -m long

# Property tests on other examples each time; `make test` has the same ones for the same tests.
explore: $(STAMP)
	EXPLORE=1 $(PY) -m pytest -q -n 2 -m 'not (mlflow or postgres or airflow or server or slow or chaos or long or helm or k8s)' \
	  $(shell grep -rlE '^@given' tests)

# Both build what is missing with Go, once, into .tools (or $MLOPS_TOOLS), and fail where that cannot be.
helm-test: $(STAMP)
	@$(PY) -m dev.kubernetes.tools helm
	$(PY) -m pytest -q -m helm tests/helm

k8s-test: $(STAMP)
	@$(PY) -m dev.kubernetes.tools helm kubernetes
	$(PY) -m pytest -q -m k8s tests/kubernetes

chart-docs: $(STAMP)
	$$($(PY) -m dev.kubernetes.tools helm-docs | tail -1) --chart-search-root helm --template-files README.md.gotmpl

chaos: $(STAMP)
	$(PY) -m pytest -q -m chaos tests

bench: $(STAMP)
	$(PY) -m benchmarks

# What is finished is not run again; changed code runs anew.
zoo: $(STAMP)
	$(PY) -m benchmarks.zoo $(ARGS)

lint: $(STAMP)
	$(ENV)/bin/ruff check .
	$(ENV)/bin/ruff format --check .
	$(PY) -m mypy
	$(ENV)/bin/lint-imports --no-logo
	$(PY) dev/wrap_markdown.py $(PAGES)
	$(ENV)/bin/check-jsonschema -q --builtin-schema vendor.github-workflows .github/workflows/*.yml
	$(ENV)/bin/check-jsonschema -q --builtin-schema vendor.github-issue-forms \
	  $(filter-out %/config.yml,$(wildcard .github/ISSUE_TEMPLATE/*.yml))
	$(ENV)/bin/check-jsonschema -q --builtin-schema vendor.compose-spec docker/compose.yaml
	$(ENV)/bin/hadolint --config docker/.hadolint.yaml docker/*/Dockerfile

format: $(STAMP)
	$(ENV)/bin/ruff check --fix .
	$(ENV)/bin/ruff format .
	$(PY) dev/wrap_markdown.py --write $(PAGES)

docs: $(STAMP)
	$(PY) -m airflow mlops schema --markdown > docs/specification.new && mv docs/specification.new docs/specification.md

# Warnings are errors. Nothing is fetched by the build, nor by the pages: docs/conf.py looks.
site: $(STAMP)
	$(ENV)/bin/sphinx-build -q -W --keep-going -j auto -c docs -d build/doctrees . build/site
	@echo 'build/site/docs/index.html'

constraints: $(STAMP)
	@{ echo "# Every package of the tree, for Python 3.11 to 3.13: 'make constraints' writes it anew from pyproject.toml."; \
	  $(ENV)/bin/uv pip compile -q --universal --python-version 3.11 --all-extras --upgrade --no-emit-index-url \
	    --no-annotate --no-header pyproject.toml; } > constraints.new && mv constraints.new constraints.txt

install: $(STAMP)

# An environment whose interpreter is gone or broken is made anew.
ifneq ($(shell $(PY) -c 'print(1)' 2>/dev/null),1)
.PHONY: $(STAMP)
endif

# The stamp is written last: without it the environment is only half made, and is made anew from nothing.
$(STAMP): pyproject.toml constraints.txt
	@if [ ! -e $(STAMP) ] || ! $(PY) -c '' 2>/dev/null; then \
	  rm -rf $(ENV); \
	  python=; \
	  for name in $(or $(PYTHON),python3.13 python3.12 python3.11 python3 python); do \
	    if "$$name" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null; then python="$$name"; break; fi; \
	  done; \
	  if [ -z "$$python" ]; then \
	    echo "error: no Python 3.11, 3.12 or 3.13 found (tried: $(or $(PYTHON),python3.13 python3.12 python3.11 python3 python))." >&2; \
	    echo "       Install one, or name it: make $(or $(MAKECMDGOALS),demo) PYTHON=/path/to/python3.12" >&2; exit 1; \
	  fi; \
	  if ! "$$python" -c 'import venv, ensurepip' 2>/dev/null; then \
	    echo "error: $$python comes without venv and ensurepip. On Debian and Ubuntu: apt install python3-venv" >&2; exit 1; \
	  fi; \
	  echo "making $(ENV) with $$("$$python" --version)"; \
	  "$$python" -m venv $(ENV); \
	fi
	@rm -f $(STAMP)
	@$(PY) -m pip install -q --disable-pip-version-check -c constraints.txt uv
	@echo "installing (about two minutes the first time)"
	@# byte-compiled now, or the first tasks would pay for it
	@VIRTUAL_ENV='$(CURDIR)/$(ENV)' $(ENV)/bin/uv pip install -q --compile-bytecode -c constraints.txt -e '.[dev]'
	@touch $(STAMP)

clean:
	@if [ -x $(PY) ] && [ -d $(HOME_OF_STACK) ]; then $(PY) -m dev down --home $(HOME_OF_STACK); fi
	rm -rf $(ENV) $(HOME_OF_STACK) .mypy_cache .ruff_cache .pytest_cache .hypothesis build dist
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
