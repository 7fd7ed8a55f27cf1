# make up      run Catalyst: everything it needs, in the foreground; Ctrl-C stops it
# make down    stop it from elsewhere
# make test    all checks, then all tests
#
# CATALYST_PORT and CATALYST_DATA choose where it runs, DATABASE_URL another PostgreSQL.

RUN := .venv/bin
PYTEST := $(RUN)/pytest
# macOS stops forked processes without it.
export OBJC_DISABLE_INITIALIZE_FORK_SAFETY = YES

.PHONY: up down setup test check format lock e2e screenshots chromium

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
	$(RUN)/mypy
	$(RUN)/lint-imports --no-logo
	$(RUN)/djlint templates --lint --quiet
	$(RUN)/python -W ignore manage.py makemigrations --check --dry-run

test: check chromium
	$(PYTEST) -n 2 --dist loadgroup

e2e: setup chromium
	$(PYTEST) -m e2e

# The pictures of the README, taken from a fresh demo.
screenshots: setup chromium
	$(RUN)/python -m tests.e2e.screenshots

# Browser tests use the Chromium that is there; as root on Debian a missing one is installed, elsewhere they are skipped.
chromium:
	@bin/chromium

lock:
	@bin/bootstrap lock
