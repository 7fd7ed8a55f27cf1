"""Forms that create, edit and duplicate a signal."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, override

from django import forms
from django.core.exceptions import ValidationError
from django.db.models import Q
from django.forms.models import ModelChoiceIterator, ModelChoiceIteratorValue
from django.http import QueryDict
from django.urls import reverse
from django.utils.functional import cached_property
from django.utils.html import format_html

from catalyst.agents.models import Agent
from catalyst.core.models import Project
from catalyst.form_messages import show_errors
from catalyst.params import is_id
from signals.definitions import definition
from signals.definitions.choices import BINARY_LABELS, Scope, Sentiment
from signals.definitions.definition import (
    LABEL_COUNTS,
    MAX_NAME_CHARACTERS,
    MAX_PROMPT_CHARACTERS,
    MAX_QUIET_MINUTES,
    QUIET_ERROR,
    Definition,
)
from signals.definitions.templates import TEMPLATES, Template
from signals.forms.judge_choices import JudgeChoices
from signals.forms.narrowing import FilterFields, ViewFields, initial_values
from signals.forms.widgets import AgentSelect, ChoiceInput, LabelRow, LabelsWidget, RateWidget
from signals.models import Signal, SignalVersion
from signals.operations import Renamed, VersionConflict
from signals.targets.volume import has_sessions

MAX_LISTED_AGENTS = 50
DEFAULT_RATE = 100
# Django's words say less.
REQUIRED_CHOICE = {"required": "Choose one", "invalid_choice": "Choose one of the options"}
NAME_ERRORS = {"required": "Enter a name", "max_length": f"Enter up to {MAX_NAME_CHARACTERS} characters"}
NO_RATE = "Enter a whole number from 0 to 100"
# The template of a field's group.
ROWS = {
    "labels": "components/row.html",
    "prompt": "signals/parts/prompt_row.html",
    "sample_rate": "components/inline_row.html",
    "judge_model": "components/row.html",
}
PROMPT_EXAMPLE = "For example: does the assistant promise a refund that the policy does not give?"
SCOPE_HELP = {
    "span": "One label per model call.",
    "trace": "One label per run of the agent.",
    "session": format_html("One label per conversation. Needs <code>{}</code> on the traces.", "session.id"),
}
# The form field that shows errors of a field that the form lacks.
FIELD_OF = {"sentiments": "labels", "descriptions": "labels", "view": "view_kinds", "connection": "judge_model"}


class ListedAgents(ModelChoiceIterator[Agent]):
    """Choices of the agents that a field lists. Django's would list all, and load them again for each use."""

    field: "AgentField"

    @override
    def __iter__(self) -> Iterator[tuple[ModelChoiceIteratorValue | str, str]]:
        for agent in self.field.listed:
            yield self.choice(agent)


class AgentField(forms.ModelChoiceField[Agent]):
    """One of the project's agents. Lists the first ones and the chosen one; the others are searched."""

    iterator = ListedAgents

    def __init__(self, project: Project, chosen: object = None, attrs: Mapping[str, Any] | None = None) -> None:
        self.chosen_pk = str(chosen or "")
        widget = AgentSelect(reverse("signals:agent-choices", args=[project.slug]), attrs)
        self._all = project.agents.order_by("name", "pk")
        super().__init__(self._all, empty_label=None, widget=widget, error_messages=REQUIRED_CHOICE)

    @cached_property
    def listed(self) -> list[Agent]:
        first = list(self._all[: MAX_LISTED_AGENTS + 1])
        self.widget.is_searched = len(first) > MAX_LISTED_AGENTS
        listed = first[:MAX_LISTED_AGENTS]
        if is_id(self.chosen_pk) and int(self.chosen_pk) not in {agent.pk for agent in listed}:
            listed = [*self._all.filter(pk=self.chosen_pk), *listed]
        return listed


class AgentOfSignalField(AgentField):
    """Shown beside a signal's name."""

    @override
    def label_from_instance(self, obj: Agent) -> str:
        return f"for {obj}"


def agents_named(project: Project, text: str) -> list[Agent]:
    """Agents whose name contains the text, up to as many as a field lists."""
    agents = project.agents.filter(Q(name__icontains=text) | Q(identity=text))
    return list(agents.order_by("name", "pk")[:MAX_LISTED_AGENTS])


