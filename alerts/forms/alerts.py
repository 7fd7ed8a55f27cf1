"""Forms that filter, create and edit alerts."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, override

from django import forms
from django.core.exceptions import ValidationError
from django.http import QueryDict

from alerts import operations
from alerts.choices import OF_AGENTS, Comparison, Cooldown, Metric, Operator, Window
from alerts.models import Alert, Channel
from alerts.models.alert import MAX_NAME_CHARACTERS, STATUSES
from alerts.operations import MAX_MIN_LABELS, SHARE, Definition, Subject
from alerts.sentences import suggested_name
from catalyst.agents.models import Agent
from catalyst.core.models import Project
from catalyst.filter_form import FilterForm, NumberField, TextField
from catalyst.form_messages import show_errors
from catalyst.params import is_id
from catalyst.timerange import TimeRange
from signals.definitions.choices import BINARY_LABELS, Sentiment, Type
from signals.models import Signal

# Signals and agents that the editor lists, the first ones of each by name.
MAX_LISTED = 200
PERCENT = Decimal(100)
# The window of an alert that begins from a chart: about this part of its range.
PART_OF_RANGE = 24
NUMBER = {"invalid": "Enter a number"}
REQUIRED_CHOICE = {"required": "Choose one", "invalid_choice": "Choose one of the options"}
MUTES = {"1": "1 hour", "8": "8 hours", "24": "1 day", "168": "1 week"}


class AlertFilterForm(FilterForm):
    """Filter of the list of alerts."""

    q = TextField(
        label="Search alerts",
        max_length=MAX_NAME_CHARACTERS,
        widget=forms.SearchInput({"data-filter": True, "placeholder": "Search alerts, signals, agents"}),
    )
    state = forms.ChoiceField(choices=[("", "Any state"), *((str(key), text) for key, text in STATUSES.items())])
    agent = NumberField(widget=forms.Select)

    def offer_agents(self, agents: Iterable[tuple[int, str]]) -> None:
        """Take (id, name) of each agent to choose from."""
        self.set_choices("agent", [("", "Any agent"), *agents])

    @property
    def text(self) -> str:
        return str(self.valid_values.get("q", ""))

    @property
    def status(self) -> str:
        return str(self.valid_values.get("state", ""))

    @property
    def agent_id(self) -> int | None:
        agent: int | None = self.valid_values.get("agent")
        return agent

    @property
    def narrows(self) -> bool:
        return bool(self.valid_values)


class MuteForm(forms.Form):
    """For how many hours."""

    hours = forms.ChoiceField(choices=MUTES, initial="1")

    def until(self, now: datetime) -> datetime:
        """Invalid hours are one."""
        hours = int(self.cleaned_data["hours"]) if self.is_valid() else 1
        return now + timedelta(hours=hours)


class AmountField(forms.DecimalField):
    """A number that people type: with `%`, and with a comma in thousands."""

    def __init__(self, **about: Any) -> None:
        widget = forms.TextInput({"class": "short", "inputmode": "decimal", "autocomplete": "off"})
        super().__init__(widget=widget, error_messages=NUMBER | {"required": "Enter a number"}, **about)

    @override
    def to_python(self, value: Any) -> Any:
        text = str(value).strip().removesuffix("%").replace(",", "") if value else value
        return super().to_python(text)


class AlertForm(forms.Form):
    """An alert on a signal, or on an agent's own numbers. Shares are typed in percent."""

    metric = forms.ChoiceField(error_messages=REQUIRED_CHOICE)
    string_label = forms.ChoiceField(label="Label", required=False, error_messages=REQUIRED_CHOICE)
    comparison = forms.ChoiceField(
        choices=[(Comparison.ABSOLUTE, "is"), (Comparison.PCT_CHANGE, "changes, against the window before, by")],
        initial=Comparison.ABSOLUTE,
        error_messages=REQUIRED_CHOICE,
    )
    operator = forms.ChoiceField(choices=Operator, initial=Operator.GTE, error_messages=REQUIRED_CHOICE)
    threshold = AmountField()
    window = forms.ChoiceField(choices=Window, initial=Window.HOUR, error_messages=REQUIRED_CHOICE)
    warning = AmountField(required=False)
    min_label_count = forms.IntegerField(
        label="Minimum",
        initial=0,
        min_value=0,
        max_value=MAX_MIN_LABELS,
        widget=forms.NumberInput({"class": "short"}),
        error_messages=dict.fromkeys(
            ("required", "invalid", "min_value", "max_value"), f"Enter a whole number from 0 to {MAX_MIN_LABELS:,}"
        ),
    )
    only_significant = forms.BooleanField(label="Chance", required=False, initial=True)
    cooldown_minutes = forms.TypedChoiceField(
        label="Cooldown", choices=Cooldown, coerce=int, initial=Cooldown.HOUR, error_messages=REQUIRED_CHOICE
    )
    notify_no_data = forms.BooleanField(label="No data", required=False)
    channels = forms.MultipleChoiceField(required=False, widget=forms.CheckboxSelectMultiple)
    name = forms.CharField(
        required=False,
        max_length=MAX_NAME_CHARACTERS,
        error_messages={"max_length": f"Enter up to {MAX_NAME_CHARACTERS} characters"},
    )

    def __init__(
        self,
        project: Project,
        subject: Subject | None,
        data: QueryDict | None = None,
        *,
        alert: Alert | None = None,
        initial: Mapping[str, Any] | None = None,
    ) -> None:
        start = _initial_of(Definition.of(alert)) if alert else dict(initial or {})
        super().__init__(data, initial=start, label_suffix="")
        self.subject, self.alert = subject, alert
        self.signal = subject if isinstance(subject, Signal) else None
        self.agent = subject if isinstance(subject, Agent) else None
        fitting = metrics_of(subject)
        first = Metric.ERROR_RATE if self.agent else Metric.TRUE_RATE
        self._offer("metric", [(metric, metric.label) for metric in Metric if metric in fitting], first)
        self._offer("string_label", [(label, label) for label in labels_of(self.signal)], "")
        channels = Channel.objects.for_list().filter(project=project)
        self._offer("channels", [(str(channel.pk), _channel_text(channel)) for channel in channels], [])

    @property
    def has_labels(self) -> bool:
        """Whether the signal has labels of its own."""
        return bool(labels_of(self.signal))

    @property
    def noun(self) -> str:
        """What the window has."""
        return "traces" if self.agent else "labels"

    def _offer(self, name: str, choices: list[tuple[Any, str]], initial: Any) -> None:
        field = self.fields[name]
        assert isinstance(field, forms.ChoiceField)
        field.choices = choices
        self.initial.setdefault(name, initial)

    @override
    def clean(self) -> dict[str, Any] | None:
        """Also check the rule, so that all errors are shown at once."""
        cleaned = super().clean() or self.cleaned_data
        metric = Metric(cleaned["metric"]) if "metric" in cleaned else None
        if metric is not None and not metric.takes_value:
            cleaned["string_label"] = ""
            self.errors.pop("string_label", None)
        if metric is not None and not metric.has_chance:
            # The form says that there is no such test, and hides the choice.
            cleaned["only_significant"] = False
        if self.subject is not None:
            try:
                operations.checked_columns(self.definition, self.subject)
            except ValidationError as error:
                show_errors(self, _without(self.errors, _for_people(error)), {})
        return cleaned

    @property
    def definition(self) -> Definition:
        """What the form describes. Fields with an error have their defaults."""
        cleaned = self.cleaned_data
        metric, comparison = cleaned.get("metric", self._default_metric), cleaned.get("comparison", Comparison.ABSOLUTE)
        in_percent = comparison == Comparison.ABSOLUTE and Metric(metric).is_share
        kept = Definition.of(self.alert) if self.alert else None
        definition = Definition(
            name=" ".join(cleaned.get("name", "").split()),
            metric=metric,
            string_label=cleaned.get("string_label", ""),
            comparison=comparison,
            operator=cleaned.get("operator", Operator.GTE),
            threshold=_amount(cleaned.get("threshold"), in_percent) or 0.0,
            # Without a threshold there is none that it could be compared with.
            warning=_amount(cleaned.get("warning"), in_percent) if "threshold" in cleaned else None,
            window=cleaned.get("window", Window.HOUR),
            min_label_count=cleaned.get("min_label_count", 0),
            cooldown_minutes=cleaned.get("cooldown_minutes", Cooldown.NONE),
            only_significant=cleaned.get("only_significant", False),
            notify_no_data=cleaned.get("notify_no_data", False),
            channels=[int(pk) for pk in cleaned.get("channels", ())],
            slack_channel_id=kept.slack_channel_id if kept else "",
            slack_channel_name=kept.slack_channel_name if kept else "",
        )
        return definition if definition.name else replace(definition, name=self._free_name(definition))

    @property
    def _default_metric(self) -> Metric:
        return Metric.RUNS if self.agent else Metric.LABEL_VOLUME

    def _free_name(self, definition: Definition) -> str:
        """The name of an alert that got none."""
        if self.subject is None:
            return ""
        rule = suggested_name(Alert(**definition.columns).measure, definition.threshold, definition.string_label)
        agent = self.signal.agent_id if self.signal else self.subject.pk
        others = Alert.objects.filter(agent=agent).unarchived()
        if self.alert is not None:
            others = others.exclude(pk=self.alert.pk)
        return others.free_name(f"{self.subject}: {rule}")

    @property
    def chosen_channels(self) -> set[str]:
        return {str(pk) for pk in self["channels"].value() or ()}

    def report(self, error: ValidationError) -> None:
        """Show errors of `alerts.operations` beside their fields."""
        show_errors(self, _for_people(error), {})

    @property
    def invalid_fields(self) -> list[forms.BoundField]:
        return [self[name] for name in self.errors if name in self.fields]


