"""Pages of agents, sessions and traces."""
