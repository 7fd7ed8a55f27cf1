"""Numbers and cost of traces by agent and bar."""

from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime
from decimal import Decimal
from operator import add
from typing import Any, NamedTuple

from django.core.exceptions import EmptyResultSet
from django.db import connection, models
from django.db.models import Q

from traces.usage import SUMS, Usage, UsageRow


class Volume(NamedTuple):
    traces: int = 0
    errors: int = 0
    cost: Decimal = Decimal(0)
    unpriced: int = 0


class Volumes(NamedTuple):
    """Volumes by agent (0 for none), and by bar of one agent or of all. Empty ones are missing."""

    agents: dict[int, Volume]
    bars: dict[datetime, Volume]


def merged(first: Volumes, second: Volumes) -> Volumes:
    return Volumes(_merged(first.agents, second.agents), _merged(first.bars, second.bars))


def _merged[Key](first: Mapping[Key, Volume], second: Mapping[Key, Volume]) -> dict[Key, Volume]:
    return {
        key: Volume(*map(add, first.get(key, Volume()), second.get(key, Volume()))) for key in first.keys() | second
    }


def agent_is(pk: int) -> Q:
    """Rows of an agent; 0 matches rows without one."""
    return Q(agent_id=pk) if pk else Q(agent_id=None)


def volumes_of(rows: models.QuerySet[Any, tuple[Any, ...]], agent: int | None) -> Volumes:
    """Add up rows of an agent and bar."""
    # In the database: Python takes longer with many agents.
    volumes = Volumes({}, {})
    with suppress(EmptyResultSet), connection.cursor() as cursor:
        statement, parameters = rows.query.sql_with_params()
        cursor.execute(VOLUMES_SQL.format(rows=statement), [*parameters, agent])
        for pk, bar, *sums in cursor.fetchall():
            if bar is None:
                volumes.agents[pk] = Volume(*sums)
            else:
                volumes.bars[bar] = Volume(*sums)
    return volumes


SUMS_OF_HOURS = "sum(traces)::bigint, sum(errors)::bigint, sum(cost), sum(unpriced)::bigint"
VOLUMES_SQL = f"""
    WITH each (agent_id, bar, traces, errors, cost, unpriced) AS ({{rows}})
    SELECT coalesce(agent_id, 0), NULL, {SUMS_OF_HOURS} FROM each GROUP BY 1
    UNION ALL
    SELECT NULL, bar, {SUMS_OF_HOURS} FROM each WHERE coalesce(agent_id, 0) = coalesce(%s, agent_id, 0) GROUP BY 2
"""


def usage_row(row: Mapping[str, Any]) -> UsageRow:
    return UsageRow(row["agent_id"], row["bar"], usage_of(row))


def usage_of(row: Mapping[str, Any]) -> Usage:
    return Usage(*(row[f"sum_{name}"] for name in SUMS))
