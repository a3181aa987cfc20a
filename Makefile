# `make serve` and `make test` are all a user needs; `make help` lists the rest.

PYTHON ?= python3
UV_VERSION := 0.13.9
# A shim of pyenv or asdf may be on PATH with no uv behind it, so it is run, not looked for.
UV := $(shell uv --version >/dev/null 2>&1 && echo uv || echo .uv/bin/uv)
RUN := $(UV) run --no-sync
# Compiled once, or every start of a program compiles some 3 s of libraries where Python may not
# write beside them.
export UV_COMPILE_BYTECODE := 1
CHROMIUM_MISSING := the page is tested in Chromium; install it with: apt-get install -y chromium
# Debian keeps PostgreSQL's programs off PATH.
POSTGRES_LIB ?= /usr/lib/postgresql
export POSTGRES_LIB
POSTGRES_MISSING := takes are tested on PostgreSQL, too; install it with: apt-get install -y postgresql
# Each has voices, a database and a browser of its own: some 4 GB.
TEST_WORKERS ?= 2
# What an audit may take; without the internet it ends at once.
AUDIT_S ?= 120
# Who is in the load test: Audition, Leaver, Slow, Batch; all of them when it is empty.
LOAD_WHO ?=
LOAD_HOST ?= http://127.0.0.1:8080
LOAD_USERS ?= 8
LOAD_TIME ?= 60s

.DEFAULT_GOAL := help
.PHONY: help serve test test-full crash check lint format audit bench bench-short bench-report load docker-lint licences screenshots env dev

help: ## list these targets
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 14

serve: env ## make the environment if need be, then serve on 127.0.0.1:8080
	$(RUN) voicesvc serve

test: dev ## everything CI runs
	@command -v chromium >/dev/null || { echo "$(CHROMIUM_MISSING)" >&2; exit 1; }
	@command -v initdb >/dev/null || ls $(POSTGRES_LIB)/*/bin/initdb >/dev/null 2>&1 || \
	  { echo "$(POSTGRES_MISSING)" >&2; exit 1; }
	$(RUN) pytest -n $(TEST_WORKERS) --dist loadfile

test-full: dev ## all rows of the tables of which `test` takes a sample
	$(RUN) pytest -n $(TEST_WORKERS) --dist loadfile --every-row

crash: dev ## kill the service 200 times while it speaks, and see that no take is lost
	CRASH_KILLS=200 $(RUN) pytest -s tests/test_crash.py

check: lint test ## lint and test

lint: dev docker-lint ## ruff, mypy, import-linter, hadolint
	$(RUN) ruff check
	$(RUN) ruff format --check
	$(RUN) mypy
	$(RUN) lint-imports

format: dev ## put the code into the form that lint asks for
	$(RUN) ruff check --fix
	$(RUN) ruff format

docker-lint: dev ## the Dockerfile, by hadolint
	$(RUN) hadolint Dockerfile

audit: dev ## known weaknesses of what is locked, by osv.dev; needs the internet
	@$(RUN) python -c "import httpx; httpx.get('https://api.osv.dev', timeout=5)" 2>/dev/null || \
	  { echo "no audit: osv.dev cannot be reached from here"; exit 0; }; \
	packages=$$(mktemp); trap 'rm -f "$$packages"' EXIT; \
	$(UV) export -q --frozen --no-emit-workspace --all-extras --group dev --no-hashes \
	  --no-annotate -o "$$packages" >/dev/null && \
	timeout $(AUDIT_S) $(RUN) pip-audit --vulnerability-service osv --requirement "$$packages" \
	  --no-deps --disable-pip --progress-spinner off --timeout 10

licences: dev ## write docs/licences.md anew from uv.lock
	$(RUN) python scripts/licences.py

bench: dev ## measure against other programs; writes benchmarks/results
	$(RUN) python benchmarks/run.py

bench-short: dev ## what CI measures: less than a minute, kept nowhere
	$(RUN) python benchmarks/run.py --short

bench-report: dev ## benchmarks/report.html, from benchmarks/history; what changed goes to stdout
	$(RUN) python benchmarks/bench_report.py

load: dev ## a load test of the service that runs at LOAD_HOST, with LOAD_USERS users for LOAD_TIME
	$(RUN) locust -f benchmarks/load/locustfile.py --headless --host $(LOAD_HOST) \
	  --users $(LOAD_USERS) --spawn-rate 2 --run-time $(LOAD_TIME) --stop-timeout 30 --html load.html \
	  $(LOAD_WHO)

screenshots: dev ## make the pictures of the page in docs/ anew, with the demonstration voice
	PAGE_PICTURES=docs $(RUN) pytest -q tests/test_service_page_pictures.py

# What serving needs. Keeps what `dev` has put there.
env: $(filter .uv/bin/uv,$(UV))
	$(UV) sync --frozen --no-dev --inexact

# And what testing needs.
dev: $(filter .uv/bin/uv,$(UV))
	$(UV) sync --frozen --group dev

.uv/bin/uv: scripts/get_uv.py
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "voicesvc needs Python 3.11 or newer as $(PYTHON); name another: make PYTHON=python3.12" >&2; exit 1; }
	@echo "uv is not here: installing it into .uv" >&2
	@if $(PYTHON) -m venv .uv >/dev/null 2>&1; \
	  then .uv/bin/python -m pip install --disable-pip-version-check uv==$(UV_VERSION); \
	  else rm -rf .uv && $(PYTHON) scripts/get_uv.py .uv/bin; fi
