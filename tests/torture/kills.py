"""kill -9 of anything but the supervisor, at random points under load; then every sum, span and label is counted.

Meanwhile midnight passes, and days are made for spans of clocks that are off.
"""

import http.client
import os
import random
import signal
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from itertools import islice, pairwise
from pathlib import Path

import psutil
import psycopg
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from tests.bench import meters
from tests.bench.judge_stub import MODEL, Stub, stub
from tests.bench.senders import Senders
from tests.bench.traffic import Body, Mix, Sent, body, stream
from tests.e2e.instance import Instance, started
from tests.processes import eventually
from tests.torture import labels, movable_clock, sums
from tests.torture.report import Report

TABLES_OF_A_DAY = 2
ROLES = ("web", "worker-default", "worker-judge", "worker-long", "task", "clock", "guard", "postgres", "backend")
"""`task` is a process below a worker, `backend` one below PostgreSQL's first."""
BEATING = ("web", "worker-default", "worker-judge", "worker-long", "clock")
SENDERS = 8
SPANS_PER_SECOND = 300
MOST_SPANS = 64
RESENT = 0.05
OPEN_ROOTS = 0.1
PAUSES = 0.2, 4.0
QUIET_SECONDS = 400
ORPHANED_SECONDS = 20
DAY = 86_400
MIDNIGHT_SECONDS = 90
"""Until midnight, when the kills begin."""
CLOCKS_OFF = {6: 5 * DAY, 7: -40 * DAY}
"""Seconds by which the clocks of these senders are off. There is no partition for these days at first."""
MAKE = """
import time
from datetime import date
from django.db import connection
from django.utils import timezone
from traces.span_store import span_store
made, day = 0, date.fromisoformat("{day}")
for _ in range(300):
    try:
        made += len(span_store().import_days(day, day, timezone.now()))
        if made >= 2:
            break
    except Exception:
        connection.close()
    time.sleep(0.1)
print(made)
"""
BUSY = """
    SELECT (SELECT count(*) FROM traces_unsettled)
        + (SELECT count(*) FROM signals_label WHERE status IN ('queued', 'running'))
"""
BEATS = "SELECT name, pid FROM ops_heartbeat WHERE seen_at > now() - interval '10 seconds'"


def run(kills: int, seed: int, pauses: tuple[float, float] = PAUSES) -> Report:
    """Kill so often, at random moments."""
    report = Report(f"Kills ({kills}, seed {seed})")
    with tempfile.TemporaryDirectory(prefix="catalyst-torture-") as folder, stub(0.02) as judge:
        extra = {"CATALYST_JUDGE_URL": judge.url, "CATALYST_JUDGE_MODEL": MODEL}
        quiet = {"CATALYST_SETTLE_TRACE_SECONDS": "1", "CATALYST_SETTLE_SESSION_SECONDS": "2"}
        offset = _seconds_until_midnight() - MIDNIGHT_SECONDS
        clock = movable_clock.variables(Path(folder), offset)
        if clock is None:
            report.say("midnight", "not among them: there is no C compiler, or no Linux")
        with started(Path(folder), **extra, **quiet, **clock or {}) as instance:
            killer = _Killer(instance, random.Random(seed), pauses)
            _torture(instance, judge, report, killer, kills, offset if clock else 0)
    return report


def _seconds_until_midnight() -> int:
    return DAY - int(time.time()) % DAY


