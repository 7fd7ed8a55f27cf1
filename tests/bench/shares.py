"""Where the processor time of ingest goes: timers around its steps, in a process of its own on the same database."""

import gzip
import json
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.bench.meters import TICKS
from tests.bench.report import Table
from tests.bench.traffic import Body, Mix, body, stream
from tests.e2e.instance import Instance

SIZES = {512: 40, 10: 800}
"""Bodies by their size."""
GROUP = 16
"""How many small requests share a commit."""
SAMPLE = "from tests.bench.shares import sample; sample({seed})"


def run(instance: Instance, table: Table, seed: int) -> None:
    """Tell the shares for large and for small requests."""
    told: dict[str, dict[str, float]] = json.loads(instance.shell(SAMPLE.format(seed=seed)).splitlines()[-1])
    for size, seconds in told.items():
        total = sum(seconds.values())
        words = ", ".join(
            f"{name} {used / total:.0%}" for name, used in sorted(seconds.items(), key=lambda each: -each[1])
        )
        table.say(f"shares of CPU without HTTP, {size} a request", words)


def sample(seed: int) -> None:
    """Within a configured process: print the seconds of each step as JSON, by size of request."""
    from catalyst.core.models import Project  # noqa: PLC0415 # needs the settings

    project = Project.objects.get(slug="default").pk
    told = {size: _sample(project, seed + size, size, count) for size, count in SIZES.items()}
    print(json.dumps(told))  # noqa: T201


def _sample(project: int, seed: int, size: int, count: int) -> dict[str, float]:
    from django.db import connection  # noqa: PLC0415
    from django.utils import timezone  # noqa: PLC0415

    from traces.ingest import pipeline, rollups  # noqa: PLC0415
    from traces.store.postgres import PostgresSpanStore  # noqa: PLC0415

    spans = stream(Mix(seed), 0)
    made = [body(next(spans) for _ in range(size)) for _ in range(count)]
    spent: dict[str, float] = defaultdict(float)
    undo = [
        _timed(PostgresSpanStore, "insert", "copy", spent),
        _timed(rollups, "apply", "rollups", spent),
    ]
    connection.ensure_connection()
    backend = connection.connection.info.backend_pid
    before = _cpu(backend)
    at_once = GROUP if size < 100 else 1
    for first in range(0, count, at_once):
        arrivals = [_read(project, each, spent, timezone.now()) for each in made[first : first + at_once]]
        began = time.process_time()
        pipeline.write(arrivals)
        spent["write"] += time.process_time() - began
    for each in undo:
        each()
    spent["other"] = spent.pop("write") - spent["copy"] - spent["rollups"]
    spent["PostgreSQL"] = _cpu(backend) - before
    return dict(spent)


def _read(project: int, made: Body, spent: dict[str, float], now: Any) -> Any:
    from traces.ingest import pipeline  # noqa: PLC0415
    from traces.otlp import decode_protobuf  # noqa: PLC0415

    began = time.process_time()
    decoded = decode_protobuf(gzip.decompress(made.content))
    between = time.process_time()
    arrival = pipeline.read(project, decoded.spans, now)
    spent["decode"] += between - began
    spent["read"] += time.process_time() - between
    return arrival


def _timed(owner: Any, name: str, step: str, spent: dict[str, float]) -> Callable[[], None]:
    """Add the time that a function takes to a step; returns what ends that."""
    original = getattr(owner, name)

    def timed(*arguments: Any) -> Any:
        began = time.process_time()
        try:
            return original(*arguments)
        finally:
            spent[step] += time.process_time() - began

    setattr(owner, name, timed)
    return lambda: setattr(owner, name, original)


def _cpu(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(map(int, fields[11:13])) / TICKS
