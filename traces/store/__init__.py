"""The SpanStore in PostgreSQL: day partitions, packed text, and their upkeep. `traces.span_store` is the interface."""
