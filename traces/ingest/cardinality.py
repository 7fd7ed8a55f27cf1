"""Limits how many new agents, models and tools a project brings in an hour.

Senders choose these names. Each is kept for as long as the sums of its calls, and offered as a choice.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime

from django.conf import settings

from catalyst import database, timerange
from traces.conventions.span_mapping import Identity
from traces.models import Kind
from traces.summary import OTHER

type CallName = tuple[str, str]
"""Kind and name of a model or tool."""

MAX_REMEMBERED = 50_000
# Names that a commit has stored before, by project. They are never deleted alone.
_known: set[tuple[int, CallName]] = set()

_KNOWN = """
    SELECT kind, name FROM traces_callname
    WHERE project_id = %s AND (kind, name) IN (SELECT * FROM unnest(%s::text[], %s::text[]))
"""
_NEW_NAMES = "SELECT kind, count(*) FROM traces_callname WHERE project_id = %s AND first_seen_at > %s GROUP BY kind"
_NEW_AGENTS = "SELECT count(*) FROM agents_agent WHERE project_id = %s AND first_seen_at > %s AND identity <> %s"
_NEW_IDENTITIES = """
    SELECT count(*) FROM agents_agentidentity i JOIN agents_agent a ON a.id = i.agent_id
    WHERE i.project_id = %s AND i.first_seen_at > %s AND i.identity <> a.identity
"""
_INSERT = """
    INSERT INTO traces_callname (project_id, kind, name, first_seen_at)
    SELECT %s, d.kind, d.name, %s FROM unnest(%s::text[], %s::text[]) AS d(kind, name) ORDER BY d.kind, d.name
    ON CONFLICT (project_id, kind, name) DO NOTHING
"""


def keep_call_names(project_id: int, names: Iterable[CallName], now: datetime, *, limited: bool) -> set[CallName]:
    """Keep names of models and tools. Return those that the project must not add in this hour."""
    unknown = [name for name in dict.fromkeys(names) if (project_id, name) not in _known]
    if not unknown:
        return set()
    stored = set(database.fetch(_KNOWN, [project_id, *_columns(unknown)]))
    _remember(project_id, stored)
    new = [name for name in unknown if name not in stored]
    refused = _beyond(project_id, new, now) if new and limited else set()
    if kept := [name for name in new if name not in refused]:
        database.execute(_INSERT, [project_id, now, *_columns(kept)])
    return refused


def _remember(project_id: int, stored: Iterable[CallName]) -> None:
    if len(_known) > MAX_REMEMBERED:
        _known.clear()
    _known.update((project_id, name) for name in stored)


def new_agents(project_id: int, identities: Sequence[Identity], now: datetime) -> Sequence[Identity]:
    """The first ones of new agents, as many as the project may add in this hour."""
    return identities[: room_for_agents(project_id, now)] if identities else ()


def room_for_agents(project_id: int, now: datetime) -> int:
    """How many new agents the project may still add in this hour."""
    ((count,),) = database.fetch(_NEW_AGENTS, [project_id, now - timerange.HOUR, OTHER])
    return max(0, int(settings.MAX_NEW_NAMES) - int(count))


def room_for_identities(project_id: int, now: datetime) -> int:
    """How many identities may still join agents of the project in this hour."""
    ((count,),) = database.fetch(_NEW_IDENTITIES, [project_id, now - timerange.HOUR])
    return max(0, int(settings.MAX_NEW_NAMES) - int(count))


def _beyond(project_id: int, new: list[CallName], now: datetime) -> set[CallName]:
    added = dict(database.fetch(_NEW_NAMES, [project_id, now - timerange.HOUR]))
    by_kind: dict[str, list[CallName]] = defaultdict(list)
    for name in new:
        by_kind[name[0]].append(name)
    return {
        name
        for kind in (Kind.LLM.value, Kind.TOOL.value)
        for name in by_kind[kind][max(0, settings.MAX_NEW_NAMES - added.get(kind, 0)) :]
    }


def _columns(names: Iterable[CallName]) -> list[list[str]]:
    pairs = list(names)
    return [[kind for kind, _ in pairs], [name for _, name in pairs]]
