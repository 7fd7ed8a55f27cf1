"""What people do with signals. Every rule about a signal's definition is here, whoever asks: page, admin or machine.

What is not allowed raises `django.core.exceptions.ValidationError` by field, with words for people.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from django.core.exceptions import ValidationError
from django.db import transaction

from catalyst.agents.models import Agent
from catalyst.core.audit import record
from catalyst.core.models import Project, User
from catalyst.env import env
from signals import backlog, judge_view, spending
from signals.budgets import Cap
from signals.health import model_for
from signals.judge_view import JudgeView
from signals.models import Budget, Label, Scope, Sentiment, Signal, SignalVersion
from traces import filters
from traces.filters import Filter

LONGEST_NAME = 100
LONGEST_PROMPT = 20_000
LONGEST_LABEL = 60
LABEL_COUNTS = range(2, 11)


@dataclass(frozen=True, slots=True)
class Question:
    """What a version asks, before it is one. A binary has the labels yes and no, whatever is given here.

    Outcomes that `sentiments` doesn't name get theirs from `default_sentiments`.
    """

    type: str
    prompt: str
    sample_rate: int
    labels: Sequence[str] = ()
    sentiments: Mapping[str, str] = field(default_factory=dict)
    judge_model: str = ""
    filter: Filter = filters.EVERYTHING
    view: JudgeView = judge_view.EVERYTHING


class Overtaken(ValidationError):
    """The edit that would ask `question` began before version `current` went live. Nothing was changed."""

    def __init__(self, current: SignalVersion, question: Question) -> None:
        super().__init__(f"Version {current.number} went live after this edit was begun.")
        self.current, self.question = current, question


class Renamed(ValidationError):
    """The edit that would change the name began before somebody else changed it to `current`. Nothing was changed."""

    def __init__(self, current: str) -> None:
        super().__init__({"name": f"It was renamed to “{current}” after this edit was begun. Save again to rename it."})
        self.current = current


def create_signal(
    agent: Agent, *, name: str, scope: str, question: Question, by: User | None = None, template: str = ""
) -> Signal:
    """Make a draft with its first version, in the agent's project."""
    if scope not in Scope.values:
        raise ValidationError({"scope": "The scope is span, trace or session."})
    checked = _checked(question, scope)
    with transaction.atomic():
        signal = Signal.objects.create(
            project_id=agent.project_id,
            agent=agent,
            name=_checked_name(name),
            scope=scope,
            template=template,
            created_by=by,
        )
        _add_version(signal, checked, by)
        record(by, "created", signal)
    return signal


def draft_version(question: Question, agent: Agent, scope: str, signal: Signal | None = None) -> SignalVersion:
    """The question as a version that is not stored, of this signal or of a new one, to try it."""
    checked = _checked(question, scope, signal.current_version if signal else None)
    of = signal or Signal(project_id=agent.project_id, agent=agent, scope=scope)
    return SignalVersion(signal=of, number=0, **_columns(checked))


def publish_version(
    signal: Signal,
    question: Question,
    by: User | None = None,
    *,
    based_on: int | None = None,
    restores: int | None = None,
) -> SignalVersion:
    """Make the question the signal's current version; an unchanged one stays the version it is.

    An active signal asks it of the live work that waits for the version before, where the new one samples it. Labels
    keep the version that made them. `based_on` is the number of the version that the edit began from: if another one
    is current by now, and the edit changes anything, this raises `Overtaken`. `restores` is for the audit log.
    """
    checked = _checked(question, signal.scope, signal.current_version)
    with transaction.atomic():
        backlog.change_signals()
        signals = Signal.objects.select_for_update(of=("self",), no_key=True)  # lets judging go on meanwhile
        locked = signals.select_related("current_version").get(pk=signal.pk)
        current = locked.current_version
        if current is not None and (
            question_of(current) == checked or _changes_nothing(locked, checked, based_on, current)
        ):
            return current
        version = _add_version(locked, checked, by)
        signal.current_version = version
        backlog.withdraw(locked, Label.objects.all())
        detail = f"version {version.number}"
        if restores is None:
            record(by, "published", signal, detail=detail)
        else:
            record(by, "restored", signal, detail=f"version {restores} as {detail}")
    return version


def restore_version(
    signal: Signal, number: int, by: User | None = None, *, based_on: int | None = None
) -> SignalVersion:
    """Ask again what an earlier version asked, as a new version. `based_on` as in `publish_version`."""
    earlier = signal.versions.get(number=number)
    return publish_version(signal, question_of(earlier), by, based_on=based_on, restores=number)


def duplicate(signal: Signal, agent: Agent, name: str, by: User | None = None) -> Signal:
    """Make a draft for an agent of the same project that asks what the signal asks now."""
    if agent.project_id != signal.project_id:
        raise ValidationError({"agent": "The agent belongs to another project."})
    if signal.current_version is None:
        raise ValidationError("This signal asks nothing yet.")
    question = question_of(signal.current_version)
    with transaction.atomic():
        copy = create_signal(agent, name=name, scope=signal.scope, question=question, by=by, template=signal.template)
        record(by, "duplicated", signal, detail=f"as {copy.name} for {agent}")
    return copy


