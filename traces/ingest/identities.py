"""Rows that spans refer to by name: sessions and resources."""

from collections.abc import Iterable, Mapping
from datetime import datetime

import orjson

from catalyst import database
from traces.otlp import Source
from traces.summary import COUNTS, Summary


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
