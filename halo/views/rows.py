"""Reports in lists: those under way first, then the newest."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from catalyst.core.access import ProjectRequest
from catalyst.formats import Plain
from catalyst.pagination import Cursor
from catalyst.params import cursor
from catalyst.timerange import DAY, HOUR, MINUTE
from halo.choices import RunStatus, Severity
from halo.models import Run
from halo.models.run import RunQuerySet

# The colors of states. Others have none.
TONES = {RunStatus.COMPLETED: "ok", RunStatus.FAILED: "failed", RunStatus.TIMED_OUT: "failed"}
PAGE = 30


@dataclass(frozen=True, slots=True)
class Row:
    """A report of `RunQuerySet.for_list`."""

    run: Run

    @property
    def severities(self) -> list[tuple[Severity, int]]:
        """The number of findings of each severity that has some, the worst first."""
        counts = [(severity, int(getattr(self.run, f"{severity}_count"))) for severity in Severity]
        return [(severity, count) for severity, count in counts if count]

    @property
    def lede(self) -> str:
        """Rules write no Markdown, but what they quote of traces may look like it."""
        return Plain(self.run.lede) if self.run.by_rules else self.run.lede

    @property
    def finding_count(self) -> int:
        return sum(count for _, count in self.severities)

    @property
    def tone(self) -> str:
        return tone(self.run)

    @property
    def window_length(self) -> str:
        return window_length(self.run)

    @property
    def engine_text(self) -> str:
        return engine_text(self.run)


def tone(run: Run) -> str:
    """The color of its state."""
    return "running" if run.is_open else TONES.get(RunStatus(run.status), "")


def window_length(run: Run) -> str:
    """`24 h`, `7 days`."""
    return length_text(run.window_end - run.window_start)


def length_text(length: timedelta) -> str:
    if length >= 2 * DAY:
        return f"{round(length / DAY)} days"
    return f"{round(length / HOUR)} h" if length >= 2 * HOUR else f"{round(length / MINUTE)} min"


def engine_text(run: Run) -> str:
    """Who reads or read the traces."""
    if run.by_rules:
        return "Offline analyst"
    return f"{run.model_name} ({run.connection})" if run.connection else run.model_name


def page_of(request: ProjectRequest, runs: RunQuerySet, limit: int | None = None) -> dict[str, Any]:
    """A page of runs, from behind the one `after`. `more`: where the next one begins. `is_open`: some go on.

    Those under way are few, and are all on the first page.
    """
    limit = limit or PAGE
    after = cursor(request.GET.get("after"))
    listed = runs.for_list()
    first = [] if after else list(listed.open().newest())
    ended = list(listed.ended().newest(after)[: limit + 1])
    return {
        "rows": [Row(run) for run in (*first, *ended[:limit])],
        "is_open": bool(first),
        "more": _place(ended[limit - 1]) if len(ended) > limit else None,
    }


def _place(run: Run) -> Cursor:
    return Cursor(run.created_at, run.pk)