def signals_to_choose(project: Project) -> list[Signal]:
    """The first ones by name, and one more if there are others."""
    return list(project.signals.unarchived().for_list()[: MAX_LISTED + 1])


def agents_to_choose(project: Project) -> list[Agent]:
    """As `signals_to_choose`, of agents whose own numbers an alert can watch."""
    return list(project.agents.order_by("name", "pk")[: MAX_LISTED + 1])


def asked_subject(params: Mapping[str, str]) -> str:
    """The `subject` that a form or an address names, or its `signal` or `agent`: `signal-12`, `agent-5`, or empty."""
    given = (f"{kind}-{params[kind]}" for kind in ("signal", "agent") if params.get(kind))
    return params.get("subject") or next(given, "")


def chosen_subject(project: Project, asked: str) -> Subject | None:
    """`asked` as `asked_subject` returns it."""
    kind, _, pk = asked.partition("-")
    if not is_id(pk):
        return None
    if kind == "agent":
        return project.agents.filter(pk=pk).first()
    return project.signals.unarchived().for_list().filter(pk=pk).first() if kind == "signal" else None


def first_subject(project: Project) -> Subject | None:
    """What the editor begins with: the first signal, or the first agent if there is none."""
    return project.signals.unarchived().for_list().first() or project.agents.order_by("name", "pk").first()