@transaction.atomic
def rename(signal: Signal, name: str, by: User | None = None, *, based_on: str | None = None) -> None:
    """Change the name; nothing else depends on it.

    `based_on` is the name that the edit began from: if another one is current by now, an edit that leaves the name
    alone leaves that, and one that changes it raises `Renamed`.
    """
    name = _checked_name(name)
    current = Signal.objects.select_for_update(no_key=True).values_list("name", flat=True).get(pk=signal.pk)
    if based_on not in (None, current) and name not in (based_on, current):
        raise Renamed(current)
    signal.name = current if name == based_on else name
    if Signal.objects.filter(pk=signal.pk).exclude(name=signal.name).update(name=signal.name):
        record(by, "renamed", signal)


def activate(signal: Signal, now: datetime, by: User | None = None) -> None:
    """Judge what arrives from now on. An active signal stays active since when it was."""
    if signal.archived_at is not None:
        raise ValidationError("An archived signal can't be activated. Unarchive it first.")
    changed = Signal.objects.filter(pk=signal.pk, archived_at=None).exclude(state=Signal.State.ACTIVE)
    with transaction.atomic():
        if changed.update(state=Signal.State.ACTIVE, activated_at=now):
            record(by, "activated", signal)
    signal.refresh_from_db(fields=["state", "activated_at"])


def disable(signal: Signal, by: User | None = None) -> None:
    """Stop judging live traffic. What waits leaves the queue; labels stay."""
    with transaction.atomic():
        backlog.change_signals()
        if Signal.objects.filter(pk=signal.pk, state=Signal.State.ACTIVE).update(state=Signal.State.DISABLED):
            record(by, "disabled", signal)
        signal.refresh_from_db(fields=["state"])
        backlog.withdraw(signal, Label.objects.all())


def archive(signal: Signal, now: datetime, by: User | None = None) -> None:
    """Stop it, hide it, keep its labels."""
    with transaction.atomic():
        disable(signal, by)
        if Signal.objects.filter(pk=signal.pk, archived_at=None).update(archived_at=now):
            record(by, "archived", signal)
    signal.refresh_from_db(fields=["archived_at"])


def unarchive(signal: Signal, by: User | None = None) -> None:
    """Show it again, in the state it had."""
    with transaction.atomic():
        if Signal.objects.filter(pk=signal.pk).exclude(archived_at=None).update(archived_at=None):
            record(by, "unarchived", signal)
    signal.refresh_from_db(fields=["archived_at"])


@transaction.atomic
def cap_signal(signal: Signal, cap: Cap, now: datetime, by: User | None = None) -> None:
    """Set what judging this signal may take on a UTC day; the empty cap is none."""
    if signal.current_version:
        _check_cap(cap, [model_for(signal.current_version)], now)
    _cap(signal.project, signal, cap, now)
    record(by, "capped", signal, detail=f"at {cap.words}" if cap.words else "no longer")


@transaction.atomic
def cap_project(project: Project, cap: Cap, now: datetime, by: User | None = None) -> None:
    """The same for all signals of a project together."""
    live = Signal.objects.for_project(project).live().select_related("current_version")
    versions = [signal.current_version for signal in live if signal.current_version]
    _check_cap(cap, sorted({model_for(version) for version in versions}), now)
    _cap(project, None, cap, now)
    record(by, "capped", project, detail=f"judging at {cap.words}" if cap.words else "no longer")


def _cap(project: Project, signal: Signal | None, cap: Cap, now: datetime) -> None:
    limits = {"daily_usd": cap.usd, "daily_calls": cap.calls, "allowed_calls": 0}
    day = now.astimezone(UTC).date()
    Budget.objects.update_or_create(
        project=project, signal=signal, defaults=limits, create_defaults={**limits, "day": day}
    )


def _check_cap(cap: Cap, models: Iterable[str], now: datetime) -> None:
    if refused := [words for model in models if (words := spending.refusal(model, cap, now))]:
        raise ValidationError({"daily_usd": refused})


def retry_failed(signal: Signal, now: datetime) -> int:
    """Queue the failed labels of the current version again; returns how many."""
    return Label.objects.filter(version=signal.current_version_id).retry(now)


def default_sentiments(type_: str, labels: Sequence[str]) -> dict[str, str]:
    """The sentiments of outcomes that nobody has set: yes is bad news, the first of several labels is good news."""
    good = "no" if type_ == SignalVersion.Type.BINARY else labels[0]
    return {label: Sentiment.POSITIVE if label == good else Sentiment.NEGATIVE for label in labels}


def _add_version(signal: Signal, checked: Question, by: User | None) -> SignalVersion:
    latest = signal.versions.order_by("-number").values_list("number", flat=True).first() or 0
    version = signal.versions.create(number=latest + 1, created_by=by, **_columns(checked))
    signal.current_version = version
    signal.save(update_fields=["current_version"])
    return version