class SignalForm(FilterFields, ViewFields):
    """A signal and its definition. With `signal`: a new version, with agent and scope fixed.

    `draft`: what the fields begin with.
    """

    name = forms.CharField(max_length=MAX_NAME_CHARACTERS, error_messages=NAME_ERRORS)
    scope = forms.ChoiceField(
        error_messages=REQUIRED_CHOICE,
        choices=Scope,
        initial=Scope.TRACE,
        widget=ChoiceInput({"aria-labelledby": "scope-label"}, help_texts=SCOPE_HELP),
        help_text="Can't be changed later.",
    )
    type = forms.ChoiceField(
        choices=SignalVersion.Type,
        initial=SignalVersion.Type.BINARY,
        widget=ChoiceInput({"aria-labelledby": "type-label"}),
        error_messages=REQUIRED_CHOICE,
        label="Type",
    )
    bad = forms.ChoiceField(
        label="Bad outcome",
        choices=[("yes", "Yes"), ("no", "No")],
        initial="yes",
        required=False,
        widget=ChoiceInput({"aria-labelledby": "bad-label"}),
    )
    labels = forms.Field(
        required=False,
        widget=LabelsWidget,
        help_text=f"{LABEL_COUNTS[0]}\N{EN DASH}{LABEL_COUNTS[-1]} labels. The judge sees the descriptions. "
        "Sentiment only sets colors and order.",
    )
    prompt = forms.CharField(
        label="Prompt",
        widget=forms.Textarea({"rows": 8, "spellcheck": "true", "placeholder": PROMPT_EXAMPLE}),
        help_text="Say what counts for each label and what does not. The judge also sees the conversation, tool calls "
        "and labels.",
        error_messages={"required": "Enter a prompt"},
    )
    sample_rate = forms.IntegerField(
        initial=DEFAULT_RATE,
        min_value=0,
        max_value=100,
        widget=RateWidget,
        help_text="of matching traffic. A higher rate keeps the targets of a lower one and adds others.",
        error_messages=dict.fromkeys(("required", "invalid", "min_value", "max_value"), NO_RATE),
    )
    # With a hidden initial value: saving another field keeps what somebody else set meanwhile.
    quiet_minutes = forms.IntegerField(
        label="Quiet time",
        required=False,
        min_value=1,
        max_value=MAX_QUIET_MINUTES,
        show_hidden_initial=True,
        widget=forms.NumberInput({"class": "short", "aria-label": "Quiet time in minutes"}),
        error_messages=dict.fromkeys(("invalid", "min_value", "max_value"), QUIET_ERROR),
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
        draft: Mapping[str, Any] | None = None,
    ) -> None:
        initial: dict[str, Any] = {"agent": agent.pk} if agent else {}
        initial |= _initial_of_template(project, template, agent) if template else {}
        initial |= draft or {}
        version = signal.current_version if signal else None
        if signal is not None and version is not None:
            initial |= _initial_of(signal, version)
        self._judges = JudgeChoices(project, version)
        super().__init__(data, initial=initial | {"judge_model": self._judges.initial}, label_suffix="")
        self.fields["judge_model"] = forms.ChoiceField(
            choices=self._judges.groups,
            required=False,
            help_text="Owners connect further models in Settings, Models.",
        )
        chosen = data.get("agent") if data is not None else initial.get("agent")
        self._agent_field = AgentOfSignalField(project, chosen, {"id": "row-agent", "aria-label": "Agent"})
        self.fields["agent"] = self._agent_field
        for name, row in ROWS.items():
            self.fields[name].template_name = row  # type: ignore[attr-defined]  # unknown to django-stubs
        self._agents = project.agents.order_by("name", "pk")
        for name in ("agent", "scope") if signal else ():
            self.fields[name].disabled = True

    @override
    def clean(self) -> dict[str, Any] | None:
        """Also check the definition, so that all errors are shown at once."""
        cleaned = super().clean() or self.cleaned_data
        if cleaned.get("scope") != Scope.SESSION:
            self.ignore("quiet_minutes")
            cleaned["quiet_minutes"] = None
        judge = cleaned.get("judge_model", "")
        connection, kept_model = self._judges.connection(judge), self._judges.kept_model(judge)
        try:
            definition.checked_definition(self.definition, cleaned.get("scope", ""), connection, kept_model)
        except ValidationError as error:
            for field, messages in error.error_dict.items():
                form_field = FIELD_OF.get(field, field)
                if form_field not in self.errors:
                    self.add_error(form_field, messages)
        return cleaned

    def ignore(self, *names: str) -> None:
        """Drop the errors of fields that are not needed. Their defaults are used."""
        for name in names:
            self.errors.pop(name, None)

    def has_typed_text(self, template: Template | None) -> bool:
        """True if the name, the prompt or the labels have text that is not from the template."""
        texts = {"name": template.name, "prompt": template.prompt} if template else {}
        for name in ("name", "prompt"):
            typed = str(self[name].value() or "").replace("\r\n", "\n").strip()
            if typed not in {"", texts.get(name, "").strip()}:
                return True
        labels = [row.label.strip() for row in self["labels"].value() or () if row.label.strip()]
        return bool(labels) and labels != list(template.labels if template else ())

    @property
    def changed_quiet_minutes(self) -> int | None:
        """None if this edit leaves the quiet time alone, 0 for the instance's."""
        is_changed = self.cleaned_data["scope"] == Scope.SESSION and "quiet_minutes" in self.changed_data
        return (self.cleaned_data["quiet_minutes"] or 0) if is_changed else None

    # Set if saving failed because another version was published during this edit.
    overtaken: VersionConflict | None = None

    @property
    def chosen_agent(self) -> Agent | None:
        pk = str(self["agent"].value() or "")
        agent = self._agents.filter(pk=pk).first() if is_id(pk) else None
        return agent or self._agents.first()

    @property
    def has_agents(self) -> bool:
        return bool(self._agent_field.listed)

    max_prompt_characters = MAX_PROMPT_CHARACTERS

    @property
    def prompt_characters(self) -> int:
        """The length of the prompt as it is saved. The page's script counts alike."""
        return len(str(self["prompt"].value() or "").replace("\r\n", "\n").strip())

    @property
    def invalid_fields(self) -> list[forms.BoundField]:
        return [self[name] for name in self.errors if name in self.fields]

    @property
    def definition(self) -> Definition:
        """What the form describes. Fields with an error have their defaults."""
        cleaned = self.cleaned_data
        rows = [row._replace(label=" ".join(row.label.split())) for row in cleaned["labels"] if row.label.strip()]
        return Definition(
            type=cleaned.get("type", SignalVersion.Type.BINARY),
            prompt=cleaned.get("prompt", ""),
            sample_rate=cleaned.get("sample_rate", DEFAULT_RATE),
            labels=[row.label for row in rows],
            sentiments=self._sentiments(rows),
            descriptions={row.label: row.description for row in rows},
            connection=self._judges.connection_name(cleaned.get("judge_model", "")),
            judge_model=self._judges.model_name(cleaned.get("judge_model", "")),
            filter=self.traffic,
            view=self.judge_view,
        )

    def _sentiments(self, rows: Sequence[LabelRow]) -> dict[str, str]:
        if self.cleaned_data.get("type") != SignalVersion.Type.STRING:
            bad = self.cleaned_data.get("bad") or "yes"
            return {label: "negative" if label == bad else "positive" for label in BINARY_LABELS}
        return {row.label: row.sentiment for row in rows if row.sentiment}

    def report(self, error: ValidationError) -> None:
        """Show errors of `signals.operations` beside their fields."""
        if isinstance(error, VersionConflict):
            self.overtaken = error
            self._replace("based_on", error.current.number)
        if isinstance(error, Renamed):
            self._replace("named", error.current)
        show_errors(self, error, FIELD_OF)

    def _replace(self, field: str, value: object) -> None:
        # The page shows what was changed meanwhile, so the next attempt may overwrite it.
        data = QueryDict(mutable=True)
        data.update(self.data)
        data[field] = str(value)
        self.data = data

    def draft_version(self) -> SignalVersion:
        """Return the version that the form describes, valid or not, to find its judge."""
        labels = [row.label for row in self["labels"].value() or () if row.label.strip()]
        if self["type"].value() == SignalVersion.Type.BINARY:
            labels = list(BINARY_LABELS)
        chosen, prompt = self["judge_model"].value() or "", self["prompt"].value()
        return SignalVersion(
            prompt=prompt or "",
            labels=labels,
            connection=self._judges.connection(chosen),
            judge_model=self._judges.model_name(chosen).strip(),
        )


