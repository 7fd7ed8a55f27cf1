"""The form that asks since when something is fixed."""

from django import forms
from django.core.exceptions import ValidationError

from catalyst.form_messages import show_errors
from halo.forms.new_report import TIME_ERRORS, TimeWidget


class VerificationForm(forms.Form):
    """Since when it is fixed, and until when to look."""

    since = forms.DateTimeField(label="Fixed since (UTC)", widget=TimeWidget, error_messages=TIME_ERRORS)
    until = forms.DateTimeField(
        label="Until (UTC)", widget=TimeWidget, required=False, error_messages=TIME_ERRORS, help_text="Empty: now."
    )

    def report(self, error: ValidationError) -> None:
        """Show errors of `halo.verification`."""
        show_errors(self, error, {})
