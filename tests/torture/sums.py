"""Every rollup against plain SQL over the spans. None of this uses the product's own code.

It holds for the traffic of `tests.bench.traffic`: every span names its session and agent, no model call lies within
another, every trace has a root, and none reports another outcome than its status says.
"""

from tests.e2e.instance import Instance
from tests.torture.report import Report

NUMBERS = """
    count(*) AS span_count,
    count(*) FILTER (WHERE kind = 'LLM') AS llm_count,
    count(*) FILTER (WHERE kind = 'TOOL') AS tool_count,
    count(*) FILTER (WHERE status = 'error') AS error_count,
    coalesce(sum(input_tokens) FILTER (WHERE kind = 'LLM'), 0) AS input_tokens,
    coalesce(sum(output_tokens) FILTER (WHERE kind = 'LLM'), 0) AS output_tokens,
    coalesce(sum(cached_tokens) FILTER (WHERE kind = 'LLM'), 0) AS cached_tokens,
    coalesce(sum(cache_write_tokens) FILTER (WHERE kind = 'LLM'), 0) AS cache_write_tokens,
    coalesce(sum(reasoning_tokens) FILTER (WHERE kind = 'LLM'), 0) AS reasoning_tokens,
    coalesce(sum(cost) FILTER (WHERE kind = 'LLM'), 0) AS cost,
    coalesce(sum(input_cost) FILTER (WHERE kind = 'LLM'), 0) AS input_cost,
    coalesce(sum(cache_cost) FILTER (WHERE kind = 'LLM'), 0) AS cache_cost,
    coalesce(sum(output_cost) FILTER (WHERE kind = 'LLM'), 0) AS output_cost,
    count(*) FILTER (WHERE kind = 'LLM' AND cost IS NULL AND (input_tokens > 0 OR output_tokens > 0)) AS unpriced_count
"""
COLUMNS = [line.rpartition(" AS ")[2].strip(" ,") for line in NUMBERS.splitlines() if " AS " in line]
SUMS = ", ".join(f"sum({name}) AS {name}" for name in COLUMNS)

TRACE = f"""
    SELECT s.project_id, s.trace_id, {NUMBERS},
        min(s.start_time) AS start_time,
        max(s.start_time + coalesce(s.duration_us, 0) * interval '1 microsecond') AS end_time,
        max(s.session_key) AS session_key,
        max(s.agent_id) FILTER (WHERE s.parent_id IS NULL) AS agent_id,
        max(s.duration_us) FILTER (WHERE s.parent_id IS NULL) AS duration_us,
        bool_or(s.status = 'error') FILTER (WHERE s.parent_id IS NULL) AS failed,
        date_trunc('hour', min(s.start_time)) AS hour
    FROM traces_span s GROUP BY s.project_id, s.trace_id
"""
SESSION = f"""
    SELECT project_id, session_key AS key, max(agent_id) AS agent_id, min(start_time) AS start_time,
        max(end_time) AS end_time, count(*) AS trace_count, count(*) FILTER (WHERE failed) AS error_trace_count, {SUMS}
    FROM trace GROUP BY project_id, session_key
"""
HOUR = f"""
    SELECT project_id, agent_id, hour, count(*) AS trace_count, count(*) FILTER (WHERE failed) AS error_trace_count,
        count(*) FILTER (WHERE NOT failed) AS success_count, count(*) FILTER (WHERE failed) AS failure_count,
        0 AS reported_outcome_count, {SUMS}
    FROM trace GROUP BY project_id, agent_id, hour
"""
BUCKET = "floor(ln(greatest({}, 1)::float8) / ln(1.1::float8))"
LATENCY = f"""
    SELECT project_id, agent_id, hour, {BUCKET.format("duration_us")} AS bucket, count(*) AS trace_count
    FROM trace GROUP BY project_id, agent_id, hour, bucket
"""
CALLS = f"""
    SELECT s.project_id, t.agent_id, t.hour, s.kind, CASE WHEN s.kind = 'LLM' THEN s.model ELSE s.tool END AS name,
        {BUCKET.format("s.duration_us")} AS bucket, count(*) AS call_count,
        count(*) FILTER (WHERE s.status = 'error') AS error_count,
        coalesce(sum(s.input_tokens) FILTER (WHERE s.kind = 'LLM'), 0) AS input_tokens,
        coalesce(sum(s.output_tokens) FILTER (WHERE s.kind = 'LLM'), 0) AS output_tokens,
        coalesce(sum(s.cached_tokens) FILTER (WHERE s.kind = 'LLM'), 0) AS cached_tokens,
        coalesce(sum(s.cost) FILTER (WHERE s.kind = 'LLM'), 0) AS cost
    FROM traces_span s JOIN trace t USING (project_id, trace_id) WHERE s.kind IN ('LLM', 'TOOL')
    GROUP BY 1, 2, 3, 4, 5, 6
"""
TIMES = ["start_time", "end_time"]
TRACES = ["trace_count", "error_trace_count"]
OF_HOURS = [*TRACES, "success_count", "failure_count", "reported_outcome_count"]
OF_CALLS = ["call_count", "error_count", "input_tokens", "output_tokens", "cached_tokens", "cost"]
ROLLUPS = {
    "traces_trace": (TRACE, ["project_id", "trace_id"], [*TIMES, "agent_id", "duration_us", *COLUMNS]),
    "traces_session": (SESSION, ["project_id", "key"], [*TIMES, "agent_id", *TRACES, *COLUMNS]),
    "traces_agenthour": (HOUR, ["project_id", "agent_id", "hour"], [*OF_HOURS, *COLUMNS]),
    "traces_agenthourlatency": (LATENCY, ["project_id", "agent_id", "hour", "bucket"], ["trace_count"]),
    "traces_agenthourcalls": (CALLS, ["project_id", "agent_id", "hour", "kind", "name", "bucket"], OF_CALLS),
}
WRONG = """
    WITH trace AS MATERIALIZED ({trace}), told AS ({told})
    SELECT count(*) FROM told FULL JOIN {table} kept ON {same} WHERE {differs}
"""
HOMELESS = """
    SELECT count(*) FROM traces_trace t LEFT JOIN traces_session s ON s.id = t.session_id
    WHERE s.key IS DISTINCT FROM
        (SELECT max(session_key) FROM traces_span p WHERE (p.project_id, p.trace_id) = (t.project_id, t.trace_id))
"""

