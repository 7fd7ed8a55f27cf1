"""How many spans become durable per second of processor time, in large and in small requests."""

import time
from dataclasses import dataclass

from tests.bench import meters
from tests.bench.report import Table, quantile
from tests.bench.senders import Senders
from tests.bench.traffic import Body, Mix, bodies
from tests.e2e.instance import Instance

LARGE, SMALL = 512, 10
LARGE_SENDERS, SMALL_SENDERS = 4, 64
WARM_UP_SPANS = 8_192
AIM = 8_000
SMALL_AIM = 0.6
ANSWER_AIM_MS = 250
DISK_AIM = 1_500
DISK = """
    SELECT sum(pg_total_relation_size(c.oid))::bigint FROM pg_class c
    WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p') AND c.relname LIKE 'traces\\_%%'
"""


@dataclass(frozen=True, slots=True)
class Cost:
    """What some requests took. Rates are spans per second, of processor time and of the clock."""

    per_cpu_second: float
    per_second: float
    postgres_share: float
    p50_ms: float
    p95_ms: float


def run(instance: Instance, table: Table, seed: int, spans: int) -> None:
    """Ingest so many spans in large requests and half as many in small ones."""
    post(instance, _bodies(seed, LARGE_SENDERS, LARGE, WARM_UP_SPANS))
    empty = instance.count(DISK)
    before = instance.count("SELECT count(*) FROM traces_span")
    large = post(instance, _bodies(seed + 1, LARGE_SENDERS, LARGE, spans))
    small = post(instance, _bodies(seed + 2, SMALL_SENDERS, SMALL, spans // 2))
    stored = instance.count("SELECT count(*) FROM traces_span") - before
    table.at_least(f"spans durable per CPU-second, {LARGE} a request", AIM, large.per_cpu_second)
    name = f"{SMALL} a request over {SMALL_SENDERS} connections"
    table.at_least(f"spans durable per CPU-second, {name}", SMALL_AIM * large.per_cpu_second, small.per_cpu_second)
    table.at_least(f"the same, as a share of {LARGE} a request", SMALL_AIM, small.per_cpu_second / large.per_cpu_second)
    table.below(f"p95 answer, {name}", ANSWER_AIM_MS, small.p95_ms, " ms")
    table.say(f"p50 answer, {name}", f"{small.p50_ms:.0f} ms")
    table.say("spans per second, large and small", f"{large.per_second:,.0f}, {small.per_second:,.0f}")
    table.say("PostgreSQL's share of that CPU", f"{large.postgres_share:.0%}, {small.postgres_share:.0%}")
    table.below("disk per span, with indexes and rollups", DISK_AIM, (instance.count(DISK) - empty) / stored, " bytes")


def post(instance: Instance, streams: list[list[Body]]) -> Cost:
    """Post them as fast as it goes."""
    before, began = meters.cpu(instance.pids["up"]), time.monotonic()
    senders = Senders(instance.url, instance.ingest_key, streams).start()
    senders.join()
    seconds, after = time.monotonic() - began, meters.cpu(instance.pids["up"])
    tally = senders.tally
    assert not tally.refused, tally.refused[0]
    assert tally.answers.keys() == {"200"}, tally.answers
    used = {name: after[name] - before[name] for name in after}
    spans, cpu = len(tally.acknowledged), sum(used.values())
    milliseconds = [1000 * each for each in tally.seconds]
    return Cost(
        spans / cpu, spans / seconds, used["postgres"] / cpu, quantile(milliseconds, 0.5), quantile(milliseconds, 0.95)
    )


def _bodies(seed: int, senders: int, size: int, spans: int) -> list[list[Body]]:
    return bodies(Mix(seed), senders, -(-spans // (senders * size)), size)
