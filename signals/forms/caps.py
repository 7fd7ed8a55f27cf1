"""Form of the budget and the call limit of a day."""

from decimal import Decimal
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.http import QueryDict

from catalyst.form_messages import show_errors
from catalyst.llms.amounts import Cap

MAX_CALLS = 1_000_000_000
# What the column holds.
MAX_DOLLARS = Decimal(10**8)
NO_DOLLARS = "Enter a number above 0, with up to 4 decimals"
NO_CALLS = f"Enter a whole number from 1 to {MAX_CALLS:,}"
INPUT = {"class": "short", "autocomplete": "off", "placeholder": "No limit"}


def check_dollars(amount: Decimal) -> None:
    # The field's own limits would give one amount several errors.
    if not 0 < amount < MAX_DOLLARS or amount != round(amount, 4):
        raise ValidationError(NO_DOLLARS)


class CapForm(forms.Form):
    daily_usd = forms.DecimalField(
        label="Daily budget (USD)",
        required=False,
        validators=[check_dollars],
        widget=forms.TextInput(INPUT | {"inputmode": "decimal"}),
        error_messages={"invalid": NO_DOLLARS},
    )
    daily_calls = forms.IntegerField(
        label="Daily call limit",
        required=False,
        min_value=1,
        max_value=MAX_CALLS,
        widget=forms.TextInput(INPUT | {"inputmode": "numeric"}),
        error_messages=dict.fromkeys(("invalid", "min_value", "max_value"), NO_CALLS),
    )

    def __init__(self, data: QueryDict | None = None, *, cap: Cap | None = None) -> None:
        initial: dict[str, Any] = {"daily_usd": cap.usd, "daily_calls": cap.calls} if cap else {}
        super().__init__(data, initial=initial, label_suffix="")

    @property
    def cap(self) -> Cap:
        return Cap(self.cleaned_data["daily_usd"], self.cleaned_data["daily_calls"])

    def report(self, error: ValidationError) -> None:
        """Show errors of `signals.operations` beside their fields."""
        show_errors(self, error, {})
