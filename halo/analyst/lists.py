"""Lists of traces that have the same runs as a finding."""

from collections import Counter
from collections.abc import Collection, Iterator
from urllib.parse import parse_qs, urlencode
from uuid import UUID

from halo.analyst.material import TraceRun
from halo.analyst.reading import Reading
from halo.models.finding import MAX_QUERY_CHARACTERS

type Condition = tuple[str, str]
"""A parameter of the list of traces and its value."""


class Lists:
    """Knows how many runs each condition of the list of traces matches."""

    def __init__(self, reading: Reading) -> None:
        self._base = reading.list_query
        self._taken = parse_qs(reading.list_query).keys()
        window = reading.window
        # Of a sample, a list has more.
        self._runs = {run.trace_id: run for run in window.runs} if len(window.runs) == window.total else {}
        self._counts = Counter(condition for run in self._runs.values() for condition in self._conditions(run))

    def same_as(self, traces: Collection[UUID]) -> str:
        """Parameters of a list of exactly these runs of the window; empty if one condition can't tell them."""
        shared: set[Condition] | None = None
        for run in map(self._runs.get, traces):
            matched = set(self._conditions(run)) if run else set()
            shared = matched if shared is None else shared & matched
        same = sorted(condition for condition in shared or () if self._counts[condition] == len(traces))
        query = f"{self._base}&{urlencode(same[:1])}" if same else ""
        return query if len(query) <= MAX_QUERY_CHARACTERS else ""

    def _conditions(self, run: TraceRun) -> Iterator[Condition]:
        conditions = [
            ("status", "error" if run.status == "error" else "ok"),
            ("environment", run.environment),
            *(("model", model) for model in run.model_names),
        ]
        return (condition for condition in conditions if condition[1] and condition[0] not in self._taken)
