"""A disk that is full, a database that restarts or is slow, clocks that jump: clear answers, recovery by itself."""

import os
import random
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import psycopg

from tests.bench.judge_stub import MODEL, stub
from tests.bench.senders import Senders
from tests.bench.traffic import Body, Mix, body, stream
from tests.e2e.instance import Instance, started
from tests.processes import eventually
from tests.torture import kills, labels, movable_clock, sums
from tests.torture.report import Report

SPANS_PER_SECOND = 400
SENDERS = 4
BEFORE_SECONDS = 2
LOCKED_SECONDS = 8
FULL_SECONDS = 15
RESTARTS = 3
RECOVERY_SECONDS = 120
DISK = "1g"
LEFT_BYTES = 8 << 20
DAY = 86_400
JUMPS = (-DAY, DAY, -3_600, 3_600, -20 * DAY)
"""Seconds that the clocks of senders are off, one after the other."""
HOUR = 3_600
SERVER_JUMPS = (5 * HOUR, 0, -3 * HOUR, 0, 30 * HOUR, 0)
"""Seconds that the server's own clock is off, one after the other; in the end it is right again."""
JUMP_SECONDS = 10
FEW_AFTER_JUMPS = 0.1
"""Each jump ends the leases of the calls that are under way, so these are made again."""
CLEAR = {"200", "429", "503"}

LONG_ACTIVE = "UPDATE signals_signal SET activated_at = activated_at - interval '1 day'"
"""What arrives while the server's clock is behind is judged too."""

type Trouble = Callable[[Instance, Report], None]


def run(names: Sequence[str], seed: int) -> Report:
    """Make the named troubles, one after the other, under load; then count everything."""
    report = Report(f"Trouble ({', '.join(names)}; seed {seed})")
    with _folder("full" in names) as folder, stub(0.02) as judge:
        if folder is None:
            report.say("a full disk", "skipped: no file system of a limited size can be mounted here")
            return report
        clock = movable_clock.variables(folder) if "server" in names else {}
        if clock is None:
            report.say("the server's clock", "skipped: there is no C compiler, or no Linux")
            return report
        extra = {"CATALYST_JUDGE_URL": judge.url, "CATALYST_JUDGE_MODEL": MODEL}
        quiet = {"CATALYST_SETTLE_TRACE_SECONDS": "1", "CATALYST_SETTLE_SESSION_SECONDS": "2"}
        with started(folder, **extra, **quiet, **clock) as instance:
            labels.activate(instance)
            instance.execute(LONG_ACTIVE)
            load = Load(instance, seed)
            for name in names:
                time.sleep(BEFORE_SECONDS)
                _make(name, instance, load, report)
            load.end(report)
            eventually(lambda: kills.is_quiet(instance), kills.QUIET_SECONDS)
            kills.check_spans(instance, set(load.senders.tally.acknowledged), report)
            sums.check(instance, report)
            few = FEW_AFTER_JUMPS if "server" in names else labels.FEW
            labels.check(instance, load.senders.tally.acknowledged, judge, report, few)
    return report


class Load:
    """Senders that go on until told otherwise. `offset`: seconds that their clocks are off."""

    def __init__(self, instance: Instance, seed: int) -> None:
        self.over = threading.Event()
        self.offset = 0
        self.mix = Mix(seed, seconds=30)
        streams = [self._bodies(sender) for sender in range(SENDERS)]
        self.senders = Senders(instance.url, instance.ingest_key, streams, SPANS_PER_SECOND).start()

    def _bodies(self, sender: int) -> Iterator[Body]:
        spans, chance = stream(self.mix, sender), random.Random(f"{self.mix.seed} {sender} sizes")
        while not self.over.is_set():
            some, offset = [], self.offset * 1_000_000_000
            for _ in range(chance.randint(1, 6) * 8):
                sent, span = next(spans)
                span.start_time_unix_nano += offset
                span.end_time_unix_nano += offset
                some.append((sent, span))
            yield body(some)

    def end(self, report: Report) -> None:
        """Stop them when all is acknowledged."""
        self.over.set()
        self.senders.join(RECOVERY_SECONDS)
        tally = self.senders.tally
        report.say("answers", ", ".join(f"{count:,} {answer}" for answer, count in tally.answers.most_common()))
        report.expect("requests refused for good", len(tally.refused))
        unclear = {
            answer: count for answer, count in tally.answers.items() if answer[0].isdigit() and answer not in CLEAR
        }
        report.expect("answers that are not clear", sum(unclear.values()))


def _make(name: str, instance: Instance, load: Load, report: Report) -> None:
    began, before = time.monotonic(), len(load.senders.tally.times)
    TROUBLES[name](instance, load)
    over = time.monotonic()
    eventually(lambda: any(at > over for at in load.senders.tally.times[before:]), RECOVERY_SECONDS)
    times = [began, *load.senders.tally.times[before:]]
    report.say(f"{name}: it lasted, s", round(over - began, 1))
    report.say(
        f"{name}: until the next acknowledgement after it, s", round(min(at for at in times if at > over) - over, 1)
    )
    report.say(f"{name}: longest time without an acknowledgement, s", round(kills.longest_gap(times), 1))


def _restarted(instance: Instance, load: Load) -> None:
    """A fast shutdown, as `pg_ctl restart` makes it."""
    for _ in range(RESTARTS):
        with suppress(ProcessLookupError):
            os.kill(instance.now().pids["postgres"], signal.SIGINT)
        time.sleep(BEFORE_SECONDS)


def _slow(instance: Instance, load: Load) -> None:
    """Everything waits for a lock; the pages that don't need the table go on."""
    with psycopg.connect(instance.database_url) as connection:
        connection.execute("LOCK TABLE traces_trace IN ACCESS EXCLUSIVE MODE")
        time.sleep(LOCKED_SECONDS)
        assert kills.answers(instance)


def _full(instance: Instance, load: Load) -> None:
    """A foreign file takes all the room, and goes away."""
    ballast = instance.data / "ballast"
    with ballast.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, shutil.disk_usage(instance.data).free - LEFT_BYTES)
    refused = load.senders.tally.answers["503"]
    eventually(lambda: load.senders.tally.answers["503"] > refused, RECOVERY_SECONDS)
    time.sleep(FULL_SECONDS)
    ballast.unlink()


def _server(instance: Instance, load: Load) -> None:
    """The clock of the web process, the workers, the clock process and PostgreSQL jumps by hours, and comes back."""
    for offset in SERVER_JUMPS:
        movable_clock.move(instance.data, offset)
        time.sleep(JUMP_SECONDS)


def _clocks(instance: Instance, load: Load) -> None:
    """The clocks of senders jump back and forth, by hours and days."""
    for load.offset in JUMPS:
        time.sleep(BEFORE_SECONDS)
    load.offset = 0


TROUBLES: dict[str, Callable[[Instance, Load], None]] = {
    "restarted": _restarted,
    "slow": _slow,
    "clocks": _clocks,
    "full": _full,
    "server": _server,
}


@contextmanager
def _folder(limited: bool) -> Iterator[Path | None]:
    """A folder, on a file system of a limited size if asked for; None where that can't be mounted."""
    with tempfile.TemporaryDirectory(prefix="catalyst-torture-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        if not limited:
            yield folder
            return
        mount = ["mount", "-t", "tmpfs", "-o", f"size={DISK},mode=755", "catalyst-torture", name]
        if subprocess.run(mount, capture_output=True, check=False).returncode:
            yield None
            return
        try:
            yield folder
        finally:
            eventually(lambda: not subprocess.run(["umount", name], capture_output=True, check=False).returncode)
