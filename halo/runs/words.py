"""What people read of a run."""

# kind, text, agent, depth
type Told = tuple[str, str, str, int]


def reading(traces: int, total: int) -> Told:
    return "started", f"Reads {traces:,} of {total:,} traces", "", 0
