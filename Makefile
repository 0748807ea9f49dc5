# What there is to do here: `make help`. Everything works from a fresh clone; nothing here touches
# system packages, except `make services`, which is for root.

# The Python that .venv is made with; empty: the first one of at least 3.11.
PYTHON ?=

# Where the demo listens: `make demo PORT=8001` if another program has this one.
PORT ?= 8000

# How many processes run the tests.
JOBS ?= 3

# Options for pytest beside those that it always has: `make test PYTEST='-x -k mesh'`.
PYTEST ?=

# What `make simulate` carries out; FRESH=1 draws the seeds anew each time.
SEEDS ?= 200
STEPS ?= 60
FRESH ?=

# Programs that the tests start would else be compiled anew each time.
unexport PYTHONDONTWRITEBYTECODE

VENV := .venv/made
PEER := tests/peers/node
JS := clients/js
TANSTACK := $(JS)/examples/tanstack
RUN := .venv/bin/python -m
PIP_INSTALL := $(RUN) pip install -qq --disable-pip-version-check --no-input
NPM_INSTALL := npm install --loglevel=error --no-audit --no-fund --no-package-lock --ignore-scripts
# A script of the browser's client; it was said above why there is none if it could not be installed.
JS_RUN = test ! -e $(JS)/node_modules/made || npm --prefix $(JS) run --silent

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help demo test quick check bench simulate services clean

help: ## this list
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  make \1\t\2/p' Makefile | expand -t 18

demo: $(VENV) ## a small board for several people, served here; open it in two windows
	@.venv/bin/reality demo --port $(PORT)

test: $(VENV) $(PEER)/node_modules/made $(JS)/node_modules/made $(TANSTACK)/node_modules/made ## every test this machine can run (about 15 minutes)
	@$(JS_RUN) test
	@$(RUN) pytest -n $(JOBS) --dist loadfile --no-loadscope-reorder $(PYTEST)

quick: $(VENV) $(JS)/node_modules/made ## the tests that start no server, browser or other program (under a minute)
	@$(JS_RUN) test
	@$(RUN) pytest -q -m 'not slow' --hypothesis-profile=quick

check: $(VENV) $(JS)/node_modules/made ## format, lint, types, arrows, budgets, sizes, public names, documents
	@$(RUN) ruff format --check --quiet .
	@$(RUN) ruff check --quiet .
	@$(RUN) mypy
	@.venv/bin/lint-imports --no-logo
	@$(RUN) pytest -q tests/test_tidy.py tests/test_layers.py tests/test_public_names.py \
	    tests/test_documents.py
	@$(JS_RUN) check

bench: $(VENV) $(PEER)/node_modules/made ## measure speed; writes down what it found
	@.venv/bin/python bench/run.py

simulate: $(VENV) ## servers and clients under every fault that a seed draws: SEEDS=… STEPS=… FRESH=1
	@$(RUN) tests.simulation --seeds $(SEEDS) --steps $(STEPS) $(if $(FRESH),--fresh)