class DuplicateForm(forms.Form):
    name = forms.CharField(max_length=MAX_NAME_CHARACTERS, error_messages=NAME_ERRORS)

    def __init__(self, signal: Signal, data: QueryDict | None = None) -> None:
        other = signal.project.agents.exclude(pk=signal.agent_id).order_by("name", "pk").first()
        name = Signal.objects.for_agent(other or signal.agent).unarchived().free_name(signal.name)
        super().__init__(data, initial={"name": name, "agent": other or signal.agent}, label_suffix="")
        chosen = data.get("agent") if data is not None else (other or signal.agent).pk
        self.fields["agent"] = AgentField(signal.project, chosen)

    def report(self, error: ValidationError) -> None:
        show_errors(self, error, FIELD_OF)


def _initial_of_template(project: Project, template: Template, agent: Agent | None) -> dict[str, Any]:
    scope = _scope_of(template, agent or project.agents.order_by("name", "pk").first())
    return {"name": template.name, "scope": scope, **fields_of(template)}


def _initial_of(signal: Signal, version: SignalVersion) -> dict[str, Any]:
    return {
        "name": signal.name,
        "named": signal.name,
        "scope": signal.scope,
        "agent": signal.agent_id,
        "sample_rate": version.sample_rate,
        "quiet_minutes": signal.quiet_minutes,
        "based_on": version.number,
        **fields_of(version),
        **initial_values(version.traffic_filter, version.judge_view),
    }


def _scope_of(template: Template, agent: Agent | None) -> str:
    return template.scope_for(has_sessions=agent is not None and has_sessions(agent))


def template_named(key: str | None) -> Template | None:
    return TEMPLATES.get(key or "")


def fields_of(source: Template | SignalVersion) -> dict[str, Any]:
    fields: dict[str, Any] = {"type": source.type, "prompt": source.prompt}
    if source.type == SignalVersion.Type.BINARY:
        return fields | {"bad": "no" if source.sentiments.get("no") == Sentiment.NEGATIVE else "yes"}
    descriptions = source.descriptions if isinstance(source, SignalVersion) else {}
    rows = [LabelRow(label, source.sentiments.get(label, ""), descriptions.get(label, "")) for label in source.labels]
    return fields | {"labels": rows}
