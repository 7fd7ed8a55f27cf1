"""How long the list of traces and the page of a trace take when many spans are stored."""

import http.client
import random
import time
from collections.abc import Iterable, Iterator

from tests.bench.ingest import LARGE, LARGE_SENDERS, post
from tests.bench.report import Table, quantile
from tests.bench.traffic import Mix, bodies
from tests.e2e.instance import Instance

AIM_MS = 50
PAGES = 100
COPIED_SPANS = 20_480
TIMEOUT = 60
FILTERS = ("", "?range=24h", "?range=7d", "?status=error", "?range=24h&status=error", "?range=1h")
RANDOM_TRACES = """
    SELECT encode(uuid_send(trace_id), 'hex') FROM traces_trace JOIN core_project p ON p.id = project_id
    WHERE p.slug = 'default' ORDER BY random() LIMIT %s
"""
COLUMNS = """
    SELECT column_name FROM information_schema.columns WHERE table_name = %s AND is_generated = 'NEVER'
    ORDER BY ordinal_position
"""
COPY = """
    INSERT INTO {table} ({columns}) SELECT {values}
    FROM {table} s JOIN copied USING (trace_id), generate_series(%s::int, %s::int) AS copy
"""
DIFFERENT = {
    "id": "nextval('traces_trace_id_seq')",
    "trace_id": "md5(s.trace_id::text || copy)::uuid",
    "start_time": "s.start_time - copy * interval '71 seconds'",
    "end_time": "s.end_time - copy * interval '71 seconds'",
}


def run(instance: Instance, table: Table, seed: int, spans: int) -> None:
    """Store so many by copying some within the database, then read pages, one after the other."""
    post(instance, bodies(Mix(seed + 20), LARGE_SENDERS, COPIED_SPANS // LARGE // LARGE_SENDERS, LARGE))
    copies = (spans - instance.count("SELECT count(*) FROM traces_span")) // COPIED_SPANS
    replicate(instance, "true", COPIED_SPANS // 8, copies)
    stored = f"{instance.count('SELECT count(*) FROM traces_span') / 1e6:.1f} M spans"
    chance = random.Random(seed)
    lists = ["/p/default/traces/" + chance.choice(FILTERS) for _ in range(PAGES)]
    traces = [f"/p/default/traces/{trace}/" for (trace,) in instance.query(RANDOM_TRACES, PAGES)]
    for what, paths in (("list of traces", lists), ("page of a trace", traces)):
        times = [1000 * seconds for seconds in read(instance, signed_in(instance), paths)]
        table.below(f"{what} at {stored}, p50", AIM_MS, quantile(times, 0.5), " ms")
        table.below(f"{what} at {stored}, p95", AIM_MS, quantile(times, 0.95), " ms")


def replicate(instance: Instance, which: str, traces: int, copies: int) -> None:
    """Copy the newest traces of which this is true, so often, with spans and texts: other ids, further in the past.

    Then vacuum, which the server else does by itself a minute later, while something is measured.
    """
    first = f"SELECT trace_id FROM traces_trace WHERE {which} ORDER BY id DESC LIMIT %s"
    for table in ("traces_span", "traces_payload", "traces_trace"):
        columns = [name for (name,) in instance.query(COLUMNS, table)]
        values = ", ".join(DIFFERENT.get(name, f's."{name}"') for name in columns)
        statement = COPY.format(table=table, columns=", ".join(f'"{name}"' for name in columns), values=values)
        instance.execute(f"WITH copied AS ({first}) {statement}", traces, 1, copies)
    instance.execute("VACUUM ANALYZE traces_span, traces_payload, traces_trace")


def read(instance: Instance, cookie: str, paths: Iterable[str]) -> Iterator[float]:
    """Seconds that each page took, over one connection; all must be there."""
    connection = http.client.HTTPConnection(instance.url.rpartition("/")[2], timeout=TIMEOUT)
    for path in paths:
        began = time.monotonic()
        connection.request("GET", path, headers={"Cookie": cookie})
        response = connection.getresponse()
        response.read()
        assert response.status == 200, (path, response.status)
        yield time.monotonic() - began
    connection.close()


def signed_in(instance: Instance) -> str:
    """The cookie of a browser of the owner."""
    return "; ".join(f"{name}={value}" for name, value in instance.cookies_of("owner").items())
