"""The runs that show something, and how much of it each has."""

from statistics import median
from uuid import UUID

from halo.analyst.citing import Place, cite
from halo.analyst.material import TraceRun
from halo.drafts import CitationDraft


class Touched:
    """Runs with the place where each shows it most. Amounts may be of any unit: microseconds, dollars, tokens."""

    __slots__ = ("_amounts", "_places")

    def __init__(self) -> None:
        self._places: dict[UUID, Place] = {}
        self._amounts: dict[UUID, float] = {}

    def __len__(self) -> int:
        return len(self._places)

    def __contains__(self, trace_id: UUID) -> bool:
        return trace_id in self._places

    def add(self, run: TraceRun, span_id: int | None = None, amount: float = 0.0) -> None:
        known = self._places.get(run.trace_id)
        if known is None or amount > known.badness:
            self._places[run.trace_id] = Place(run, span_id, amount)
        self._amounts[run.trace_id] = self._amounts.get(run.trace_id, 0.0) + amount

    @property
    def runs(self) -> list[TraceRun]:
        return [place.run for place in self._places.values()]

    @property
    def places(self) -> list[Place]:
        return list(self._places.values())

    @property
    def traces(self) -> frozenset[UUID]:
        return frozenset(self._places)

    @property
    def total(self) -> float:
        return sum(self._amounts.values())

    @property
    def median(self) -> float:
        """Of the amounts of a run."""
        return median(self._amounts.values())

    @property
    def failed_count(self) -> int:
        return sum(run.failed for run in self.runs)

    def citations(self) -> tuple[CitationDraft, ...]:
        return cite(self.places)
