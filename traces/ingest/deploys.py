"""Keeps when an agent first ran with a version of its service."""

from collections.abc import Iterable, Mapping
from datetime import datetime

from django.conf import settings

from catalyst import database, timerange
from traces.ingest.rollups import Change

type DeployKey = tuple[int, str, str]
"""Agent, service and version."""

MAX_REMEMBERED = 50_000
# When the first trace of each deploy started, as a commit has stored it before.
_known: dict[DeployKey, datetime] = {}

_STORED = """
    SELECT agent_id, service, version, started_at FROM traces_deploy
    WHERE (agent_id, service, version) IN (SELECT * FROM unnest(%s::bigint[], %s::text[], %s::text[]))
"""
_NEW = "SELECT count(*) FROM traces_deploy WHERE project_id = %s AND first_seen_at > %s"
_UPSERT = """
    INSERT INTO traces_deploy AS t (project_id, agent_id, service, version, started_at, first_seen_at)
    SELECT %s, d.*, %s FROM unnest(%s::bigint[], %s::text[], %s::text[], %s::timestamptz[])
        AS d(agent_id, service, version, started_at) ORDER BY 2, 3, 4
    ON CONFLICT (agent_id, service, version) DO UPDATE SET started_at = EXCLUDED.started_at
    WHERE EXCLUDED.started_at < t.started_at
"""
_GIVE = """
    INSERT INTO traces_deploy AS t (project_id, agent_id, service, version, started_at, first_seen_at)
    SELECT project_id, %s, service, version, started_at, first_seen_at FROM traces_deploy WHERE agent_id = %s
    ON CONFLICT (agent_id, service, version) DO UPDATE SET started_at = least(t.started_at, EXCLUDED.started_at)
"""


def keep(project_id: int, changes: Iterable[Change], now: datetime) -> None:
    """Keep the deploys of changed traces. New ones beyond those that an hour may bring are left out."""
    earlier = _earlier_than_known(changes, now)
    if not earlier:
        return
    stored = {(agent, service, version): start for agent, service, version, start in _stored(earlier)}
    _remember(stored)
    new = [key for key in earlier if key not in stored]
    kept = [key for key in earlier if key in stored and earlier[key] < stored[key]] + new[: _room(project_id, new, now)]
    if kept:
        database.execute(_UPSERT, [project_id, now, *_columns(kept), [earlier[key] for key in kept]])


def give(source: int, into: int) -> None:
    """Add the deploys of an agent to those of another one."""
    database.execute(_GIVE, [into, source])


def _earlier_than_known(changes: Iterable[Change], now: datetime) -> dict[DeployKey, datetime]:
    kept_since = timerange.kept_since(now, settings.RETENTION_DAYS)
    found: dict[DeployKey, datetime] = {}
    for change in changes:
        summary = change.after
        if summary.agent_id is None or not summary.service_version:
            continue
        key = (summary.agent_id, summary.service, summary.service_version)
        # A clock that is off tells no time.
        start = summary.start_time if kept_since <= summary.start_time <= now else now
        known = _known.get(key)
        if known is None or start < known:
            found[key] = min(start, found.get(key, start))
    return found


def _stored(keys: Iterable[DeployKey]) -> list[tuple[int, str, str, datetime]]:
    return database.fetch(_STORED, _columns(keys))


def _room(project_id: int, new: list[DeployKey], now: datetime) -> int:
    if not new:
        return 0
    ((count,),) = database.fetch(_NEW, [project_id, now - timerange.HOUR])
    return max(0, int(settings.MAX_NEW_NAMES) - int(count))


def _remember(stored: Mapping[DeployKey, datetime]) -> None:
    if len(_known) > MAX_REMEMBERED:
        _known.clear()
    _known.update(stored)


def _columns(keys: Iterable[DeployKey]) -> list[list[object]]:
    return [list(column) for column in zip(*keys, strict=True)]
