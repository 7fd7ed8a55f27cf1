"""Form fields of a signal's traffic filter and judge view."""

from collections.abc import Mapping
from typing import Any, override

from django import forms

from catalyst.json_value import InvalidValue
from signals.definitions import judge_view
from signals.definitions.judge_view import MIN_TOKENS, JudgeView
from traces import filters
from traces.conventions.kinds import KINDS
from traces.filters import NAMES, Filter

MAX_TEXT_CHARACTERS = 5_000
MAX_NUMBER = 10**9
VALUES = forms.Textarea({"rows": 1, "autocomplete": "off", "spellcheck": "false"})
LINES = forms.Textarea({"rows": 2, "spellcheck": "false"})
# Form field of each field of the filter.
OF_FILTER = {
    "environment": "filter_environment",
    "service": "filter_service",
    "model": "filter_model",
    "user": "filter_user",
    "status": "filter_status",
    "min_duration_ms": "filter_from_seconds",
    "max_duration_ms": "filter_to_seconds",
    "min_tokens": "filter_from_tokens",
    "max_tokens": "filter_to_tokens",
    "attributes": "filter_attributes",
}


class FilterFields(forms.Form):
    """Fields of the traffic filter. A valid form has the filter as `traffic`."""

    filter_environment = forms.CharField(required=False, label="Environment", widget=VALUES)
    filter_service = forms.CharField(required=False, label="Service", widget=VALUES)
    filter_model = forms.CharField(required=False, label="Model", widget=VALUES)
    filter_user = forms.CharField(required=False, label="User", widget=VALUES)
    filter_status = forms.ChoiceField(
        choices=[("", "Any"), ("ok", "OK"), ("error", "Error")], required=False, label="Status"
    )
    filter_from_seconds = forms.DecimalField(
        required=False, min_value=0, max_value=MAX_NUMBER, decimal_places=3, label="Min duration (s)"
    )
    filter_to_seconds = forms.DecimalField(
        required=False, min_value=0, max_value=MAX_NUMBER, decimal_places=3, label="Max duration (s)"
    )
    filter_from_tokens = forms.IntegerField(required=False, min_value=0, label="Min tokens")
    filter_to_tokens = forms.IntegerField(required=False, min_value=0, label="Max tokens")
    filter_attributes = forms.CharField(
        required=False, max_length=MAX_TEXT_CHARACTERS, widget=LINES, label="Attributes, one key=value per line"
    )
    traffic: Filter = filters.EVERYTHING

    @property
    def narrows_traffic(self) -> bool:
        return any(self[name].value() not in (None, "") for name in OF_FILTER.values())

    @override
    def clean(self) -> dict[str, Any] | None:
        cleaned = super().clean() or self.cleaned_data
        try:
            self.traffic = Filter.parse(self._given(cleaned))
        except InvalidValue as error:
            for part, text in error.errors.items():
                self.add_error(OF_FILTER.get(part), text)
        return cleaned

    def _given(self, cleaned: Mapping[str, Any]) -> dict[str, Any]:
        parts: dict[str, Any] = {part: cleaned.get(field) for part, field in OF_FILTER.items()}
        for bound in ("min_duration_ms", "max_duration_ms"):
            parts[bound] = None if parts[bound] is None else int(parts[bound] * 1000)
        parts |= {name: (parts[name] or "").splitlines() for name in NAMES}
        parts["attributes"], invalid_line = _attributes(parts["attributes"] or "")
        if invalid_line:
            self.add_error("filter_attributes", f"Use key=value: {invalid_line}")
        return {part: value for part, value in parts.items() if value not in (None, "", [])}


class ViewFields(forms.Form):
    """Fields of the judge view. A valid form has it as `judge_view`."""

    view_shows = forms.ChoiceField(
        choices=[("", "Whole transcript"), ("messages", "Messages of user and assistant only")],
        required=False, label="Content",
    )  # fmt: skip
    view_tool_calls = forms.ChoiceField(
        choices=[("", "Include"), ("without", "Exclude")], required=False, label="Tool calls"
    )
    view_kinds = forms.MultipleChoiceField(
        choices=[(kind, kind) for kind in sorted(KINDS)],
        required=False,
        widget=forms.CheckboxSelectMultiple,
        label="Span kinds (default: all)",
    )
    view_names = forms.CharField(
        required=False,
        max_length=MAX_TEXT_CHARACTERS,
        widget=LINES,
        label="Span names, one per line (default: all)",
    )
    view_budget_tokens = forms.IntegerField(
        required=False, min_value=MIN_TOKENS, label="Max input tokens (default: instance limit)"
    )
    judge_view: JudgeView = judge_view.EVERYTHING

    @property
    def narrows_view(self) -> bool:
        return any(self[name].value() not in (None, "", []) for name in self.fields if name.startswith("view_"))

    @override
    def clean(self) -> dict[str, Any] | None:
        cleaned = super().clean() or self.cleaned_data
        values = {
            "messages_only": cleaned.get("view_shows") == "messages",
            "tool_calls": cleaned.get("view_tool_calls") != "without",
            "kinds": cleaned.get("view_kinds") or (),
            "names": tuple(line for line in (cleaned.get("view_names") or "").splitlines() if line.strip()),
            "budget_tokens": cleaned.get("view_budget_tokens"),
        }
        try:
            self.judge_view = JudgeView.parse(values)
        except InvalidValue as error:
            for part, text in error.errors.items():
                self.add_error(f"view_{part}", text)
        return cleaned


def initial_values(traffic_filter: Filter, view: JudgeView) -> dict[str, Any]:
    values = {field: getattr(traffic_filter, part) for part, field in OF_FILTER.items()}
    for field in ("filter_from_seconds", "filter_to_seconds"):
        values[field] = None if values[field] is None else f"{values[field] / 1000:g}"
    values |= {OF_FILTER[name]: "\n".join(getattr(traffic_filter, name)) for name in NAMES}
    return values | {
        "filter_attributes": "\n".join(f"{name}={value}" for name, value in traffic_filter.attributes),
        "view_shows": "messages" if view.messages_only else "",
        "view_tool_calls": "" if view.tool_calls else "without",
        "view_kinds": list(view.kinds),
        "view_names": "\n".join(view.names),
        "view_budget_tokens": view.budget_tokens,
    }


def _attributes(text: str) -> tuple[Mapping[str, str], str]:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    invalid_line = next((line for line in lines if not line.partition("=")[0].strip() or "=" not in line), "")
    pairs = (line.partition("=") for line in lines)
    return {name.strip(): value.strip() for name, _, value in pairs if not invalid_line}, invalid_line
