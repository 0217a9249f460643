# Needs Python 3.11 or newer and make; everything else comes into .venv.

.DEFAULT_GOAL := help
SHELL := /bin/sh
export PIP_DISABLE_PIP_VERSION_CHECK := 1

# What the tests need from Debian.
TEST_PACKAGES := chromium curl wget

FIND_PYTHON = for python in python3 python3.13 python3.12 python3.11; do \
	if $$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then break; fi; python=; done; \
	if [ -z "$$python" ]; then echo 'No Python 3.11 or newer was found: install one as python3.' >&2; exit 1; fi
UV = $(shell command -v uv || echo .venv/bin/uv)
LOCK = $(UV) pip compile --universal --python-version 3.11 --generate-hashes --no-header --no-annotate -q

.PHONY: help
help: ## show this help
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: run
run: .venv/installed ## run the whole platform on this machine, until Ctrl-C
	@exec .venv/bin/python -m jobplatform up

.PHONY: demo
demo: .venv/installed ## submit the seed jobs and show their lives as they happen
	@exec .venv/bin/python -m jobplatform demo

.PHONY: install
install: .venv/installed ## make .venv with everything, from the lock

.PHONY: test
test: .venv/installed ## run the whole suite, on services it starts itself (ARGS="-k name" for some of it)
	@exec .venv/bin/python -m pytest --numprocesses auto $(ARGS)

.PHONY: torture
torture: .venv/installed ## hurt a platform of its own in every way, and prove that nothing is lost (ARGS="--seed 7")
	@exec .venv/bin/python -m jobplatform torture $(ARGS)

.PHONY: bench
bench: .venv/installed ## measure the platform beside its peers (needs wrk, node and npm; ARGS="--peers bullmq --rounds 1")
	@exec .venv/bin/python -m benchmarks.beside $(ARGS)

.PHONY: soak
soak: .venv/installed ## look for growing memory, an hour at four fifths of what the machine bears (ARGS="--minutes 3")
	@exec .venv/bin/python -m benchmarks.soak $(ARGS)

.PHONY: openapi
openapi: .venv/installed ## write openapi.json anew, from what the API reads and answers with
	@.venv/bin/python -m api.openapi > openapi.json.new && mv openapi.json.new openapi.json

.PHONY: fuzz
fuzz: .venv/installed ## send the API a thousand requests of each sort, and hold its answers against openapi.json
	@FUZZ_CASES=$${FUZZ_CASES:-1000} exec .venv/bin/python -m pytest tests/acceptance/test_schemathesis.py $(ARGS)

.PHONY: lint
lint: .venv/installed ## check style, types and the direction of imports
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy
	.venv/bin/lint-imports

.PHONY: format
format: .venv/installed ## put the code into its one format
	.venv/bin/ruff check --fix .
	.venv/bin/ruff format .

.PHONY: test-deps
test-deps: ## install what the tests need from Debian (as root)
	@dpkg -s $(TEST_PACKAGES) >/dev/null 2>&1 || { apt-get update -q && \
	DEBIAN_FRONTEND=noninteractive apt-get install -qy --no-install-recommends $(TEST_PACKAGES); }

.PHONY: lock
lock: ## pin all dependencies anew in the lock files, the image's two included (needs uv)
	$(LOCK) pyproject.toml --all-extras --group dev -o requirements.lock
	$(LOCK) pyproject.toml -c requirements.lock -o requirements.runtime.lock
	echo hatchling | $(LOCK) - -c requirements.lock -o requirements.build.lock

.PHONY: clean
clean: ## remove .venv and all caches; the data in .local/ stays
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis build dist
	find . -name __pycache__ -not -path './.local/*' -prune -exec rm -rf {} +

# A folder that was moved or copied has a .venv that still means the old place: it is made anew.
ifeq ($(shell grep -sF -- ' $(CURDIR)/.venv' .venv/pyvenv.cfg),)
.PHONY: .venv/installed
endif
.venv/installed: requirements.lock pyproject.toml
	@$(FIND_PYTHON); \
	if ! grep -qsF -- ' $(CURDIR)/.venv' .venv/pyvenv.cfg || ! .venv/bin/python -m pip --version >/dev/null 2>&1; then \
		echo "Making .venv with $$python."; \
		$$python -m venv --clear .venv >/dev/null 2>&1 || { \
			echo "$$python cannot make virtual environments: install its venv module (Debian: python3-venv)." >&2; exit 1; }; \
	fi
	@echo 'Installing into .venv from requirements.lock.'
	@.venv/bin/python -m pip install --quiet --require-hashes -r requirements.lock
	@.venv/bin/python -m pip install --quiet --no-deps --no-build-isolation -e .
	@touch .venv/installed
