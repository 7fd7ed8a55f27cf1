"""What the numbers mean: a list of checks, each fine or not, in words, with what to do about it. Asks no database."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from django.db import Error as DatabaseError

from catalyst import __version__, formats, registry
from catalyst.ops.models import STEADY_AFTER
from catalyst.ops.monitoring import snapshot
from catalyst.ops.monitoring.snapshot import Queue, Vitals
from catalyst.package import command
from catalyst.registry import PeriodicTask

type State = Literal["ok", "warn", "bad"]

STATES: tuple[State, ...] = ("ok", "warn", "bad")
PROCESSES = ("web", "worker-default", "worker-judge", "clock")
OLDEST_SERVER = 15
LOST = timedelta(seconds=30)
DAYS_AHEAD = 2
MANY_ASTRAY = 1_000
NEWS = timedelta(hours=1)
"""How long an error that was logged is worth a warning."""
FULL_SHARE, FULL_BYTES = 0.1, 5 * 1024**3
MINUTE = timedelta(minutes=1)
KEYS = "Keys in 24 hours"
LATE_DAYS = "Housekeeping makes them every minute: see Work, minute, and logs/worker-default.log in CATALYST_DATA."


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at. `advice` says what to do, and is empty when it is fine."""

    part: str
    name: str
    state: State
    text: str
    advice: str = ""


def examine(take: Callable[[], Vitals]) -> list[Check]:
    """Take the numbers and judge them. A database that does not answer is a finding like another."""
    try:
        found = take()
    except DatabaseError as error:
        return unanswered(error)
    return judge(found)


def unanswered(error: DatabaseError) -> list[Check]:
    """What can be said without the database: that it does not answer, and whether its disk may be why."""
    return [_unreachable(error), *_free(snapshot.disk())]


def judge(found: Vitals) -> list[Check]:
    """All checks, part by part."""
    return [check for part in PARTS for check in part(found)]


def readiness(now: datetime) -> list[Check]:
    """Whether requests can be answered here: the database answers, its tables are those of this version and today's."""
    try:
        with snapshot.patience():
            missing = snapshot.missing_migrations()
            return [_migrations(missing), *([] if missing else [_today(snapshot.days(now))])]
    except DatabaseError as error:
        return [_unreachable(error)]


def worst(checks: Iterable[Check]) -> State:
    """The state of the whole."""
    return max((check.state for check in checks), key=STATES.index, default="ok")


def _unreachable(error: DatabaseError) -> Check:
    reason = (str(error).strip().splitlines() or ["no answer"])[0]
    advice = "Start the server or correct DATABASE_URL; if it runs, look in pg_stat_activity for who locks its tables. "
    advice += "Senders are told to send again, and everything goes on by itself once it answers."
    return Check("Database", "answer", "bad", f"none: {reason}", advice)


def _graded(value: float, warn: float, bad: float) -> State:
    return "bad" if value >= bad else "warn" if value >= warn else "ok"


def _check(part: str, name: str, state: State, words: str, advice: str) -> Check:
    return Check(part, name, state, words, "" if state == "ok" else advice)


def _database(found: Vitals) -> Iterator[Check]:
    server = found.database
    major = int(server.version.split(".")[0])
    state: State = "ok" if major >= OLDEST_SERVER else "bad"
    words = f"PostgreSQL {server.version.split()[0]}, {size(server.size)}"
    yield _check("Database", "server", state, words, f"Move to PostgreSQL {OLDEST_SERVER} or newer.")
    yield _migrations(found.missing)
    yield _check(
        *("Database", "connections", _graded(server.connections / server.most_connections, 0.8, 0.95)),
        f"{server.connections} of {server.most_connections}",
        "Raise max_connections of the server, or lower CATALYST_DATABASE_POOL.",
    )
    yield _check(
        *("Database", "oldest transaction", _graded(server.transaction_seconds, 300, 3600)),
        formats.duration(server.transaction_seconds * 1e6),
        f"It holds locks and keeps dead rows alive: see process {server.transaction_pid} in pg_stat_activity, "
        f"and end it with SELECT pg_terminate_backend({server.transaction_pid}).",
    )


def _migrations(missing: list[str]) -> Check:
    words = f"{len(missing)} are not applied, {missing[0]} first" if missing else "all applied"
    return _check("Database", "migrations", "bad" if missing else "ok", words, f"Run {command('migrate')}.")


