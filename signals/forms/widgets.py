"""Inputs of the signal editor."""

import re
from collections.abc import Mapping
from typing import Any, NamedTuple, override

from django import forms

from signals.definitions.choices import Sentiment
from signals.definitions.definition import LABEL_COUNTS, MAX_DESCRIPTION_CHARACTERS, MAX_LABEL_CHARACTERS

MAX_LABELS = LABEL_COUNTS[-1]
RATES = ("10", "25", "50", "100")
OTHER = "other"
_ROW = re.compile(r"label-([0-9]{1,2})", re.ASCII)


class LabelRow(NamedTuple):
    label: str
    sentiment: str = ""
    description: str = ""


class AgentSelect(forms.Select):
    """The agents that its field lists; `is_searched`: with a search for the others."""

    template_name = "signals/parts/agent_select.html"
    is_searched = False

    def __init__(self, search_url: str, attrs: Mapping[str, Any] | None = None) -> None:
        super().__init__(dict(attrs or {}))
        self.search_url = search_url

    @override
    def get_context(self, name: str, value: Any, attrs: dict[str, Any] | None) -> dict[str, Any]:
        context = super().get_context(name, value, attrs)
        context["widget"]["search_url"] = self.search_url if self.is_searched else ""
        return context


class ChoiceInput(forms.RadioSelect):
    """Exclusive choices in one row. `help_texts`, by value: the text that is shown while this value is chosen."""

    template_name = "components/choice.html"
    # The attributes name the group.
    option_inherits_attrs = False

    def __init__(
        self, attrs: Mapping[str, Any], choices: Any = (), help_texts: Mapping[str, str] | None = None
    ) -> None:
        super().__init__({"class": "choice", "role": "radiogroup", **attrs}, choices)
        self.help_texts = help_texts or {}

    @override
    def use_required_attribute(self, initial: Any) -> bool:
        return False

    @override
    def get_context(self, name: str, value: Any, attrs: dict[str, Any] | None) -> dict[str, Any]:
        context = super().get_context(name, value, attrs)
        context["widget"]["help_texts"] = self.help_texts
        return context


class LabelsWidget(forms.Widget):
    """Rows of a label, its sentiment and description, posted as label-0, sentiment-0, description-0 and so on."""

    template_name = "signals/parts/labels_widget.html"
    use_fieldset = True

    @override
    def value_from_datadict(self, data: Mapping[str, Any], files: Any, name: str) -> list[LabelRow]:
        # Rows beyond MAX_LABELS are read too, so that the form refuses them instead of dropping them.
        rows = max([MAX_LABELS, *(int(match[1]) + 1 for key in data if (match := _ROW.fullmatch(key)))])
        fields = ("label", "sentiment", "description")
        return [LabelRow(*(str(data.get(f"{field}-{row}", "")) for field in fields)) for row in range(rows)]

    @override
    def get_context(self, name: str, value: Any, attrs: dict[str, Any] | None) -> dict[str, Any]:
        context = super().get_context(name, None, attrs)
        rows = list(value or [])
        context["widget"] |= {
            "rows": rows + [LabelRow("", Sentiment.NEUTRAL)] * (MAX_LABELS - len(rows)),
            "sentiments": (Sentiment.NEUTRAL, Sentiment.POSITIVE, Sentiment.NEGATIVE),
            "max_characters": MAX_LABEL_CHARACTERS,
            "max_description": MAX_DESCRIPTION_CHARACTERS,
        }
        return context


class RateWidget(forms.MultiWidget):
    """One of RATES, or a number from a second input."""

    template_name = "signals/parts/rate_widget.html"

    def __init__(self) -> None:
        choices = [*((rate, f"{rate}%") for rate in RATES), (OTHER, "Other")]
        number = {"class": "short", "min": 0, "max": 100, "step": 1, "inputmode": "numeric"}
        super().__init__(
            {
                "": ChoiceInput({"aria-labelledby": "sample_rate-label"}, choices),
                OTHER: forms.NumberInput({**number, "aria-label": "Sample rate in percent"}),
            }
        )

    @override
    def use_required_attribute(self, initial: Any) -> bool:
        return False

    @override
    def decompress(self, value: Any) -> list[str]:
        rate = "" if value is None else str(value)
        return [rate if rate in RATES else OTHER, rate]

    @override
    def value_from_datadict(self, data: Mapping[str, Any], files: Any, name: str) -> Any:
        chosen, number = super().value_from_datadict(data, files, name)
        return number if chosen == OTHER else chosen
