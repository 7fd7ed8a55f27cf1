"""The project Demo: a week of made-up traffic of three agents, the same for the same moment, stored like any other."""
