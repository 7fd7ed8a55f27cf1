"""Forms of the core pages."""

import time
from datetime import datetime
from threading import BoundedSemaphore
from typing import Any

from django import forms
from django.conf import settings
from django.contrib.admin.forms import AdminAuthenticationForm
from django.contrib.auth.forms import AuthenticationForm, PasswordChangeForm, SetPasswordForm, UserCreationForm
from django.core.exceptions import ValidationError
from django.utils import timezone

from catalyst import database
from catalyst.core import operations, sign_in_log, sign_ins, tasks
from catalyst.core.models import (
    FAILED_TO_SIGN_IN,
    KEPT_FROM_SIGNING_IN,
    MAX_ORIGIN_CHARACTERS,
    MAX_ORIGINS,
    ApiKey,
    Membership,
    User,
)
from catalyst.core.origins import checked_origins
from catalyst.core.sign_ins import address
from catalyst.core.token_buckets import Limit, database_buckets
from catalyst.core.usernames import check_scripts
from catalyst.ip_ranges import network_of

SIGN_IN_BY_ADDRESS = Limit("address", 30, 1 / 10)
SIGN_IN_BY_NAME = Limit("username", 10, 1 / 60)  # from one address
SIGN_IN_SLOWLY = Limit("username anywhere", 30, 1 / 60)
SLOW_SECONDS = 2
LINKS_BY_ADDRESS = Limit("password links from an address", 10, 1 / 360)
LINKS_OF_ACCOUNT = Limit("password links of an account", 3, 1 / 1200)
# An address may be that of several accounts.
MAX_LINKS = 5
_slow = BoundedSemaphore(4)


class LoginForm(AuthenticationForm):
    LIMITED = "limited"

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.label_suffix = ""

    @property
    def is_limited(self) -> bool:
        return self.has_error("__all__", self.LIMITED)

    def clean(self) -> dict[str, Any]:
        # The limits come before the password check.
        name, now = self.cleaned_data.get("username", ""), timezone.now()
        network = network_of(address(self.request)) if self.request else ""
        name_there = f"{name}\n{network}"
        if not (
            database_buckets.take(SIGN_IN_BY_ADDRESS, network, now)
            and database_buckets.take(SIGN_IN_BY_NAME, name_there, now)
        ):
            self._record_failure(KEPT_FROM_SIGNING_IN, now)
            raise ValidationError("Too many tries. Wait a minute, then try again.", code=self.LIMITED)
        if not database_buckets.take(SIGN_IN_SLOWLY, name, now):
            _slow_down()
        try:
            cleaned = super().clean()
        except ValidationError:
            self._record_failure(FAILED_TO_SIGN_IN, now)
            raise
        database_buckets.refill(SIGN_IN_BY_NAME, name_there)
        return cleaned

    def _record_failure(self, action: str, now: datetime) -> None:
        if self.request is not None:
            sign_in_log.record_failure(self.request, self.cleaned_data.get("username", ""), action, now)


def _slow_down() -> None:
    # Others can't lock a person out, only slow them down. Few threads wait at once, so that pages go on.
    if _slow.acquire(blocking=False):
        try:
            database.release()
            time.sleep(SLOW_SECONDS)
        finally:
            _slow.release()


class OperatorLoginForm(LoginForm, AdminAuthenticationForm):
    pass


class SignUpForm(UserCreationForm[User]):
    class Meta:
        model = User
        fields = ("username",)
        widgets = {"username": forms.TextInput({"autocomplete": "username", "autocapitalize": "none"})}

    def clean_username(self) -> str:
        username = super().clean_username()
        if username:  # none if it is taken
            check_scripts(username)
        return username


class ProfileForm(forms.ModelForm[User]):
    class Meta:
        model = User
        fields = ("first_name", "last_name", "email")


def password_form(user: User, data: Any = None) -> SetPasswordForm[User]:
    # People who sign in by link have no old password to confirm.
    form = PasswordChangeForm if user.has_usable_password() else SetPasswordForm
    return form(user, data)


class ForgottenPasswordForm(forms.Form):
    email = forms.EmailField(
        max_length=254,
        help_text="The address in your profile.",
        widget=forms.EmailInput({"autocomplete": "email", "autofocus": True}),
    )

    def send_links(self, sender: str, now: datetime) -> None:
        """Mail a link to each account with the address, few times an hour. `sender` is the IP address that asks."""
        if not database_buckets.take(LINKS_BY_ADDRESS, network_of(sender), now):
            return
        for user in User.objects.filter(email__iexact=self.cleaned_data["email"], is_active=True)[:MAX_LINKS]:
            if database_buckets.take(LINKS_OF_ACCOUNT, str(user.pk), now):
                tasks.send_password_link.enqueue(user.pk)


class NewPasswordForm(SetPasswordForm[User]):
    def save(self, commit: bool = True) -> User:  # noqa: ARG002 (Django gives it)
        """Set the password, which ends all sessions."""
        operations.set_password(self.user, password=self.cleaned_data["new_password1"])
        sign_ins.sign_out_elsewhere(self.user, None)
        return self.user


class ProjectForm(forms.Form):
    name = forms.CharField(max_length=100, help_text="For example a product or an environment.")


class RetentionForm(forms.Form):
    days = forms.IntegerField(
        min_value=1,
        max_value=settings.RETENTION_DAYS,
        required=False,
        help_text=f"Blank: instance default, {settings.RETENTION_DAYS}.",
        error_messages={"max_value": f"This instance keeps traces for {settings.RETENTION_DAYS} days"},
    )


class RoleForm(forms.Form):
    role = forms.ChoiceField(choices=Membership.Role, initial=Membership.Role.MEMBER)


class KeyLimitForm(forms.Form):
    requests_per_second = forms.IntegerField(min_value=1, max_value=10**6, required=False)
    spans_per_second = forms.IntegerField(min_value=1, max_value=10**6, required=False)


class OriginsField(forms.CharField):
    """Words apart by spaces, lines or commas. `checked_origins` checks them, because the scopes matter."""

    def __init__(self, **kwargs: Any) -> None:
        longest = MAX_ORIGINS * (MAX_ORIGIN_CHARACTERS + 2)
        super().__init__(required=False, max_length=longest, widget=forms.Textarea({"rows": 2}), **kwargs)

    def clean(self, value: Any) -> list[str]:
        text = str(super().clean(value))
        return text.replace(",", " ").split()


class KeyOriginsForm(forms.Form):
    origins = OriginsField()


class ApiKeyForm(forms.Form):
    name = forms.CharField(max_length=100, help_text="Where it will be used, for example support agent, production.")
    scopes = forms.MultipleChoiceField(
        choices=ApiKey.Scope,
        initial=[ApiKey.Scope.INGEST],
        widget=forms.CheckboxSelectMultiple,
        label="Scopes",
        error_messages={"required": "Select at least one scope"},
    )
    days = forms.TypedChoiceField(
        choices=[("", "Never"), (7, "In 7 days"), (30, "In 30 days"), (90, "In 90 days"), (365, "In a year")],
        coerce=int,
        empty_value=None,
        required=False,
        label="Expires",
    )
    origins = OriginsField(
        label="Web origins",
        help_text="Web pages that may send with the key, such as https://app.example.com. Ingest only. Blank: none.",
    )

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or {}
        cleaned["origins"] = checked_origins(cleaned.get("origins", ()), cleaned.get("scopes", ()))
        return cleaned
