"""Judging on demand: backfills, tests, catching up, estimates."""
