"""Which runs a finding cites: the most typical, the worst, the newest, and never two of one session."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from halo.analyst.material import TraceRun
from halo.drafts import CitationDraft

MAX_CITATIONS = 5


class Place(NamedTuple):
    """Where a finding shows: a run, a span of it, and how bad it is there, in any unit."""

    run: TraceRun
    span_id: int | None = None
    badness: float = 0.0
    quote: str = ""


def cite(places: Sequence[Place]) -> tuple[CitationDraft, ...]:
    """Cite up to five places, each with the reason why."""
    if not places:
        return ()
    by_badness = sorted(places, key=lambda place: (place.badness, place.run.duration_us))
    newest_first = sorted(places, key=lambda place: place.run.start_time, reverse=True)
    chosen: dict[object, CitationDraft] = {}
    _choose(chosen, [by_badness[len(places) // 2]], "typical")
    _choose(chosen, reversed(by_badness), "the worst")
    _choose(chosen, newest_first, "the newest")
    for place in newest_first:
        if len(chosen) == MAX_CITATIONS:
            break
        _choose(chosen, [place], "one more")
    return tuple(chosen.values())


def _choose(chosen: dict[object, CitationDraft], places: Iterable[Place], note: str) -> None:
    """Add the first place of a session that is not cited yet."""
    for run, span_id, _, quote in places:
        session = run.session_id if run.session_id is not None else run.trace_id
        if session not in chosen:
            chosen[session] = CitationDraft(trace_id=run.trace_id, span_id=span_id, quote=quote, note=note)
            return
