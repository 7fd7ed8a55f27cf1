"""Filter of the list of reports."""

from collections.abc import Iterable

from django import forms

from catalyst.filter_form import FilterForm, NumberField
from halo.choices import OPEN_STATUSES, EngineKind, RunStatus
from halo.models.run import RunQuerySet

OPEN = "open"
STATUSES = {OPEN: "Under way"} | {each.value: each.label for each in RunStatus if each not in OPEN_STATUSES}


class ReportFilterForm(FilterForm):
    """An invalid value filters nothing and has an error."""

    agent = NumberField(widget=forms.Select)
    status = forms.ChoiceField(choices=[("", "Any status"), *STATUSES.items()])
    engine = forms.ChoiceField(choices=[("", "Any analyst"), *EngineKind.choices])

    def offer_agents(self, agents: Iterable[tuple[int, str]]) -> None:
        """Take (id, name) of each agent to choose from."""
        self.set_choices("agent", [("", "Any agent"), *agents])

    def narrowed(self, runs: RunQuerySet) -> RunQuerySet:
        values = self.valid_values
        if "agent" in values:
            runs = runs.filter(agent=values["agent"])
        if engine := values.get("engine"):
            runs = runs.filter(engine=engine)
        status = values.get("status")
        if status == OPEN:
            return runs.open()
        return runs.filter(status=status) if status else runs

    @property
    def narrows(self) -> bool:
        return bool(self.valid_values)