# A trace counts when it settles for the first time, with its numbers of then. So only traces can be told later.
MINUTES = """
    WITH told AS (
        SELECT t.project_id, t.agent_id, count(*) AS trace_count FROM traces_trace t
        WHERE t.agent_id IS NOT NULL AND NOT EXISTS (
            SELECT FROM traces_unsettled u WHERE u.scope = 'trace' AND u.target_id = t.id AND u.is_first
        ) GROUP BY 1, 2
    ), kept AS (
        SELECT project_id, agent_id, sum(trace_count) AS trace_count FROM traces_agentminute GROUP BY 1, 2
    )
    SELECT count(*) FROM told FULL JOIN kept USING (project_id, agent_id)
    WHERE told.trace_count IS DISTINCT FROM kept.trace_count
"""
LATENCIES = """
    SELECT count(*) FROM traces_agentminute m WHERE m.trace_count <>
        (SELECT coalesce(sum(value::int), 0) FROM jsonb_each_text(m.latencies))
"""


def check(instance: Instance, report: Report) -> None:
    """Compare every row of every rollup with sums over spans; a row that is missing counts as nothing but zeros."""
    for table, (told, keys, values) in ROLLUPS.items():
        report.say(f"rows of {table}", instance.count(f"SELECT count(*) FROM {table}"))
        report.expect(
            f"rows of {table} that differ from sums over spans", instance.count(wrong(table, told, keys, values))
        )
    report.expect("traces in another session than their spans", instance.count(HOMELESS))
    report.say("rows of traces_agentminute", instance.count("SELECT count(*) FROM traces_agentminute"))
    report.expect("agents whose minutes have not each settled trace once", instance.count(MINUTES))
    report.expect("minutes whose latencies are not those of their traces", instance.count(LATENCIES))


def wrong(table: str, told: str, keys: list[str], values: list[str]) -> str:
    """A statement that counts the rows of `table` that are not as `told`."""
    same = " AND ".join(f"told.{key} = kept.{key}" for key in keys)
    differs = " OR ".join(
        f"told.{name} IS DISTINCT FROM kept.{name}"
        if name in TIMES or name.endswith("_id")
        else f"coalesce(told.{name}, 0) <> coalesce(kept.{name}, 0)"
        for name in values
    )
    return WRONG.format(trace=TRACE, told=told, table=table, same=same, differs=differs)
