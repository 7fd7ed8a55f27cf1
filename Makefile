# make up      run Catalyst: everything it needs, in the foreground; Ctrl-C stops it
# make down    stop it from elsewhere
# make quick   all checks, then the tests that are fast: no browser, no processes, no long loops
# make test    all checks, then all tests
# make senders real SDKs, each in an environment of its own: what they send must read as expected
#
# CATALYST_PORT and CATALYST_DATA choose where it runs, DATABASE_URL another PostgreSQL.

RUN := .venv/bin
PYTEST := $(RUN)/pytest
# macOS stops forked processes without it.
export OBJC_DISABLE_INITIALIZE_FORK_SAFETY = YES
# Without bytecode every process compiles Django and all packages again, which takes seconds.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: up down setup quick test check format lock e2e bench torture senders screenshots chromium

up:
	@bin/bootstrap
	@exec $(RUN)/python manage.py up --parent $$PPID

down:
	@bin/bootstrap
	@$(RUN)/python manage.py down

setup:
	@bin/bootstrap dev

format: setup
	$(RUN)/ruff check --fix-only --quiet .
	$(RUN)/ruff format .

check: setup
	$(RUN)/ruff format --check --quiet .
	$(RUN)/ruff check .
	$(RUN)/complexipy
	$(RUN)/mypy
	$(RUN)/lint-imports --no-logo
	$(RUN)/djlint templates --lint --quiet
	$(RUN)/python -W ignore manage.py makemigrations --check --dry-run
	$(PYTEST) --noconftest -p no:django -p no:randomly -q tests/test_licenses.py

quick: check
	$(PYTEST) -n 2 -m "not slow and not e2e" --ignore=tests/e2e --ignore=tests/torture

# Three at once on two cores, because tests of browsers and processes often wait.
test: check chromium
	$(PYTEST) -n 3

e2e: setup chromium
	$(PYTEST) -m e2e

# Speed, memory and disk, measured (docs/reference/performance.md); takes half an hour and wants a quiet machine.
# PARTS="ingest pages" chooses, ARGUMENTS="--stored 5000000" changes.
bench: setup
	$(RUN)/python -m tests.bench $(PARTS) $(ARGUMENTS)

# Kills, hostile bodies and trouble (docs/reference/torture.md), then tests with random examples; takes an hour.
torture: setup
	$(RUN)/python -m tests.torture $(PARTS) $(ARGUMENTS)
	$(PYTEST) -n 2 -m "slow and not e2e" --hypothesis-profile=thorough tests/signals tests/traces

# Real SDKs from PyPI and npm (docs/guide/senders.md), a few minutes. NAMES="litellm strands" chooses.
# ARGUMENTS=--record keeps what they send, ARGUMENTS=--upgrade locks today's releases first.
senders: setup
	$(RUN)/python -m tests.senders $(NAMES) $(ARGUMENTS)

# The pictures of the README, taken from a fresh demo.
screenshots: setup chromium
	$(RUN)/python -m tests.e2e.screenshots

# Browser tests use the Chromium that is there; as root on Debian a missing one is installed, elsewhere they are skipped.
chromium:
	@bin/chromium

lock:
	@bin/bootstrap lock
