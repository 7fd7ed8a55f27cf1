"""Forms of issues: the filter of their list, and what people do with one."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, ClassVar, override

from django import forms
from django.core.exceptions import ValidationError
from django.http import QueryDict

from catalyst.core.actor import Actor
from catalyst.core.models import User
from catalyst.filter_form import FilterForm, NumberField
from catalyst.form_messages import show_errors
from halo.choices import IssueState
from halo.forms.new_report import TIME_ERRORS, TimeWidget
from halo.issues import writes
from halo.models import Finding, Issue
from halo.models.issue import MAX_VERSION_CHARACTERS, IssueQuerySet

ANY = "any"
CLOSED = (IssueState.FIXED, IssueState.DISMISSED)
# Of an agent, to merge with.
MAX_OTHERS = 100


class IssueFilterForm(FilterForm):
    """Without a state: those that are open or acknowledged. An invalid value filters nothing and has an error."""

    agent = NumberField(widget=forms.Select)
    state = forms.ChoiceField(
        choices=[
            ("", "Open or acknowledged"),
            *((each.value, f"Only {each.label.lower()}") for each in IssueState),
            (ANY, "Any state"),
        ]
    )

    def offer_agents(self, agents: Iterable[tuple[int, str]]) -> None:
        """Take (id, name) of each agent to choose from."""
        self.set_choices("agent", [("", "Any agent"), *agents])

    def narrowed(self, issues: IssueQuerySet) -> IssueQuerySet:
        values = self.valid_values
        if "agent" in values:
            issues = issues.filter(agent=values["agent"])
        state = values.get("state")
        if state == ANY or "state" in self.errors:
            return issues
        return issues.filter(state=state) if state else issues.open()

    @property
    def narrows(self) -> bool:
        return bool(self.valid_values)


class ActionForm(forms.Form):
    """What somebody does with an issue. `FIELDS`: the form field of errors of `halo.issues.writes`."""

    FIELDS: ClassVar[Mapping[str, str]] = {}

    def __init__(self, issue: Issue, now: datetime, data: QueryDict | None = None) -> None:
        super().__init__(data, auto_id=f"{self.verb()}-%s", label_suffix="")
        self.issue, self.now = issue, now

    @classmethod
    def verb(cls) -> str:
        return cls.__name__.removesuffix("Form").lower()

    def apply(self, by: Actor) -> bool:
        """Do what a valid form says. Return whether it was done; otherwise the form has errors."""
        if not self.is_valid():
            return False
        try:
            self.write(by)
        except ValidationError as error:
            show_errors(self, error, self.FIELDS)
            return False
        return True

    def write(self, by: Actor) -> None:
        raise NotImplementedError

    def done(self) -> str:
        """What was done, for people."""
        return f"The issue is {self.issue.get_state_display().lower()}"


class AcknowledgeForm(ActionForm):
    @override
    def write(self, by: Actor) -> None:
        writes.acknowledge(self.issue, self.now, by)


class ReopenForm(ActionForm):
    @override
    def write(self, by: Actor) -> None:
        writes.reopen(self.issue, self.now, by)


class FixForm(ActionForm):
    at = forms.DateTimeField(
        label="Fixed since (UTC)", widget=TimeWidget, error_messages=TIME_ERRORS,
        help_text="A report that finds it in later traces reopens it.",
    )  # fmt: skip
    version = forms.CharField(
        label="Version", required=False, max_length=MAX_VERSION_CHARACTERS, help_text="Of the service. May be empty."
    )
    note = forms.CharField(label="Note", required=False, widget=forms.Textarea({"rows": 2}))

    def __init__(self, issue: Issue, now: datetime, data: QueryDict | None = None) -> None:
        super().__init__(issue, now, data)
        self.initial["at"] = now

    @override
    def write(self, by: Actor) -> None:
        about = {name: self.cleaned_data[name] for name in ("at", "version", "note")}
        writes.fix(self.issue, self.now, by, **about)

    @override
    def done(self) -> str:
        return "The issue is fixed. A report that finds it in later traces reopens it."


class DismissForm(ActionForm):
    why = forms.CharField(
        label="Why", widget=forms.Textarea({"rows": 2}), help_text="Reports that find it again don't open it."
    )

    @override
    def write(self, by: Actor) -> None:
        writes.dismiss(self.issue, self.now, by, why=self.cleaned_data["why"])


class AssignForm(ActionForm):
    to = forms.ModelChoiceField(User.objects.none(), label="Assignee", required=False, empty_label="Nobody")

    def __init__(self, issue: Issue, now: datetime, data: QueryDict | None = None) -> None:
        super().__init__(issue, now, data)
        field = self.fields["to"]
        assert isinstance(field, forms.ModelChoiceField)
        field.queryset = User.objects.filter(memberships__project=issue.project_id).order_by("username")
        self.initial["to"] = issue.assignee_id

    @override
    def write(self, by: Actor) -> None:
        writes.assign(self.issue, self.cleaned_data["to"], by)

    @override
    def done(self) -> str:
        return f"The issue is assigned to {self.issue.assignee or 'nobody'}"


class MergeForm(ActionForm):
    into = forms.ModelChoiceField(
        Issue.objects.none(),
        label="Merge into",
        empty_label="Choose an issue",
        help_text="That one gets the findings and stands for both.",
        error_messages={"required": "Choose an issue"},
    )

    def __init__(self, issue: Issue, now: datetime, data: QueryDict | None = None) -> None:
        super().__init__(issue, now, data)
        field = self.fields["into"]
        assert isinstance(field, forms.ModelChoiceField)
        others = Issue.objects.of_agent(issue.agent_id).exclude(pk=issue.pk).last_seen_first()
        # A choice is looked up among these, which a slice can't do.
        field.queryset = others.filter(pk__in=list(others.values_list("pk", flat=True)[:MAX_OTHERS]))
        self.has_others = bool(field.queryset)

    @override
    def write(self, by: Actor) -> None:
        writes.merge(self.issue, self.cleaned_data["into"], by)

    @override
    def done(self) -> str:
        return "The issues are merged"


class SplitForm(ActionForm):
    finding = forms.ModelChoiceField(Finding.objects.none(), error_messages={"required": "Choose a finding"})

    def __init__(self, issue: Issue, now: datetime, data: QueryDict | None = None) -> None:
        super().__init__(issue, now, data)
        field = self.fields["finding"]
        assert isinstance(field, forms.ModelChoiceField)
        field.queryset = Finding.objects.filter(issue=issue).select_related("issue", "run")

    @override
    def write(self, by: Actor) -> None:
        writes.split(self.cleaned_data["finding"], self.now, by)

    @override
    def done(self) -> str:
        return "The finding is an issue of its own now"


ACTIONS: Mapping[str, type[ActionForm]] = {
    each.verb(): each for each in (AcknowledgeForm, ReopenForm, FixForm, DismissForm, AssignForm, MergeForm, SplitForm)
}


def forms_of(issue: Issue, now: datetime, sent: ActionForm | None = None) -> dict[str, Any]:
    """Forms that have fields, by verb. `sent`: one with errors, in place of its empty one."""
    shown = {verb: form(issue, now) for verb, form in ACTIONS.items()}
    return shown | ({sent.verb(): sent} if sent else {})
