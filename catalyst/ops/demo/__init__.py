"""The project Demo: a reproducible week of synthetic traffic from three agents."""