def _today(days: snapshot.Days) -> Check:
    words = f"{days.count} days, the last is {days.last}" if days.has_today else "today's is missing"
    return _check("Spans", "days", "ok" if days.has_today else "bad", words, LATE_DAYS)


def _days(found: Vitals) -> Iterator[Check]:
    today = _today(found.days)
    ahead = (found.days.last - found.at.date()).days if found.days.last else 0
    if today.state == "ok" and ahead < DAYS_AHEAD:
        today = Check("Spans", "days", "warn", f"{today.text}: only {ahead} ahead", LATE_DAYS)
    yield today
    yield _check(
        *("Spans", "outside all days", _graded(found.days.astray, MANY_ASTRAY, snapshot.MAX_COUNTED)),
        f"{_many(found.days.astray)} spans",
        "Set the clocks of the senders right: these spans lie far in the past or the future.",
    )


def _queues(found: Vitals) -> Iterator[Check]:
    yield _queue(
        *("settling", found.settling, "targets", MINUTE, found.at),
        "See whether clock and the worker for default run, and the errors of settle below.",
    )
    yield _queue(
        *("judging", found.judging, "labels", 5 * MINUTE, found.at),
        "See whether the judge answers; raise CATALYST_JUDGE_CONCURRENCY, or lower the rates of signals.",
    )
    words = f"{_many(found.running)} labels with a judge, {_many(found.failed)} failed of the last 24 hours"
    words += f", most of them because: {found.failure}" if found.failed else ""
    advice = "Open the signals: each failed label says why, and can be retried."
    yield _check("Queues", "labels", "warn" if found.failed else "ok", words, advice)
    collecting, judging = found.runs["collecting"], found.runs["judging"]
    yield Check("Queues", "manual runs", "ok", f"{collecting} look for targets, {judging} wait for their labels")
    for queue, waiting in found.tasks.items():
        words = f"{waiting} tasks wait or run"
        advice = f"See whether worker-{queue} runs, and {_log(f'worker-{queue}')}."
        yield _check("Queues", f"worker-{queue}", _graded(waiting, 100, 10_000), words, advice)


def _queue(name: str, queue: Queue, what: str, patience: timedelta, now: datetime, advice: str) -> Check:
    lag = now - queue.oldest if queue.oldest else timedelta()
    words = f"{_many(queue.due)} {what} are due, {_many(queue.total)} wait in all"
    if queue.oldest:
        words += f"; the oldest has been due for {formats.lasting(lag)}"
    return _check("Queues", name, _graded(lag / patience, 1, 10), words, advice)


def _wakeups(found: Vitals) -> Iterator[Check]:
    known = {wakeup.kind: wakeup for wakeup in found.wakeups}
    for kind in registry.entries(PeriodicTask):
        wakeup = known.get(kind.name)
        if wakeup is None or wakeup.finished_at is None:
            advice = f"Start {command('clock')} and the workers."
            yield Check("Work", kind.name, "bad", f"{kind.about}: never ran", advice)
            continue
        late = found.at - wakeup.finished_at - kind.interval
        state = _graded(late / MINUTE, 2, 10)
        words = f"{kind.about}; last ended {formats.ago(wakeup.finished_at, found.at)}"
        if wakeup.last_error:
            state, words = max(state, "warn", key=STATES.index), f"{words} with {wakeup.last_error}"
        advice = f"See {_log(f'worker-{kind.queue}')}, and whether clock runs."
        yield _check("Work", kind.name, state, words, advice)
        if kind.name == "minute" and wakeup.resumed_at and found.at - wakeup.resumed_at < STEADY_AFTER:
            until = f"{wakeup.resumed_at + STEADY_AFTER:%H:%M} UTC"
            yield Check(
                *("Work", "deleting what expired", "warn", f"waits until {until}: no minute ended for a day or more"),
                f"Unless this machine was off, its clock has jumped: it says {found.at:%Y-%m-%d %H:%M} UTC. Set it.",
            )


