"""On demand: backfill, test, catching up, estimates."""
