"""Filters of lists of signals and labels, and how a URL says them."""

from collections.abc import Mapping
from dataclasses import dataclass

from catalyst.params import parse_number, version_number
from signals.definitions.choices import Scope, State
from signals.definitions.definition import MAX_LABEL_CHARACTERS, MAX_NAME_CHARACTERS


@dataclass(frozen=True, slots=True)
class SignalFilter:
    """What a list of signals is narrowed to, and what it is sorted by. `agent`: its id."""

    text: str = ""
    state: str = ""
    scope: str = ""
    agent: int | None = None
    sort: str = "name"


@dataclass(frozen=True, slots=True)
class LabelFilter:
    """What a list of labels is narrowed to. A status is that of a label, or `waiting` for what no judge ended yet.

    `version`: its number; `run`: the id of a manual run; `text`: a part of the reason.
    """

    value: str = ""
    status: str = ""
    version: int | None = None
    run: int | None = None
    text: str = ""

    @property
    def is_of_one_version(self) -> bool:
        """Whether it names a version or a run, and so wants superseded labels too."""
        return self.version is not None or self.run is not None

    @property
    def narrows(self) -> bool:
        """Whether anything may fail to pass."""
        return self != LabelFilter()


STATUSES = ("waiting", "done", "failed", "skipped")
MAX_SEARCH_CHARACTERS = 200
SORTS = ("name", "volume", "waiting", "failed", "cost", "last")


def signal_filter(params: Mapping[str, str]) -> SignalFilter:
    """The filter of the list of signals in a query string; what makes no sense filters nothing."""
    state, scope, agent, sort = (params.get(name, "") for name in ("state", "scope", "agent", "sort"))
    return SignalFilter(
        text=params.get("q", "").replace("\0", "").strip()[:MAX_NAME_CHARACTERS],
        state=state if state in State.values else "",
        scope=scope if scope in Scope.values else "",
        agent=parse_number(agent),
        sort=sort if sort in SORTS else SORTS[0],
    )


def label_filter(params: Mapping[str, str]) -> LabelFilter:
    """The filter in a query string; what makes no sense filters nothing."""
    status, run = params.get("status", ""), params.get("run", "")
    return LabelFilter(
        value=params.get("label", "").replace("\0", "")[:MAX_LABEL_CHARACTERS],
        status=status if status in STATUSES else "",
        version=version_number(params.get("version")),
        run=parse_number(run),
        text=params.get("q", "").replace("\0", "").strip()[:MAX_SEARCH_CHARACTERS],
    )


def move(params: Mapping[str, str]) -> tuple[str, str] | None:
    """From which label to which one, if the query string says so."""
    was, became = (params.get(name, "").replace("\0", "")[:MAX_LABEL_CHARACTERS] for name in ("was", "became"))
    return (was, became) if was and became else None
