"""Form of daily limits."""

from decimal import Decimal

from django import forms

from catalyst.llms.amounts import Cap

MAX_CALLS = 1_000_000_000


class CapForm(forms.Form):
    daily_usd = forms.DecimalField(required=False, min_value=Decimal("0.0001"), max_digits=12, decimal_places=4)
    daily_calls = forms.IntegerField(required=False, min_value=1, max_value=MAX_CALLS)

    @property
    def cap(self) -> Cap:
        return Cap(self.cleaned_data["daily_usd"], self.cleaned_data["daily_calls"])
