"""Form of a question about a report."""

from django import forms
from django.core.exceptions import ValidationError

from catalyst.form_messages import show_errors
from halo.models.run import MAX_PROMPT_CHARACTERS


class QuestionForm(forms.Form):
    prompt = forms.CharField(
        label="Question",
        max_length=MAX_PROMPT_CHARACTERS,
        widget=forms.Textarea({"rows": 2}),
        error_messages={"required": "Enter a question"},
    )

    def report(self, error: ValidationError) -> None:
        """Show errors of `halo.runs.follow_ups` beside their fields."""
        show_errors(self, error, {})
