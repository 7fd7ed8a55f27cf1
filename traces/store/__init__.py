"""The SpanStore in PostgreSQL. `traces.span_store` is the interface."""
