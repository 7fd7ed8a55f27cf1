"""Statistics, charts and rankings of agents."""
