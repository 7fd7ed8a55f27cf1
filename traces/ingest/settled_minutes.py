"""Counts traces that settle, by agent and minute."""

from collections.abc import Sequence
from datetime import datetime

from catalyst import database
from catalyst.agents.models import Agent
from catalyst.timerange import MINUTE, floor
from traces.summary import BUCKET_BASE

_SUMS = ("trace_count", "error_trace_count", "tokens", "cost", "unpriced_count")
_NAMES = ", ".join(_SUMS)
# Adds the rows of a statement to those that there are.
_ADD = f"""
    ON CONFLICT (project_id, agent_id, minute) DO UPDATE SET
        {", ".join(f"{name} = m.{name} + EXCLUDED.{name}" for name in _SUMS)},
        latencies = (
            SELECT jsonb_object_agg(bucket, count) FROM (
                SELECT key AS bucket, sum(value::int) AS count FROM (
                    SELECT * FROM jsonb_each_text(m.latencies)
                    UNION ALL SELECT * FROM jsonb_each_text(EXCLUDED.latencies)
                ) both_rows GROUP BY key
            ) merged
        )
"""
_COUNT = f"""
    INSERT INTO traces_agentminute AS m (project_id, agent_id, minute, {_NAMES}, latencies)
    SELECT project_id, agent_id, %s, {", ".join(f"sum({name})" for name in _SUMS)},
        jsonb_object_agg(bucket, trace_count)
    FROM (
        SELECT project_id, agent_id, floor(ln(greatest(duration_us, 1)::float) / %s)::int AS bucket,
            count(*) AS trace_count, count(*) FILTER (WHERE status = 'error') AS error_trace_count,
            sum(input_tokens + output_tokens) AS tokens, sum(cost) AS cost, sum(unpriced_count) AS unpriced_count
        FROM traces_trace WHERE id = ANY(%s) AND agent_id IS NOT NULL GROUP BY 1, 2, 3
    ) buckets
    GROUP BY 1, 2 ORDER BY 1, 2
    {_ADD}
"""
_GIVE = f"""
    WITH given AS (DELETE FROM traces_agentminute WHERE project_id = %s AND agent_id = %s RETURNING *)
    INSERT INTO traces_agentminute AS m (project_id, agent_id, minute, {_NAMES}, latencies)
    SELECT project_id, %s, minute, {_NAMES}, latencies FROM given ORDER BY minute
    {_ADD}
"""


def count(traces: Sequence[int], now: datetime) -> None:
    """Count traces (primary keys) that settle now and have not settled before, in the caller's transaction.

    Locks the rows of their agents' minute until it ends, so call this last.
    """
    if traces:
        database.execute(_COUNT, [floor(now, MINUTE), BUCKET_BASE, list(traces)])


def give(source: Agent, into: Agent) -> None:
    """Add the minutes of an agent to those of another one."""
    database.execute(_GIVE, [source.project_id, source.pk, into.pk])
