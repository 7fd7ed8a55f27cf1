"""Errors of forms: our words in place of Django's, and errors of operations beside their fields."""

from collections.abc import Mapping

from django import forms
from django.contrib.auth.forms import AuthenticationForm, PasswordChangeForm, UserCreationForm
from django.core import validators
from django.core.exceptions import ValidationError

# One clause has no full stop, several sentences have.
REQUIRED = "Enter a value"


def use() -> None:
    """Change the messages of all forms of this process."""
    forms.Field.default_error_messages["required"] = REQUIRED
    forms.IntegerField.default_error_messages["invalid"] = "Enter a whole number"
    for choice in (forms.ChoiceField, forms.MultipleChoiceField):
        choice.default_error_messages["invalid_choice"] = "Choose one of the options"
    forms.ModelChoiceField.default_error_messages["invalid_choice"] = "Choose one of the options"
    validators.MaxLengthValidator.message = "Use at most %(limit_value)d characters. This has %(show_value)d."
    validators.MinLengthValidator.message = "Use at least %(limit_value)d characters. This has %(show_value)d."
    validators.MinValueValidator.message = "Enter %(limit_value)s or more"
    validators.MaxValueValidator.message = "Enter %(limit_value)s or less"
    validators.EmailValidator.message = "Enter an email address, such as ada@example.com"
    AuthenticationForm.error_messages["invalid_login"] = "Wrong username or password. Both are case-sensitive."
    PasswordChangeForm.error_messages["password_incorrect"] = "The old password is wrong"
    # Their fields are older than this change.
    for form in (AuthenticationForm, PasswordChangeForm, UserCreationForm):
        for field in form.base_fields.values():
            field.error_messages["required"] = REQUIRED


def show_errors(form: forms.Form, error: ValidationError, field_of: Mapping[str, str]) -> None:
    """Show errors beside their fields. Those of fields that the form lacks are errors of the form.

    `field_of`: the form field of errors whose own field the form lacks or hides.
    """
    errors: dict[str, list[ValidationError]] = {}
    for name, messages in error.update_error_dict(errors).items():
        field = field_of.get(name, name)
        form.add_error(field if field in form.fields else None, messages)
