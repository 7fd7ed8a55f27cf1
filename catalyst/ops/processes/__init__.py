"""The supervisor of `make up` and its processes."""
