"""From a decoded request to stored rows: pipeline, group commit, rollups, settle queue, limits."""