services: ## the Debian packages that some tests need; only what is missing (root)
	@missing=''; \
	has() { command -v "$$1" >/dev/null 2>&1; }; \
	has chromium || missing="$$missing chromium"; \
	has node || missing="$$missing nodejs"; \
	has npm || missing="$$missing npm"; \
	has wrk || missing="$$missing wrk"; \
	has /usr/sbin/nats-server || has nats-server || missing="$$missing nats-server"; \
	has ip || missing="$$missing iproute2"; \
	has redis-server || missing="$$missing redis-server"; \
	has /usr/sbin/mariadbd || has mariadbd || missing="$$missing mariadb-server"; \
	ls /usr/lib/postgresql/*/bin/postgres >/dev/null 2>&1 || missing="$$missing postgresql"; \
	python3 -c 'import ensurepip' 2>/dev/null || missing="$$missing python3 python3-venv"; \
	if [ -z "$$missing" ]; then echo 'nothing to install: every program is here'; exit 0; fi; \
	if [ "$$(id -u)" != 0 ]; then \
	    echo "as root: apt-get install$$missing" >&2; exit 1; \
	fi; \
	echo "installing$$missing"; \
	export DEBIAN_FRONTEND=noninteractive; \
	apt-get update -qq && apt-get install -qq --yes --no-install-recommends $$missing >/dev/null

clean: ## remove what the targets above have made
	rm -rf $(JS)/node_modules $(JS)/dist $(JS)/examples/react/dist
	rm -rf $(TANSTACK)/node_modules $(TANSTACK)/dist $(TANSTACK)/.tanstack
	rm -rf .venv $(PEER)/node_modules .mypy_cache .ruff_cache .pytest_cache .hypothesis dist
	rm -rf .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# The virtual environment, with this checkout in it (an edit is in force at once).
$(VENV): pyproject.toml requirements-dev.txt
	@python='$(PYTHON)'; found=''; \
	for name in $${python:-python3 python3.13 python3.12 python3.11}; do \
	    if "$$name" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then \
	        found=$$name; break; \
	    fi; \
	done; \
	if [ -z "$$found" ]; then \
	    echo "Reality needs Python 3.11 or newer, and $${python:-python3} is none." >&2; \
	    echo 'On Debian 12 or newer, as root: apt-get install python3 python3-venv' >&2; \
	    exit 1; \
	fi; \
	if ! "$$found" -c 'import ensurepip, venv' 2>/dev/null; then \
	    echo "$$found cannot make virtual environments." >&2; \
	    echo 'On Debian, as root: apt-get install python3-venv' >&2; \
	    exit 1; \
	fi; \
	echo "making .venv with $$("$$found" --version) and requirements-dev.txt (once, a minute or so)"; \
	"$$found" -m venv --clear .venv
	@$(PIP_INSTALL) --requirement requirements-dev.txt
	@$(PIP_INSTALL) --no-deps --no-build-isolation --editable .
	@touch $@

# The server that Reality is compared with. Without npm its tests are skipped.
$(PEER)/node_modules/made: $(PEER)/package.json
	@if ! command -v npm >/dev/null 2>&1; then \
	    echo 'npm is missing: no comparison with @rootlodge/reality-server (apt-get install npm)'; \
	    exit 0; \
	fi; \
	echo 'installing @rootlodge/reality-server from npm, to compare with'; \
	if (cd $(PEER) && $(NPM_INSTALL) >/dev/null); then \
	    touch $@; \
	elif [ "$$REALITY_REQUIRE_ALL" = 1 ]; then \
	    exit 1; \
	else \
	    echo 'npm could not install it: going on without'; \
	fi

# What the browser's client is built, checked and tested with. Without npm its part is left out, and
# so it is where there is none: the source archive of the Python package does not hold it.
$(JS)/node_modules/made: $(wildcard $(JS)/package.json)
	@test -e $(JS)/package.json || exit 0; \
	rm -f $@; \
	if ! node -e 'process.exit(parseInt(process.versions.node) < 20 ? 1 : 0)' 2>/dev/null || \
	        ! command -v npm >/dev/null 2>&1; then \
	    problem='Node.js 20 and npm are missing (apt-get install nodejs npm)'; \
	elif echo 'installing from npm what clients/js/package.json lists (once, a minute or so)'; \
	        (cd $(JS) && $(NPM_INSTALL) >/dev/null); then \
	    touch $@; exit 0; \
	else \
	    problem='npm could not install what clients/js/package.json lists'; \
	fi; \
	echo "$$problem: the browser's client is neither checked nor tested" >&2; \
	test "$$REALITY_REQUIRE_ALL" != 1

# The example on TanStack Start. Without npm its tests are skipped.
$(TANSTACK)/node_modules/made: $(wildcard $(TANSTACK)/package.json)
	@test -e $(TANSTACK)/package.json || exit 0; \
	rm -f $@; \
	if ! command -v npm >/dev/null 2>&1; then \
	    echo 'npm is missing: the example on TanStack Start is not tested (apt-get install npm)'; \
	    exit 0; \
	fi; \
	echo 'installing from npm what the example on TanStack Start is built with'; \
	if (cd $(TANSTACK) && $(NPM_INSTALL) >/dev/null); then \
	    touch $@; \
	elif [ "$$REALITY_REQUIRE_ALL" = 1 ]; then \
	    exit 1; \
	else \
	    echo 'npm could not install it: going on without'; \
	fi
