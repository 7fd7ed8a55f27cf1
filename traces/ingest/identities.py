"""Rows that spans refer to by name: agents, sessions, resources."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime

import orjson

from catalyst import database
from traces.conventions.span_mapping import Identity
from traces.ingest import cardinality
from traces.otlp import Source
from traces.summary import COUNTS, OTHER, Summary

_OTHER = Identity(OTHER, "agent_name", OTHER)


def agent_ids(
    project_id: int, identities: Collection[Identity], now: datetime, *, limited: bool = True
) -> Mapping[str, int]:
    """Get or create agents; returns primary keys by identity. The newest name wins.

    `limited`: identities beyond the new ones that an hour may bring are missing from the result.
    """
    if not identities:
        return {}
    by_identity = {identity.identity: identity for identity in sorted(identities, key=lambda i: (i.identity, i.name))}
    rows = [by_identity[key] for key in dict.fromkeys(identity.identity for identity in identities)]
    existing = database.fetch(
        "SELECT identity, id, name FROM agents_agent WHERE project_id = %s AND identity = ANY(%s)",
        [project_id, [row.identity for row in rows]],
    )
    names = {identity: name for identity, _, name in existing}
    refused = cardinality.refused_agents(project_id, rows, names, now) if limited else ()
    changed = [row for row in rows if names.get(row.identity) != row.name and row.identity not in refused]
    return {identity: pk for identity, pk, _ in existing} | _write_agents(project_id, changed, now)


def _write_agents(project_id: int, rows: Sequence[Identity], now: datetime) -> dict[str, int]:
    if not rows:
        return {}
    columns = [[getattr(row, name) for row in rows] for name in ("identity", "source", "name")]
    return dict(
        database.fetch(
            """
            INSERT INTO agents_agent AS a (project_id, identity, source, name, first_seen_at)
            SELECT %s, d.identity, d.source, d.name, %s
            FROM unnest(%s::text[], %s::text[], %s::text[]) AS d(identity, source, name) ORDER BY d.identity
            ON CONFLICT (project_id, identity) DO UPDATE SET name = EXCLUDED.name
            RETURNING identity, id
            """,
            [project_id, now, *columns],
        )
    )


def other_agent(project_id: int, now: datetime) -> int:
    """Get or create the agent of spans whose own agent was one too many; returns its primary key."""
    return agent_ids(project_id, [_OTHER], now)[OTHER]


def session_ids(project_id: int, summaries: Iterable[Summary], now: datetime) -> dict[str, int]:
    """Get or create the sessions of traces; returns primary keys by the sender's id."""
    times: dict[str, list[datetime]] = {}
    for summary in summaries:
        if summary.session_key:
            times.setdefault(summary.session_key, []).extend((summary.start_time, summary.end_time))
    if not times:
        return {}
    keys = sorted(times)
    existing = _session_keys(project_id, keys)
    new = [key for key in keys if key not in existing]
    if not new:
        return existing
    sums = ("trace_count", "error_trace_count", "revision", *COUNTS)
    database.execute(
        f"""
        INSERT INTO traces_session (project_id, key, start_time, end_time, first_received_at, last_received_at, "user",
            {", ".join(sums)})
        SELECT %s, d.key, d.start_time, d.end_time, %s, %s, '', {", ".join("0" for _ in sums)}
        FROM unnest(%s::text[], %s::timestamptz[], %s::timestamptz[]) AS d(key, start_time, end_time) ORDER BY d.key
        ON CONFLICT (project_id, key) DO NOTHING
        """,
        [project_id, now, now, new, [min(times[key]) for key in new], [max(times[key]) for key in new]],
    )
    return existing | _session_keys(project_id, new)


def _session_keys(project_id: int, keys: list[str]) -> dict[str, int]:
    return dict(
        database.fetch(
            "SELECT key, id FROM traces_session WHERE project_id = %s AND key = ANY(%s) ORDER BY key FOR KEY SHARE",
            [project_id, keys],
        )
    )


def keep_resources(project_id: int, sources: Mapping[int, Source]) -> None:
    """Get or create resources by digest."""
    digests = sorted(sources)
    database.execute(
        """
        INSERT INTO traces_resource (project_id, digest, attributes, scope_name, scope_version)
        SELECT %s, d.* FROM unnest(%s::bigint[], %s::jsonb[], %s::text[], %s::text[]) AS d ORDER BY 2
        ON CONFLICT (project_id, digest) DO NOTHING
        """,
        [
            project_id,
            digests,
            [orjson.dumps(sources[digest].attributes).decode() for digest in digests],
            [sources[digest].scope_name[:512] for digest in digests],
            [sources[digest].scope_version[:256] for digest in digests],
        ],
    )