def _processes(found: Vitals) -> Iterator[Check]:
    missing = [name for name in PROCESSES if name not in {beat.name for beat in found.heartbeats}]
    for name in missing:
        words = "no sign of it in the last day"
        yield Check("Processes", name, "bad", words, f"Start {command(name.replace('-', ' '))}, or everything with up.")
    for beat in found.heartbeats:
        words = f"{beat.host}, process {beat.pid}, version {beat.version}, {formats.ago(beat.seen_at, found.at)}"
        if found.at - beat.seen_at > LOST:
            lost = f"It hangs or has ended: look at {_log(beat.name)} and start it again."
            yield Check("Processes", beat.name, "bad", f"{words}: silent", lost)
        elif beat.version != __version__:
            yield Check("Processes", beat.name, "warn", words, f"Start it again: this is version {__version__}.")
        elif beat.error_at and found.at - beat.error_at < NEWS:
            said = f"{words}; {formats.ago(beat.error_at, found.at)} it logged: {beat.error}"
            yield Check("Processes", beat.name, "warn", said, f"More is in {_log(beat.name)}.")
        else:
            yield Check("Processes", beat.name, "ok", words)


def _log(process: str) -> str:
    """Where `manage.py up` has it written."""
    return f"logs/{process}.log in CATALYST_DATA"


def _judges(found: Vitals) -> Iterator[Check]:
    if not found.judges:
        words = f"no trouble with {found.judge_url}" if found.judge_url else "none is connected; rules judge"
        yield Check("Judge", "model", "ok", words)
    for judge in found.judges:
        advice = "Work waits and loses nothing. See CATALYST_JUDGE_URL, its key and its quota."
        yield Check("Judge", judge.model, "warn", f"does not answer: {judge.error}", advice)


def _signals(found: Vitals) -> Iterator[Check]:
    states = Counter(use.signal.state for use in found.signals)
    labels = sum((use.labels for use in found.signals), Counter[str]())
    words = f"{states['active']} active, {states['draft']} drafts, {states['disabled']} disabled; in 24 hours "
    words += f"{labels['done']:,} labels, {labels['waiting']:,} waiting, {labels['failed']:,} failed, "
    yield Check("Signals", "all", "ok", f"{words}{labels['skipped']:,} without content")
    for each in found.spending:
        words = f"judging cost {each.today.text} (UTC)"
        if each.stopped:
            words += f"; {each.stopped} active signals judge no more: a daily cap is reached or can't be kept"
        advice = "They go on at 00:00 UTC. The page of a signal says which cap it is, and lets you raise it."
        yield _check("Signals", f"project {each.project}", "warn" if each.stopped else "ok", words, advice)


def _disk(found: Vitals) -> Iterator[Check]:
    yield from _free(found.disk)
    for used in found.projects:
        words = f"about {size(used.size)} for {used.spans:,} spans"
        yield Check("Disk", f"project {used.project}", "ok", words)


def _free(disk: snapshot.Disk | None) -> Iterator[Check]:
    if disk is None:
        return
    free, total = disk.free, disk.total
    wanted = min(FULL_SHARE * total, FULL_BYTES)
    state: State = "ok" if free > wanted else "warn" if free > wanted / 5 else "bad"
    words = f"{size(free)} free of {size(total)}, {disk.folder}"
    yield _check(
        "Disk", "data folder", state, words, "Make room, or keep spans for fewer days: CATALYST_RETENTION_DAYS."
    )


def _keys(found: Vitals) -> Iterator[Check]:
    for used in found.keys:
        name = f"{used.key.project}: {used.key.name}" if used.key else "no valid key"
        words = f"{used.received:,} spans received, {used.stored:,} stored, {used.rejected:,} rejected, "
        words += f"{used.counts['late']:,} late, {used.refused:,} requests refused"
        state: State = "warn" if used.key and (used.rejected or used.refused) else "ok"
        advice = f"{used.reasons()}. Senders repeat what got 429 or 503; of all else only their logs tell."
        yield _check(KEYS, name, state, words, advice)


PARTS: tuple[Callable[[Vitals], Iterator[Check]], ...] = (
    _database,
    _days,
    _queues,
    _wakeups,
    _processes,
    _judges,
    _signals,
    _disk,
    _keys,
)


def _many(count: int) -> str:
    return f"{count:,}" if count < snapshot.MAX_COUNTED else f"{count:,} or more"


def size(number: float) -> str:
    """Bytes as people read them: `812 MB`, `2.4 GB`."""
    for unit in ("bytes", "kB", "MB", "GB"):
        if number < 1000:
            return f"{number:.0f} {unit}" if number >= 10 or unit == "bytes" else f"{number:.1f} {unit}"
        number /= 1000
    return f"{number:.1f} TB"