def metrics_of(subject: Subject | None) -> set[Metric]:
    """The metrics that fit an agent, or the type of a signal."""
    if isinstance(subject, Agent):
        return set(OF_AGENTS)
    if labels_of(subject):
        return {Metric.LABEL_VOLUME, Metric.VALUE_COUNT, Metric.VALUE_SHARE}
    return {Metric.LABEL_VOLUME, Metric.TRUE_RATE}


def labels_of(signal: Signal | None) -> list[str]:
    """The labels of its own that a signal gives; none for a binary."""
    version = signal.current_version if signal else None
    return list(version.labels) if version is not None and version.type == Type.STRING else []


# The metric of each chart on the page of an agent.
METRICS: Mapping[str, Metric] = {
    "runs": Metric.RUNS,
    "errors": Metric.ERROR_RATE,
    "latency": Metric.P95_LATENCY,
    "tokens": Metric.TOKENS,
    "cost": Metric.COST,
}


def initial_for(subject: Subject, label: str, chart: str, time_range: TimeRange | None) -> dict[str, Any]:
    """How an alert begins that is made from a chart: of its label or number, with a window that fits its range."""
    metric = METRICS.get(chart, Metric.ERROR_RATE)
    start: dict[str, Any] = {"metric": metric} | ({} if metric.has_chance else {"only_significant": False})
    if isinstance(subject, Signal):
        start = _initial_for_signal(subject, label)
    if time_range is not None:
        start["window"] = window_for(time_range)
    return start


def _initial_for_signal(signal: Signal, label: str) -> dict[str, Any]:
    labels, version = labels_of(signal), signal.current_version
    if labels and version is not None:
        bad = (each for each in labels if version.sentiments.get(each) == Sentiment.NEGATIVE)
        shown = label if label in labels else next(bad, labels[0])
        return {"metric": Metric.VALUE_SHARE, "string_label": shown}
    start: dict[str, Any] = {"metric": Metric.TRUE_RATE}
    return start | {"operator": Operator.LTE} if label == BINARY_LABELS[1] else start


def window_for(time_range: TimeRange) -> Window:
    wanted = (time_range.end - time_range.start) / PART_OF_RANGE
    fitting = [window for window in Window if window.length <= wanted]
    return fitting[-1] if fitting else Window.FIVE_MINUTES


def _initial_of(definition: Definition) -> dict[str, Any]:
    in_percent = definition.comparison == Comparison.ABSOLUTE and Metric(definition.metric).is_share
    shown = {name: typed(getattr(definition, name), in_percent=in_percent) for name in ("threshold", "warning")}
    channels = [str(pk) for pk in definition.channels]
    return definition.columns | shown | {"channels": channels}


def typed(amount: float | None, *, in_percent: bool) -> str:
    """An amount as people type it."""
    if amount is None:
        return ""
    exact = Decimal(repr(amount)) * (PERCENT if in_percent else 1)
    return f"{exact.normalize():f}"


def _amount(given: Decimal | None, in_percent: bool) -> float | None:
    return None if given is None else float(given / PERCENT if in_percent else given)


def _channel_text(channel: Channel) -> str:
    return channel.name if channel.is_usable else f"{channel.name} (disabled)"


def _for_people(error: ValidationError) -> ValidationError:
    """People type shares in percent."""
    if not hasattr(error, "error_dict"):
        return error
    in_percent = ValidationError("Enter a percentage from 0 to 100")
    return ValidationError(
        {
            field: [in_percent if each.code == SHARE else each for each in errors]
            for field, errors in error.error_dict.items()
        }
    )


def _without(known: Mapping[str, Any], error: ValidationError) -> ValidationError:
    """Errors of the fields that have none yet."""
    return ValidationError({field: errors for field, errors in error.error_dict.items() if field not in known})