def _torture(instance: Instance, judge: Stub, report: Report, killer: "_Killer", kills: int, offset: int) -> None:
    labels.activate(instance)
    over = threading.Event()
    mix = Mix(killer.chance.getrandbits(32), seconds=30, open_roots=OPEN_ROOTS)
    streams = [
        cut(
            moved(stream(mix, sender), offset + CLOCKS_OFF.get(sender, 0)),
            random.Random(f"{mix.seed} {sender} cut"),
            over,
        )
        for sender in range(SENDERS)
    ]
    senders = Senders(instance.url, instance.ingest_key, streams, SPANS_PER_SECOND).start()
    missing = 0
    for off in CLOCKS_OFF.values():
        killer.kill(kills // (len(CLOCKS_OFF) + 1))
        day = datetime.fromtimestamp(time.time() + offset + off, UTC).date()
        missing += TABLES_OF_A_DAY - int(instance.shell(MAKE.format(day=day)))
    killer.kill(kills - killer.killed.total())
    over.set()
    senders.join(QUIET_SECONDS)
    began = time.monotonic()
    eventually(lambda: is_quiet(instance), QUIET_SECONDS)
    report.say("kills", ", ".join(f"{count} {role}" for role, count in sorted(killer.killed.items())))
    report.expect("tables of days that were not made", missing)
    report.expect(f"kills after which a process was orphaned for {ORPHANED_SECONDS} s", killer.orphaned)
    days = "SELECT count(DISTINCT received_at::date) FROM traces_span"
    report.say("days on which spans were received", instance.count(days))
    report.say("seconds until everything was quiet", round(time.monotonic() - began, 1))
    _tell(senders, report)
    check_spans(instance, set(senders.tally.acknowledged), report)
    sums.check(instance, report)
    labels.check(instance, senders.tally.acknowledged, judge, report)
    killer.remember()
    instance.manage("down")
    report.expect("processes left after down", len(killer.leftovers()))


def moved(spans: Iterator[tuple[Sent, Span]], seconds: int) -> Iterator[tuple[Sent, Span]]:
    """The same by a clock that is off."""
    for sent, span in spans:
        later = Span()
        later.CopyFrom(span)
        later.start_time_unix_nano += seconds * 1_000_000_000
        if span.end_time_unix_nano:
            later.end_time_unix_nano += seconds * 1_000_000_000
        yield sent, later


def cut(spans: Iterator[tuple[Sent, Span]], chance: random.Random, over: threading.Event) -> Iterator[Body]:
    """Bodies of random size, some of them sent twice; ends with a whole trace once it is over."""
    ends = False
    while not ends:
        some = list(islice(spans, chance.randint(1, MOST_SPANS)))
        if over.is_set():
            ends = True
            while some[-1][0].kind != "AGENT" or not some[-1][1].end_time_unix_nano:
                some.append(next(spans))
        made = body(some)
        yield made
        if chance.random() < RESENT:
            yield made


def _tell(senders: Senders, report: Report) -> None:
    tally = senders.tally
    report.say("spans acknowledged", len(tally.acknowledged))
    report.say("answers", ", ".join(f"{count:,} {answer}" for answer, count in tally.answers.most_common()))
    report.say("longest time without an acknowledgement, s", round(longest_gap(tally.times), 1))
    report.expect("requests refused for good", len(tally.refused))


def longest_gap(times: Iterable[float]) -> float:
    """Of these moments, the longest time between two."""
    return max((later - earlier for earlier, later in pairwise(sorted(times))), default=0)


def check_spans(instance: Instance, sent: set[Sent], report: Report) -> None:
    """Every span there, each once, with its text, and whole."""
    stored = Counter(instance.query("SELECT trace_id, span_id FROM traces_span"))
    due = {(span.trace_id, span.span_id) for span in sent}
    report.say("different spans acknowledged", len(due))
    report.expect("acknowledged spans that are not there", len(due - stored.keys()))
    report.expect("spans that nobody was told of", len(stored.keys() - due))
    report.expect("spans stored twice", sum(count > 1 for count in stored.values()))
    report.expect(
        "spans that stayed open", instance.count("SELECT count(*) FROM traces_span WHERE duration_us IS NULL")
    )
    texts = Counter(instance.query("SELECT trace_id, unnest(span_ids) FROM traces_payload"))
    report.expect(
        "spans without text, texts without span, or texts stored twice", len(set(texts.items()) ^ set(stored.items()))
    )


def is_quiet(instance: Instance) -> bool:
    """Whether all processes are there and note that they live, and nothing waits."""
    with suppress(psycopg.OperationalError, OSError, http.client.HTTPException):
        alive, now = set(meters.tree(instance.pids["up"])), pids(instance)
        beating = {(name, now[name]) for name in BEATING} <= set(instance.query(BEATS))
        return answers(instance) and set(now.values()) <= alive and beating and not instance.count(BUSY)
    return False


def answers(instance: Instance) -> bool:
    """Whether the login page does."""
    asking = http.client.HTTPConnection(instance.url.rpartition("/")[2], timeout=10)
    try:
        asking.request("GET", "/login/")
        return asking.getresponse().status == 200
    finally:
        asking.close()


def pids(instance: Instance) -> dict[str, int]:
    """The processes by name as they are now."""
    return instance.now().pids


class _Killer:
    """Kills, and remembers all processes it saw."""

    def __init__(self, instance: Instance, chance: random.Random, pauses: tuple[float, float]) -> None:
        self.instance = instance
        self.chance = chance
        self.pauses = pauses
        self.killed: Counter[str] = Counter()
        self.orphaned = 0
        self._seen: dict[int, float] = {}

    def kill(self, times: int) -> None:
        """Kill so often; only what is alive counts."""
        times += self.killed.total()
        while self.killed.total() < times:
            time.sleep(self.chance.uniform(*self.pauses))
            role = self.chance.choice(ROLES)
            alive = self.remember()
            candidates = [pid for pid in self._candidates(role) if pid in alive]
            with suppress(ProcessLookupError):
                if candidates:
                    os.kill(self.chance.choice(candidates), signal.SIGKILL)
                    self.killed[role] += 1
                    self.orphaned += self._leaves_orphans()

    def remember(self) -> set[int]:
        """All processes of the instance now."""
        alive = meters.tree(self.instance.pids["up"])
        for pid in alive:
            with suppress(psutil.NoSuchProcess):
                self._seen[pid] = psutil.Process(pid).create_time()
        return set(alive)

    def _leaves_orphans(self) -> bool:
        # What a killed process had started must end, or be adopted by the supervisor, before long.
        try:
            eventually(lambda: not set(self.leftovers()) - set(meters.tree(self.instance.pids["up"])), ORPHANED_SECONDS)
        except AssertionError:
            return True
        return False

    def leftovers(self) -> list[int]:
        """Processes that were seen and still run."""
        found = []
        for pid, created in self._seen.items():
            with suppress(psutil.NoSuchProcess):
                process = psutil.Process(pid)
                if process.create_time() == created and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(pid)
        return found

    def _candidates(self, role: str) -> list[int]:
        now = pids(self.instance)
        if role == "backend":
            return meters.tree(now["postgres"])[1:]
        if role == "task":
            return [*meters.tree(now["worker-default"])[1:], *meters.tree(now["worker-judge"])[1:]]
        return [now[role]]
