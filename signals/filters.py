"""Filters of the lists of signals and labels, and their query strings."""

from collections.abc import Mapping
from dataclasses import dataclass

from catalyst.params import parse_number, version_number
from signals.definitions.choices import Scope, State
from signals.definitions.definition import MAX_LABEL_CHARACTERS, MAX_NAME_CHARACTERS


@dataclass(frozen=True, slots=True)
class SignalFilter:
    """Filter and sort order of a list of signals. `agent`: an id."""

    text: str = ""
    state: str = ""
    scope: str = ""
    agent: int | None = None
    sort: str = "name"


@dataclass(frozen=True, slots=True)
class LabelFilter:
    """Filter of a list of labels.

    `status`: a label's status, or `waiting` for queued and running. `version`: its number. `run`: an id. `text`:
    part of the reason.
    """

    value: str = ""
    status: str = ""
    version: int | None = None
    run: int | None = None
    text: str = ""

    @property
    def is_of_one_version(self) -> bool:
        return self.version is not None or self.run is not None

    @property
    def narrows(self) -> bool:
        return self != LabelFilter()


STATUSES = ("waiting", "done", "failed", "skipped")
MAX_SEARCH_CHARACTERS = 200
SORTS = ("name", "volume", "waiting", "failed", "cost", "last")


def signal_filter(params: Mapping[str, str]) -> SignalFilter:
    """Read the filter from a query string. Invalid values are ignored."""
    state, scope, agent, sort = (params.get(name, "") for name in ("state", "scope", "agent", "sort"))
    return SignalFilter(
        text=params.get("q", "").replace("\0", "").strip()[:MAX_NAME_CHARACTERS],
        state=state if state in State.values else "",
        scope=scope if scope in Scope.values else "",
        agent=parse_number(agent),
        sort=sort if sort in SORTS else SORTS[0],
    )


def label_filter(params: Mapping[str, str]) -> LabelFilter:
    """Read the filter from a query string. Invalid values are ignored."""
    status, run = params.get("status", ""), params.get("run", "")
    return LabelFilter(
        value=params.get("label", "").replace("\0", "")[:MAX_LABEL_CHARACTERS],
        status=status if status in STATUSES else "",
        version=version_number(params.get("version")),
        run=parse_number(run),
        text=params.get("q", "").replace("\0", "").strip()[:MAX_SEARCH_CHARACTERS],
    )


def move(params: Mapping[str, str]) -> tuple[str, str] | None:
    """Read `was` and `became`: a change from one label to another. Returns None unless both are given."""
    was, became = (params.get(name, "").replace("\0", "")[:MAX_LABEL_CHARACTERS] for name in ("was", "became"))
    return (was, became) if was and became else None