def _columns(checked: Question) -> dict[str, Any]:
    """What a version stores of its question."""
    return {
        "type": checked.type,
        "prompt": checked.prompt,
        "labels": list(checked.labels),
        "sentiments": dict(checked.sentiments),
        "sample_rate": checked.sample_rate,
        "judge_model": checked.judge_model,
        "filter": checked.filter.dump(),
        "view": checked.view.dump(),
    }


def _changes_nothing(signal: Signal, checked: Question, based_on: int | None, current: SignalVersion) -> bool:
    """Whether it asks what the version asked that it began from. Raises Overtaken if not, and that isn't current."""
    if based_on is None or based_on == current.number:
        return False
    if any(question_of(began) == checked for began in signal.versions.filter(number=based_on)):
        return True
    raise Overtaken(current, checked)


def question_of(version: SignalVersion) -> Question:
    """A version as the question it was made from."""
    return Question(
        type=version.type,
        prompt=version.prompt,
        sample_rate=version.sample_rate,
        labels=tuple(version.labels),
        sentiments=version.sentiments,
        judge_model=version.judge_model,
        filter=version.passing,
        view=version.judge_view,
    )


def _checked_name(name: str) -> str:
    name = " ".join(name.split())
    if not 1 <= len(name) <= LONGEST_NAME:
        raise ValidationError({"name": f"A signal needs a name of at most {LONGEST_NAME} characters."})
    return name


def _checked(question: Question, scope: str, before: SignalVersion | None = None) -> Question:
    """The question as it is stored. Raises ValidationError with everything that is wrong with it.

    `before`: the version it takes the place of, whose model it may keep.
    """
    errors: dict[str, str] = {}
    labels = tuple(" ".join(label.split()) for label in question.labels if label.strip())
    if question.type == SignalVersion.Type.BINARY:
        labels = SignalVersion.BINARY_LABELS
    elif question.type != SignalVersion.Type.STRING:
        errors["type"] = "The type is binary or string."
    errors |= _label_errors(labels)
    prompt = question.prompt.replace("\r\n", "\n").strip()
    if not 1 <= len(prompt) <= LONGEST_PROMPT or "\0" in prompt:
        errors["prompt"] = f"A signal needs a prompt of at most {LONGEST_PROMPT:,} characters."
    if not 0 <= question.sample_rate <= 100:
        errors["sample_rate"] = "The sample rate is a whole number of percent from 0 to 100."
    errors |= _judging_errors(question, scope, before)
    if errors:
        raise ValidationError(errors)
    sentiments = default_sentiments(question.type, labels) | dict(question.sentiments)
    _check_sentiments(question.type, labels, sentiments)
    return Question(
        type=str(question.type),
        prompt=prompt,
        sample_rate=question.sample_rate,
        labels=labels,
        sentiments={label: str(sentiments[label]) for label in labels},
        judge_model=question.judge_model.strip(),
        filter=question.filter,
        view=question.view,
    )


def _judging_errors(question: Question, scope: str, before: SignalVersion | None) -> dict[str, str]:
    errors: dict[str, str] = {}
    model = question.judge_model.strip()
    if model not in ["", env.judge_model, *judge_models(before)]:
        errors["judge_model"] = f"The model {model} is not one of those that CATALYST_JUDGE_MODELS allows."
    if scope == Scope.SPAN and (question.view.kinds or question.view.names):
        errors["view"] = "A span is shown whole: kinds and names choose among the spans of a trace or session."
    return errors


def judge_models(before: SignalVersion | None = None) -> list[str]:
    """The models that a version may name beside the instance's: those allowed, and the one that is named already."""
    kept = [before.judge_model] if before is not None and before.judge_model else []
    return list(dict.fromkeys([*env.judge_models, *kept]))


def _label_errors(labels: Sequence[str]) -> dict[str, str]:
    if len(labels) not in LABEL_COUNTS:
        return {"labels": f"A signal has {LABEL_COUNTS[0]} to {LABEL_COUNTS[-1]} labels, not {len(labels)}."}
    if len({label.casefold() for label in labels}) < len(labels):
        return {"labels": "Labels must differ, also without regard to upper and lower case."}
    if any(len(label) > LONGEST_LABEL or not label.isprintable() for label in labels):
        return {"labels": f"A label has at most {LONGEST_LABEL} printable characters."}
    return {}


def _check_sentiments(type_: str, labels: Sequence[str], sentiments: Mapping[str, str]) -> None:
    given = [sentiments[label] for label in labels]
    if unknown := set(sentiments) - set(labels):
        raise ValidationError({"sentiments": f"There is no label {', '.join(sorted(unknown))}."})
    if not set(given) <= set(Sentiment.values):
        raise ValidationError({"sentiments": "A sentiment is positive, negative or neutral."})
    if Sentiment.POSITIVE not in given:
        raise ValidationError({"sentiments": "At least one label must be positive."})
    if type_ == SignalVersion.Type.BINARY and sorted(given) != [Sentiment.NEGATIVE, Sentiment.POSITIVE]:
        raise ValidationError({"sentiments": "Of yes and no, one is positive and the other negative."})
