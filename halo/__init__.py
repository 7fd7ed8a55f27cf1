"""Halo: reports on an agent's traces, whose findings cite them."""
