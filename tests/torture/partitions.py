"""Days are made and dropped while spans of their traces arrive; then every acknowledged span is counted.

Senders send a span or a few of each trace at a time, so that nearly every commit reads what is stored of a trace. The
days are of the past, as before an import, and of the future, as of a clock that is ahead.
"""

import random
import tempfile
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import count, islice
from pathlib import Path

from opentelemetry.proto.trace.v1.trace_pb2 import Span

from tests.bench.senders import Senders
from tests.bench.traffic import Body, Mix, Sent, body, stream
from tests.e2e.instance import Instance, started
from tests.processes import eventually
from tests.torture import sums
from tests.torture.kills import check_spans
from tests.torture.report import Report

SENDERS = 6
DAY = timedelta(days=1)
KEPT_DAYS = 30
MOST_SPANS = 4
TABLES = 2  # of a day
FEW = 50
"""Commits before a day changes, and after it."""
MAKE = """
import time
from datetime import date
from django.utils import timezone
from traces.span_store import span_store
made, day = [], date.fromisoformat("{day}")
for tries in range(1, 1_000):
    made += span_store().import_days(day, day, timezone.now())
    if len(made) == 2:
        break
    time.sleep(0.02)
print(len(made), tries)
"""
DROP = """
import time
from datetime import timedelta
from django.utils import timezone
from traces import retention
dropped = []
for tries in range(1, 1_000):
    dropped += retention.expire_spans(timezone.now() + timedelta(days=1))
    if len(dropped) == 2:
        break
    time.sleep(0.02)
print(len(dropped), tries)
"""


def run(days: int, seed: int, **variables: str) -> Report:
    """Make so many days, then drop one."""
    report = Report(f"Partitions ({days} days made, seed {seed})")
    chance = random.Random(seed)
    with (
        tempfile.TemporaryDirectory(prefix="catalyst-torture-") as folder,
        started(Path(folder), **variables) as instance,
    ):
        sent, commits = _make_days(instance, chance, days, report)
        report.say("commits while days were made", commits)
        eventually(lambda: instance.count("SELECT count(*) FROM traces_unsettled WHERE due_at < now()") == 0, 120)
        check_spans(instance, sent, report)
        sums.check(instance, report)
        _drop_day(instance, chance, report)
    return report


def _make_days(instance: Instance, chance: random.Random, days: int, report: Report) -> tuple[set[Sent], int]:
    sent: set[Sent] = set()
    commits = tries = 0
    refused = missing = 0
    today = _today()
    future, past = chance.sample(range(4, 100), days), chance.sample(range(KEPT_DAYS + 5, 400), days)
    for number in range(days):
        away = future.pop() if number % 2 else -past.pop()
        day = today + away * DAY
        over = threading.Event()
        senders = Senders(instance.url, instance.ingest_key, _streams(chance, day, over)).start()
        _await_commits(senders, FEW)
        made, tried = instance.shell(MAKE.format(day=day.date())).split()
        missing += TABLES - int(made)
        _await_commits(senders, len(senders.tally.times) + FEW)
        over.set()
        senders.join(120)
        sent |= set(senders.tally.acknowledged)
        commits += len(senders.tally.times)
        tries += int(tried)
        refused += len(senders.tally.refused)
    report.say("tries to make a day", tries)
    report.expect("tables of days that were not made", missing)
    report.expect("requests refused for good", refused)
    return sent, commits


def _drop_day(instance: Instance, chance: random.Random, report: Report) -> None:
    """A span that was acknowledged after the drop is there, or its sender was told."""
    spans = [_spans(chance, _today() - KEPT_DAYS * DAY, sender) for sender in range(SENDERS)]
    over = threading.Event()
    senders = Senders(instance.url, instance.ingest_key, [_cut(each, chance, over) for each in spans]).start()
    _await_commits(senders, FEW)
    dropped, tries = instance.shell(DROP).split()
    over.set()
    senders.join(120)
    report.say("tries to drop a day", tries)
    report.expect("tables of the expired day that were not dropped", TABLES - int(dropped))
    later = [[body([span]) for span in islice(each, FEW)] for each in spans]
    after = Senders(instance.url, instance.ingest_key, later).start()
    after.join(120)
    stored = set(instance.query("SELECT trace_id, span_id FROM traces_span"))
    told = {(span.trace_id, span.span_id) for span in after.tally.acknowledged}
    report.say("spans of the dropped day sent afterwards: stored, rejected", f"{len(told)}, {len(after.tally.refused)}")
    report.expect("spans acknowledged after their day was dropped that are not there", len(told - stored))


def _today() -> datetime:
    return datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)


def _await_commits(senders: Senders, count: int) -> None:
    eventually(lambda: len(senders.tally.times) >= count, 120)


def _spans(chance: random.Random, day: datetime, sender: int) -> Iterator[tuple[Sent, Span]]:
    ago = (datetime.now(UTC) - day - DAY).total_seconds()
    return stream(Mix(chance.getrandbits(32), ago=ago), sender)


def _streams(chance: random.Random, day: datetime, over: threading.Event) -> list[Iterator[Body]]:
    return [_cut(_spans(chance, day, sender), random.Random(chance.random()), over) for sender in range(SENDERS)]


def _cut(spans: Iterator[tuple[Sent, Span]], chance: random.Random, over: threading.Event) -> Iterator[Body]:
    """Bodies of few spans; ends with a whole trace."""
    for _ in count():
        some = list(islice(spans, chance.randint(1, MOST_SPANS)))
        yield body(some)
        if over.is_set() and some[-1][0].kind == "AGENT":
            return
