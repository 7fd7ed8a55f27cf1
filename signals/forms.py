"""Forms of a signal, and what the URL of its page says."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, override

from django import forms
from django.core.exceptions import ValidationError
from django.http import QueryDict

from catalyst import timerange
from catalyst.agents.models import Agent
from catalyst.core.models import Project
from signals import actions
from signals.actions import LABEL_COUNTS, LONGEST_LABEL, LONGEST_NAME, Overtaken, Question, Renamed
from signals.budgets import Cap
from signals.models import Scope, Sentiment, Signal, SignalVersion
from signals.narrowing_forms import FilterFields, ViewFields, filled
from signals.querysets import LabelFilter, SignalFilter
from signals.templates import TEMPLATES, Template

RATES = (10, 25, 50, 100)
OTHER = "other"
MOST_LABELS = LABEL_COUNTS[-1]
NO_RATE = "The sample rate is a whole number of percent from 0 to 100."
STATUSES = ("waiting", "done", "failed", "skipped")
LONGEST_SEARCH = 200
MOST_CALLS = 1_000_000_000
SORTS = ("name", "volume", "waiting", "failed", "cost", "last")
FIELD_OF = {"sentiments": "labels", "view": "view_kinds"}
"""Where the editor shows what `signals.actions` says of a field that the editor has not."""


class OutcomesWidget(forms.Widget):
    """Rows of a label and its sentiment, posted as label-0, sentiment-0 and so on."""

    @override
    def value_from_datadict(
        self, data: Mapping[str, Any], files: Mapping[str, Any], name: str
    ) -> list[tuple[str, str]]:
        """All rows, the empty ones included."""
        return [
            (str(data.get(f"label-{row}", "")), str(data.get(f"sentiment-{row}", ""))) for row in range(MOST_LABELS)
        ]


class RateWidget(forms.Widget):
    """One of RATES, or another one out of a second input."""

    @override
    def value_from_datadict(self, data: Mapping[str, Any], files: Mapping[str, Any], name: str) -> Any:
        """The number as text."""
        return data.get(f"{name}_other") if data.get(name) == OTHER else data.get(name)


class SignalForm(FilterFields, ViewFields):
    """A signal and what it asks. With a signal: a new version of it, whose agent and scope stay."""

    name = forms.CharField(max_length=LONGEST_NAME, error_messages={"required": "A signal needs a name."})
    scope = forms.ChoiceField(choices=Scope, initial=Scope.TRACE, widget=forms.RadioSelect)
    type = forms.ChoiceField(
        choices=SignalVersion.Type, initial=SignalVersion.Type.BINARY, widget=forms.RadioSelect, label="Answer"
    )
    bad = forms.ChoiceField(
        choices=[("yes", "Yes is bad news"), ("no", "No is bad news")], initial="yes", required=False
    )
    labels = forms.Field(widget=OutcomesWidget, required=False)
    prompt = forms.CharField(label="Question", error_messages={"required": "A signal needs a question."})
    sample_rate = forms.IntegerField(
        widget=RateWidget,
        initial=100,
        min_value=0,
        max_value=100,
        error_messages=dict.fromkeys(("required", "invalid", "min_value", "max_value"), NO_RATE),
    )
    based_on = forms.IntegerField(required=False, widget=forms.HiddenInput)
    named = forms.CharField(required=False, widget=forms.HiddenInput)

    def __init__(
        self,
        project: Project,
        data: QueryDict | None = None,
        *,
        signal: Signal | None = None,
        template: Template | None = None,
        agent: Agent | None = None,
    ) -> None:
        initial: dict[str, Any] = {"agent": agent.pk} if agent else {}
        if template is not None:
            initial |= {"name": template.name, "scope": template.scope, **_asked(template)}
        if signal is not None and (version := signal.current_version):
            initial |= {
                "name": signal.name,
                "named": signal.name,
                "scope": signal.scope,
                "agent": signal.agent_id,
                **_asked(version),
            }
            initial |= {"sample_rate": version.sample_rate, "judge_model": version.judge_model}
            initial["based_on"] = version.number
            initial |= filled(version.passing, version.judge_view)
        super().__init__(data, initial=initial, label_suffix="")
        models = actions.judge_models(signal.current_version if signal else None)
        self.fields["judge_model"] = forms.ChoiceField(
            choices=[("", "The instance's"), *((model, model) for model in models)], required=False, label="Judge model"
        )
        self.fields["agent"] = _agent_field(project)
        self._agents = project.agents.order_by("name", "pk")
        for name in ("agent", "scope") if signal else ():
            self.fields[name].disabled = True

    overtaken: Overtaken | None = None
    """Why saving has failed: another version went live after this edit was begun."""
    renamed = ""
    """The name that somebody else gave it after this edit was begun, if saving has failed for that."""
    presets = tuple(map(str, RATES))
    sentiments = (Sentiment.POSITIVE, Sentiment.NEUTRAL, Sentiment.NEGATIVE)

    @property
    def chosen_agent(self) -> Agent | None:
        """The agent as it stands: the chosen one, else the first."""
        chosen = str(self["agent"].value() or "")
        found = self._agents.filter(pk=chosen).first() if is_id(chosen) else None
        return found or self._agents.first()

    @property
    def wrong(self) -> list[forms.BoundField]:
        """The fields that need another look."""
        return [self[name] for name in self.errors if name in self.fields]

    @property
    def outcome_rows(self) -> list[tuple[str, str]]:
        """The rows of labels to fill in, as many as there may be."""
        rows = list(self["labels"].value() or [("", Sentiment.POSITIVE)])
        return rows + [("", Sentiment.NEGATIVE)] * (MOST_LABELS - len(rows))

    @property
    def rate(self) -> str:
        """The sample rate as it stands."""
        value = self["sample_rate"].value()
        return "" if value is None else str(value)

    @property
    def is_preset(self) -> bool:
        """True when the sample rate is one of those to choose from."""
        return self.rate in self.presets

    @property
    def question(self) -> Question:
        """What a valid form asks."""
        cleaned = self.cleaned_data
        rows = [(" ".join(label.split()), sentiment) for label, sentiment in cleaned["labels"] if label.strip()]
        sentiments = {label: sentiment for label, sentiment in rows if sentiment}
        if cleaned["type"] == SignalVersion.Type.BINARY:
            bad = cleaned["bad"] or "yes"
            sentiments = {each: "negative" if each == bad else "positive" for each in SignalVersion.BINARY_LABELS}
        return Question(
            type=cleaned["type"],
            prompt=cleaned["prompt"],
            sample_rate=cleaned["sample_rate"],
            labels=[label for label, _ in rows],
            sentiments=sentiments,
            judge_model=cleaned["judge_model"],
            filter=self.traffic,
            view=self.judge_view,
        )

    def report(self, error: ValidationError) -> None:
        """Show what `signals.actions` refuses beside the fields it is about."""
        if isinstance(error, Overtaken):
            self.overtaken = error
        if isinstance(error, Renamed):
            self.renamed = error.current
        errors: dict[str, list[ValidationError]] = {}
        for field, messages in error.update_error_dict(errors).items():
            shown = FIELD_OF.get(field, field)
            self.add_error(shown if shown in self.fields else None, messages)

    def draft_version(self) -> SignalVersion:
        """What the form asks as it stands, valid or not, to tell who would judge it."""
        labels = [label for label, _ in self.outcome_rows if label.strip()]
        if self["type"].value() == SignalVersion.Type.BINARY:
            labels = list(SignalVersion.BINARY_LABELS)
        judge_model, prompt = self["judge_model"].value(), self["prompt"].value()
        return SignalVersion(prompt=prompt or "", labels=labels, judge_model=(judge_model or "").strip())


class DuplicateForm(forms.Form):
    """Whose traffic a copy of a signal judges, and its name."""

    name = forms.CharField(max_length=LONGEST_NAME, error_messages={"required": "A signal needs a name."})

    def __init__(self, signal: Signal, data: QueryDict | None = None) -> None:
        other = signal.project.agents.exclude(pk=signal.agent_id).order_by("name", "pk").first()
        super().__init__(data, initial={"name": signal.name, "agent": other or signal.agent}, label_suffix="")
        self.fields["agent"] = _agent_field(signal.project)


class TimeWidget(forms.DateTimeInput):
    """A time to the minute, as browsers ask for it."""

    input_type = "datetime-local"

    def __init__(self) -> None:
        super().__init__(format="%Y-%m-%dT%H:%M")


class RunForm(forms.Form):
    """The window (UTC) and rate of a manual run."""

    start = forms.DateTimeField(label="From (UTC)", widget=TimeWidget)
    end = forms.DateTimeField(label="To (UTC)", widget=TimeWidget)
    sample_rate = forms.IntegerField(
        label="Percent of the targets",
        min_value=0,
        max_value=100,
        widget=forms.TextInput({"class": "short", "inputmode": "numeric"}),
        error_messages=dict.fromkeys(("required", "invalid", "min_value", "max_value"), NO_RATE),
    )

    @staticmethod
    def recent(now: datetime) -> dict[str, Any]:
        """What the form holds at first: the last week up to the minute that is now, all of it."""
        end = timerange.ceil(now, timerange.MINUTE)
        return {"start": end - timedelta(days=7), "end": end, "sample_rate": 100}

    def report(self, error: ValidationError) -> None:
        """Show what `signals.runs` refuses beside the fields it is about."""
        self.add_error(None, error)


class CapForm(forms.Form):
    """What judging may take on a day; empty for as much as it takes."""

    daily_usd = forms.DecimalField(required=False, min_value=Decimal("0.0001"), max_digits=12, decimal_places=4)
    daily_calls = forms.IntegerField(required=False, min_value=1, max_value=MOST_CALLS)

    @property
    def cap(self) -> Cap:
        """The cap that a valid form asks for."""
        return Cap(self.cleaned_data["daily_usd"], self.cleaned_data["daily_calls"])


def _agent_field(project: Project) -> forms.ModelChoiceField[Agent]:
    return forms.ModelChoiceField(project.agents.order_by("name", "pk"), empty_label=None)


def template(key: str | None) -> Template | None:
    """The built-in template with this key."""
    return TEMPLATES.get(key or "")


def signal_filter(params: Mapping[str, str]) -> SignalFilter:
    """The filter of the list of signals in a query string; what makes no sense filters nothing."""
    state, scope, agent, sort = (params.get(name, "") for name in ("state", "scope", "agent", "sort"))
    return SignalFilter(
        text=params.get("q", "").replace("\0", "").strip()[:LONGEST_NAME],
        state=state if state in Signal.State.values else "",
        scope=scope if scope in Scope.values else "",
        agent=int(agent) if is_id(agent) else None,
        sort=sort if sort in SORTS else SORTS[0],
    )


def is_id(text: str) -> bool:
    """Whether it can be the number of a row."""
    return text.isascii() and text.isdigit() and len(text) < 19


def label_filter(params: Mapping[str, str]) -> LabelFilter:
    """The filter in a query string; what makes no sense filters nothing."""
    status, run = params.get("status", ""), params.get("run", "")
    return LabelFilter(
        value=params.get("label", "").replace("\0", "")[:LONGEST_LABEL],
        status=status if status in STATUSES else "",
        version=version_number(params.get("version")),
        run=int(run) if is_id(run) else None,
        text=params.get("q", "").replace("\0", "").strip()[:LONGEST_SEARCH],
    )


def move(params: Mapping[str, str]) -> tuple[str, str] | None:
    """From which label to which one, if the query string says so."""
    was, became = (params.get(name, "").replace("\0", "")[:LONGEST_LABEL] for name in ("was", "became"))
    return (was, became) if was and became else None


def version_number(text: str | None) -> int | None:
    """The number of a version in a query string or a form; None for what can be none."""
    return int(text) if text and text.isascii() and text.isdigit() and len(text) < 9 else None


def _asked(asked: Template | SignalVersion) -> dict[str, Any]:
    """The fields of a question as they stand at first: of a binary's outcomes only which one is bad."""
    fields: dict[str, Any] = {"type": asked.type, "prompt": asked.prompt}
    if asked.type == SignalVersion.Type.BINARY:
        return fields | {"bad": "no" if asked.sentiments.get("no") == Sentiment.NEGATIVE else "yes"}
    return fields | {"labels": [(label, asked.sentiments.get(label, "")) for label in asked.labels]}
