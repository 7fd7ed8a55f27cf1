"""Why a target has no label from a signal, and what can be done."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from itertools import chain
from urllib.parse import urlencode

from django.conf import settings
from django.db.models import Q

from catalyst import timerange
from catalyst.core.models import Project
from catalyst.llms.availability import outages
from signals.judging import budget_checks, judges
from signals.models import Label, Signal, SignalRun, SignalVersion, Unsampled
from signals.sampling import is_sampled, least_rate, sampling_hash
from signals.targets.eligibility import TargetEligibility
from signals.targets.scopes import targets_of
from signals.targets.target import Target

MINUTE = timedelta(minutes=1)


class Reason(StrEnum):
    """Why a target has no label, in the order of pages."""

    WAITING = "waiting"
    JUDGING = "being judged"
    FAILED = "failed"
    SKIPPED = "skipped"
    UNSAMPLED = "not sampled"
    NOT_EVALUATED = "not looked at"
    UNSETTLED = "not settled"
    FILTERED = "filtered out"
    IN_RUN = "in a backfill"
    BEFORE_ACTIVATION = "older"
    EXPIRED = "expired"
    MISSED = "missed"
    DISABLED = "disabled"
    DRAFT = "draft"


_ORDER = {why: number for number, why in enumerate(Reason)}


@dataclass(frozen=True, slots=True)
class MissingLabel:
    """Why one signal gave no label.

    `version` evaluated the target, if any did. `label` has no value yet. `run` is the query of a manual run that would
    label the target, or empty.
    """

    signal: Signal
    why: Reason
    text: str
    version: SignalVersion | None = None
    label: Label | None = None
    run: str = ""


def explain_missing(project: Project, subject: TargetEligibility, now: datetime) -> list[MissingLabel]:
    """Unarchived signals that have not labelled this target, by `Reason`, then by name. Constant number of queries."""
    labels = list(targets_of(subject.match.scope).labels_about(project, subject.match))
    labelled = {label.signal_id for label in labels if label.value}
    tried = {label.signal_id: label for label in labels if label.signal_id not in labelled}
    for_it = Q(agent=subject.agent, scope=subject.match.scope) | Q(pk__in=tried)
    known = Signal.objects.for_project(project).unarchived().filter(for_it).exclude(pk__in=labelled)
    signals = list(known.select_related("current_version").order_by("name", "id"))
    left_out = _left_out(signals, subject.match.target_key) if signals else {}
    work = {pk: label for pk, label in tried.items() if not _is_overtaken(label, left_out.get(pk))}
    found = _explained(subject, signals, work, left_out, now)
    return sorted(found, key=lambda missing: _ORDER[missing.why])


def _explained(
    subject: TargetEligibility,
    signals: Sequence[Signal],
    work: Mapping[int, Label],
    left_out: Mapping[int, SignalVersion],
    now: datetime,
) -> Iterator[MissingLabel]:
    queue = _QueuedReasons([signal for signal in signals if signal.pk in work], work, now)
    unseen = _UnseenReasons(subject, [each for each in signals if each.pk not in work and each.pk not in left_out], now)
    for signal in signals:
        if signal.pk in work:
            yield queue.why(signal, work[signal.pk])
        elif signal.pk in left_out:
            yield _unsampled(signal, left_out[signal.pk], subject.match)
        else:
            yield unseen.why(signal)


def _is_overtaken(label: Label, left_out: SignalVersion | None) -> bool:
    # A newer version than the label's did not sample the target.
    return left_out is not None and left_out.number > label.version.number


def _left_out(signals: Iterable[Signal], target_key: str) -> dict[int, SignalVersion]:
    rows = Unsampled.objects.filter(
        version__signal__in=list(signals), version__is_candidate=False, draw=sampling_hash(target_key)
    )
    # The newest version comes last and replaces the others.
    return {row.version.signal_id: row.version for row in rows.select_related("version").order_by("version__number")}


def _unsampled(signal: Signal, version: SignalVersion, match: Target) -> MissingLabel:
    least = least_rate(match.target_key)
    if is_sampled(match.target_key, version.sample_rate):
        words = f"Not sampled: a backfill used a lower rate than the {least}% that this {match.scope} needs."
    else:
        words = f"Not sampled: v{version.number} samples {version.sample_rate}%, this {match.scope} needs {least}%."
    return MissingLabel(signal, Reason.UNSAMPLED, words, version, run=_run_of(signal, match))


class _QueuedReasons:
    def __init__(self, signals: Sequence[Signal], work: Mapping[int, Label], now: datetime) -> None:
        waits = [signal for signal in signals if work[signal.pk].status == Label.Status.QUEUED]
        self.now = now
        current = [signal.current_version for signal in waits if signal.current_version]
        self.caps = budget_checks.caps_reached(current, now)
        self.troubles = outages() if waits else {}

    def why(self, signal: Signal, label: Label) -> MissingLabel:
        if label.status == Label.Status.QUEUED:
            return MissingLabel(signal, Reason.WAITING, self._waiting(label), label.version, label)
        if label.status == Label.Status.RUNNING:
            stopped = label.lease_until is not None and label.lease_until < self.now
            words = "The worker stopped. Another one takes over." if stopped else "The judge is reading it."
            return MissingLabel(signal, Reason.JUDGING, words, label.version, label)
        failed = label.status == Label.Status.FAILED
        return MissingLabel(signal, Reason.FAILED if failed else Reason.SKIPPED, label.error, label.version, label)

    def _waiting(self, label: Label) -> str:
        if cap := self.caps.get(label.version_id):
            return f"{cap.title}: {cap.text}."
        trouble = self.troubles.get(judges.model_for(label.version).key)
        if trouble is not None:
            again = trouble.paused_until if trouble.paused_until and trouble.paused_until > self.now else None
            asked = f"Next try: {_time_text(again, self.now)}." if again else "The next try is soon."
            return f"{trouble.model} does not answer. {trouble.error} {asked}"
        if label.error:
            return f"The last try failed. {label.error} Next try: {_time_text(label.not_before, self.now)}."
        behind = " Live traffic has priority." if label.run_id is not None else ""
        return f"Queued since {_time_text(label.not_before, self.now)}.{behind}"


class _UnseenReasons:
    def __init__(self, subject: TargetEligibility, signals: Sequence[Signal], now: datetime) -> None:
        self.subject, self.now = subject, now
        live = [signal for signal in signals if signal.is_live]
        self.runs = _runs_over(signals, subject.match.target_time) if signals else {}
        self.earlier = _asked_after(live, subject.received_at) if live else {}
        current = [signal.current_version for signal in signals if signal.current_version]
        filters = [version.traffic_filter for version in chain(current, *self.earlier.values())]
        self.facts = subject.facts([each for each in filters if not each.is_empty])

    def why(self, signal: Signal) -> MissingLabel:
        if self.subject.ignored:
            return MissingLabel(signal, Reason.NOT_EVALUATED, self.subject.ignored)
        due = self.subject.settles_at(signal.quiet_time)
        if due is not None and self._is_live(signal):
            words = f"Judged at {_time_text(due, self.now)}, unless new spans arrive."
            return MissingLabel(signal, Reason.UNSETTLED, words)
        unmet = signal.current_version.traffic_filter.unmet(self.facts) if signal.current_version else []
        if unmet:
            return MissingLabel(signal, Reason.FILTERED, f"Does not match the filters: {', '.join(unmet)}.")
        runs = self.runs.get(signal.pk, ())
        if any(run.state == SignalRun.State.COLLECTING for run in runs):
            return MissingLabel(signal, Reason.IN_RUN, "A backfill of this time is looking for targets.")
        why, words = self._passed_by(signal)
        words += self._ended_early(runs)
        return MissingLabel(signal, why, words, run=_run_of(signal, self.subject.match))

    def _ended_early(self, runs: Iterable[SignalRun]) -> str:
        for run in runs:
            if run.was_stopped:
                return f" A backfill of this time ended early, {_time_text(run.ended_at or run.created_at, self.now)}."
        return ""

    def _is_live(self, signal: Signal) -> bool:
        # The signal was active when the newest span of the target arrived.
        since = signal.activated_at
        return signal.is_live and since is not None and self.subject.received_at >= since

    def _passed_by(self, signal: Signal) -> tuple[Reason, str]:
        # The target has settled and passes the filter.
        if signal.state == Signal.State.DRAFT:
            return Reason.DRAFT, "Drafts don't run."
        if signal.state == Signal.State.DISABLED:
            at = signal.disabled_at
            return Reason.DISABLED, f"Disabled{f' at {_time_text(at, self.now)}' if at else ''}."
        if signal.activated_at and not self._is_live(signal):
            activated = _time_text(signal.activated_at, self.now)
            return Reason.BEFORE_ACTIVATION, f"Arrived before the signal was activated at {activated}."
        for version in self.earlier.get(signal.pk, ()):
            if unmet := version.traffic_filter.unmet(self.facts):
                words = f"Did not match the filters of v{version.number} when it settled: {', '.join(unmet)}."
                return Reason.FILTERED, words
        if self.subject.received_at < timerange.kept_since(self.now, settings.KEEP_LABELS_DAYS):
            return Reason.EXPIRED, f"Labels were deleted (retention {settings.KEEP_LABELS_DAYS} days)."
        return Reason.MISSED, "Never judged. No reason was recorded."


def _runs_over(signals: Collection[Signal], when: datetime) -> dict[int, list[SignalRun]]:
    found: dict[int, list[SignalRun]] = defaultdict(list)
    over = SignalRun.objects.filter(version__signal__in=signals, window_start__lte=when, window_end__gt=when)
    for run in over.select_related("version").order_by("-pk"):
        found[run.version.signal_id].append(run)
    return found


def _asked_after(signals: Collection[Signal], received_at: datetime) -> dict[int, list[SignalVersion]]:
    # Versions that were current after `received_at`, without the newest of each signal.
    found: dict[int, list[SignalVersion]] = {}
    ended: dict[int, datetime] = {}
    for version in SignalVersion.objects.published().filter(signal__in=signals).defer("prompt").order_by("-number"):
        if (until := ended.get(version.signal_id)) and until > received_at:
            found.setdefault(version.signal_id, []).append(version)
        ended[version.signal_id] = version.created_at
    return found


def _run_of(signal: Signal, match: Target) -> str:
    # A run over the minute in which the target began, at a rate that samples it.
    if signal.current_version is None:
        return ""
    start = timerange.floor(match.target_time, MINUTE)
    rate = max(signal.current_version.sample_rate, least_rate(match.target_key))
    window = {"start": timerange.iso(start), "end": timerange.iso(start + MINUTE)}
    return urlencode({**window, "sample_rate": rate})


def _time_text(when: datetime, now: datetime) -> str:
    return f"{when:%H:%M:%S} UTC" if when.date() == now.date() else f"{when:%-d %b %Y %H:%M} UTC"
