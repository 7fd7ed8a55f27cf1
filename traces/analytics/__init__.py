"""What pages show of an agent in numbers: statistics, charts, latest runs."""
