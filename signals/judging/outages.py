"""Tell projects of models that do not answer, once for each outage, and once when they answer again."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime

from django.conf import settings
from django.db import transaction
from django.urls import reverse

from catalyst import formats
from catalyst.health import capped, count_rows
from catalyst.llms import availability
from catalyst.llms.endpoints import ModelKey
from catalyst.llms.models import JudgeHealth
from catalyst.notifications import Fact, Link, Message, Severity, notify_project
from catalyst.timerange import MINUTE
from signals.judging.judges import judge_of
from signals.models import JudgeOutage, Label, Signal

# Servers restart and limits of a minute pass by themselves.
TOLD_AFTER = 10 * MINUTE
# Longer than the longest pause, so that a model with labels that wait was asked in it. One that nobody asks may answer.
ASKED_WITHIN = 5 * MINUTE
MAX_NAMED = 5

# A project, and a model that its active signals use.
type _Use = tuple[int, ModelKey]


def has_work(now: datetime) -> bool:
    return bool(_silent(now)) or JudgeOutage.objects.exists()


@transaction.atomic
def tell(now: datetime) -> None:
    """Queue messages of outages that began or ended.

    Safe to repeat and to do twice at once: an outage is a row, and its key goes along with its messages.
    """
    silent = _silent(now)
    # Locked, so that no other worker ends them, too.
    rows = JudgeOutage.objects.select_for_update(of=("self",)).select_related("project").order_by("pk")
    known = {(row.project_id, row.key): row for row in rows}
    used = _uses({*silent, *(model for _, model in known)})
    _end_unused([outage for use, outage in known.items() if use not in used], now)
    _end_answered([outage for use, outage in known.items() if use in used], now)
    for use, signals in used.items():
        if use not in known and use[1] in silent:
            _begin(use, silent[use[1]], signals, now)


def _silent(now: datetime) -> Mapping[ModelKey, JudgeHealth]:
    return {
        key: health
        for key, health in availability.outages().items()
        if health.failing_since is not None
        and health.failing_since <= now - TOLD_AFTER
        and health.paused_until is not None
        and health.paused_until > now - ASKED_WITHIN
    }


def _uses(models: Collection[ModelKey]) -> Mapping[_Use, Sequence[Signal]]:
    """The active signals of each project that use these models."""
    found: dict[_Use, list[Signal]] = defaultdict(list)
    if models:
        signals = Signal.objects.live().select_related("project", "current_version__connection").order_by("name", "pk")
        for signal in signals.iterator():
            judge = judge_of(signal.current_version) if signal.current_version else None
            if judge and judge.is_model and judge.key in models:
                found[signal.project_id, judge.key].append(signal)
    return found


def _end_answered(outages: Iterable[JudgeOutage], now: datetime) -> None:
    answers = availability.answering()
    for outage in outages:
        if answered_at := answers.get(outage.key):
            lasted = formats.lasting(answered_at - outage.since)
            _end(outage, f"The judge {outage.name} answers again", f"It did not answer for {lasted}.", now)


def _end_unused(outages: Iterable[JudgeOutage], now: datetime) -> None:
    for outage in outages:
        _end(outage, f"The judge {outage.name} is no longer used", "No active signal uses it any more.", now)


def _begin(use: _Use, health: JudgeHealth, signals: Sequence[Signal], now: datetime) -> None:
    project_id, (connection_id, model) = use
    version = signals[0].current_version
    name = judge_of(version).name if version else model
    about = {"name": name[:310], "since": health.failing_since}
    outage, is_new = JudgeOutage.objects.get_or_create(
        project_id=project_id, connection_id=connection_id, model=model, defaults=about
    )
    if not is_new:
        return
    text = f"{_sentence(health.error)} Labels stay pending, and none is lost."
    waits = (Fact(name="Pending labels", value=capped(_waiting(signals))), Fact(name="Signals", value=_names(signals)))
    title = f"The judge {outage.name} does not answer"
    message = _message(outage, Severity.CRITICAL, title, text, waits, now)
    notify_project(project_id, "judge.down", _key(outage, "down"), message, now=now)


def _end(outage: JudgeOutage, title: str, text: str, now: datetime) -> None:
    message = _message(outage, Severity.RESOLVED, title, text, (), now)
    after = _key(outage, "down")
    notify_project(outage.project_id, "judge.up", _key(outage, "up"), message, now=now, after=after)
    outage.delete()


def _message(
    outage: JudgeOutage, severity: Severity, title: str, text: str, facts: tuple[Fact, ...], now: datetime
) -> Message:
    project = outage.project
    pages = (("Open Settings, Models", "llms:connection-list"), ("Open the signals", "signals:signal-list"))
    links = (Link(text=name, url=f"{settings.PUBLIC_URL}{reverse(view, args=[project.slug])}") for name, view in pages)
    about = (Fact(name="Judge", value=outage.name), Fact(name="Since", value=formats.at(outage.since, now)))
    return Message(
        severity=severity,
        title=title,
        text=text,
        project=project.name,
        sent_for=now,
        group=outage.group,
        facts=(*about, *facts),
        links=tuple(links),
    )


def _key(outage: JudgeOutage, what: str) -> str:
    return f"{outage.group}-{what}"


def _waiting(signals: Sequence[Signal]) -> int:
    """Pending labels of the current versions of signals."""
    versions = [signal.current_version_id for signal in signals]
    pending = Label.objects.filter(
        project=signals[0].project_id, status__in=[Label.Status.QUEUED, Label.Status.RUNNING]
    )
    # Live labels and those of backfills apart: each half has an index of its own.
    halves = (pending.filter(version__in=versions, run__isnull=is_live) for is_live in (True, False))
    return sum(count_rows(half) for half in halves)


def _names(signals: Sequence[Signal]) -> str:
    named = ", ".join(signal.name for signal in signals[:MAX_NAMED])
    more = len(signals) - MAX_NAMED
    return f"{named} and {more} more" if more > 0 else named


def _sentence(text: str) -> str:
    return text if text.endswith((".", "!", "?")) else f"{text}."
