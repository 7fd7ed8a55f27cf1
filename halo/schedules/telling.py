"""What channels of a schedule are told: findings that are new or worse, and that it was paused."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from django.conf import settings

from catalyst import formats, notifications
from catalyst.notifications import MAX_EXCERPTS, Excerpt, Fact, Link, Message
from halo.choices import Origin, RunStatus, Severity
from halo.models import Finding, Run, Schedule

RANKS = {severity.value: rank for rank, severity in enumerate(Severity)}
URGENCY = {
    Severity.CRITICAL: notifications.Severity.CRITICAL,
    Severity.HIGH: notifications.Severity.WARNING,
    Severity.MEDIUM: notifications.Severity.INFO,
    Severity.LOW: notifications.Severity.INFO,
}


@dataclass(frozen=True, slots=True)
class News:
    """A finding of a report that the report before did not have, or had as a milder one (`before`)."""

    finding: Finding
    before: str = ""

    @property
    def words(self) -> str:
        severity = self.finding.get_severity_display()
        return f"{severity}, was {Severity(self.before).label.lower()}" if self.before else f"{severity}, new"


def told(run: Run, now: datetime) -> int | None:
    """Tell the channels of its schedule what a report brings, in the caller's transaction. They are told once.

    Returns the number of findings that are new or worse. None for a report that is not compared: one that did not
    complete, or that somebody started, who will read it.
    """
    if run.status != RunStatus.COMPLETED or run.origin != Origin.SCHEDULED or run.schedule is None:
        return None
    news = news_of(run)
    if news and run.schedule.channels:
        message = _message(run, run.schedule, news)
        notifications.notify(
            run.project_id, "halo.report", f"halo-report-{run.pk}", message, run.schedule.channels, now=now
        )
    return len(news)


def news_of(run: Run) -> list[News]:
    """What is new or worse since the last report that the schedule started and that completed, the worst first."""
    before = Run.objects.filter(
        schedule=run.schedule_id, origin=Origin.SCHEDULED, status=RunStatus.COMPLETED, pk__lt=run.pk
    )
    known: dict[str, str] = {}
    for finding in Finding.objects.filter(run=before.order_by("-pk").values("pk")[:1]):
        known[_cause(finding)] = min(
            finding.severity, known.get(_cause(finding), finding.severity), key=RANKS.__getitem__
        )
    return list(_compared(run.findings.order_by("rank"), known))


def _compared(findings: Iterable[Finding], known: Mapping[str, str]) -> Iterator[News]:
    for finding in findings:
        severity = known.get(_cause(finding))
        if severity is None:
            yield News(finding)
        elif RANKS[finding.severity] < RANKS[severity]:
            yield News(finding, severity)


def _cause(finding: Finding) -> str:
    """What makes findings of two reports the same. A model gives no signature."""
    return finding.signature or f"{finding.category}: {' '.join(finding.title.casefold().split())}"


def _message(run: Run, schedule: Schedule, news: Sequence[News]) -> Message:
    worst = min((each.finding.severity for each in news), key=RANKS.__getitem__)
    worse = sum(bool(each.before) for each in news)
    counted = [f"{len(news) - worse} new", *([f"{worse} worse"] if worse else [])]
    shown = f"{', '.join(counted)} of {len(run.findings.all())} findings"
    rest = len(news) - MAX_EXCERPTS
    return Message(
        severity=URGENCY[Severity(worst)],
        title=f"{schedule.title}: {', '.join(counted)}",
        text=" ".join(filter(None, [run.lede, f"{rest} more are in the report." if rest > 0 else ""])),
        project=run.project.name,
        sent_for=run.window_end,
        group=f"halo-schedule-{schedule.pk}",
        facts=(
            Fact(name="Agent", value=str(run.agent)),
            Fact(name="Findings", value=shown),
            Fact(
                name="Window",
                value=f"{formats.at(run.window_start, run.window_end)} to {formats.at(run.window_end, run.window_end)}",
            ),
            Fact(name="Traces", value=f"{run.trace_count or 0:,}"),
        ),
        excerpts=tuple(map(_excerpt, news[:MAX_EXCERPTS])),
        links=(Link(text="Open the report", url=_absolute(run.get_absolute_url())), *_links(schedule)),
    )


def _excerpt(news: News) -> Excerpt:
    finding = news.finding
    touched = "" if finding.trace_count is None else f"{finding.trace_count:,} of {finding.trace_total:,} traces"
    link = Link(text="Open the finding", url=_absolute(finding.get_absolute_url()))
    return Excerpt(label=news.words, reason=finding.title, text=touched, link=link)


def tell_pause(schedule: Schedule, now: datetime) -> None:
    """Tell its channels that a schedule starts no more reports, in the transaction that pauses it."""
    if not schedule.channels:
        return
    message = Message(
        severity=notifications.Severity.WARNING,
        title=f"{schedule.title} is paused",
        text=f"{schedule.paused_detail} It starts no more reports until somebody enables it.",
        project=schedule.project.name,
        sent_for=now,
        group=f"halo-schedule-{schedule.pk}",
        facts=(Fact(name="Agent", value=str(schedule.agent)),),
        links=tuple(_links(schedule)),
    )
    key = f"halo-schedule-{schedule.pk}-paused-{now:%Y%m%dT%H%M%SZ}"
    notifications.notify(schedule.project_id, "halo.paused", key, message, schedule.channels, now=now)


def _links(schedule: Schedule) -> Iterator[Link]:
    yield Link(text="Open the schedule", url=_absolute(schedule.get_absolute_url()))


def _absolute(path: str) -> str:
    return f"{settings.PUBLIC_URL}{path}"
