"""A model field for secrets that users enter, such as API keys and webhook URLs (docs/adr/0015)."""

from base64 import urlsafe_b64encode
from functools import cache
from typing import Any, Self

from cryptography.fernet import Fernet, InvalidToken
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from django import forms
from django.apps import apps
from django.apps.registry import Apps
from django.conf import settings
from django.core import checks
from django.core.exceptions import FieldError, ValidationError
from django.db import models
from django.db.models.lookups import Exact
from django.db.models.query_utils import DeferredAttribute

MASK = "••••••••"


class SecretUnreadable(Exception):
    """A stored secret can't be decrypted. The text is for people."""


class Secret:
    """Text that stays encrypted in memory until `reveal`. False if empty."""

    __slots__ = ("context", "stored")

    def __init__(self, stored: str, context: str) -> None:
        self.stored = stored
        self.context = context

    @classmethod
    def encrypt(cls, text: str, context: str) -> Self:
        """Encrypt with the current key. Empty text stays empty."""
        if not text:
            return cls("", context)
        key = settings.SECRET_KEY
        return cls(f"{key_id(key)}:{_fernet(key, context).encrypt(text.encode()).decode()}", context)

    def reveal(self) -> str:
        """Raises SecretUnreadable."""
        if not self.stored:
            return ""
        stored_id, _, token = self.stored.partition(":")
        key = next((key for key in _keys() if key_id(key) == stored_id), None)
        if key is None:
            raise SecretUnreadable(
                f"The secret in {self.context} can't be decrypted: it was encrypted with another CATALYST_SECRET_KEY. "
                "Add that key to CATALYST_OLD_SECRET_KEYS, or enter the secret again."
            )
        try:
            return _fernet(key, self.context).decrypt(token).decode()
        except (InvalidToken, ValueError) as error:
            raise SecretUnreadable(
                f"The secret in {self.context} can't be decrypted: the stored value was changed or moved here from "
                "another column. Enter the secret again."
            ) from error

    # Keeps templates from calling it.
    reveal.alters_data = True  # type: ignore[attr-defined]

    def __bool__(self) -> bool:
        return bool(self.stored)

    def __str__(self) -> str:
        return MASK if self.stored else ""

    def __repr__(self) -> str:
        return f"<Secret {self.context}: {'set' if self.stored else 'empty'}>"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and (self.stored, self.context) == (other.stored, other.context)

    def __hash__(self) -> int:
        return hash((self.stored, self.context))


@cache
def key_id(key: str) -> str:
    """Return the prefix of stored values that identifies their key."""
    return _derive(key, "key id").hex()[:8]


@cache
def _fernet(key: str, context: str) -> Fernet:
    # A key for each column: a value that is copied to another column can't be decrypted there.
    return Fernet(urlsafe_b64encode(_derive(key, f"column {context}")))


def _derive(key: str, purpose: str) -> bytes:
    info = f"catalyst.core.encrypted_fields: {purpose}".encode()
    return HKDF(algorithm=SHA256(), length=32, salt=None, info=info).derive(key.encode())


def _keys() -> list[str]:
    return [settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS]


class SecretInput(forms.PasswordInput):
    """An input that never contains the stored secret."""

    def __init__(self, attrs: dict[str, Any] | None = None) -> None:
        super().__init__({"autocomplete": "new-password"} | (attrs or {}), render_value=False)

    def get_context(self, name: str, value: Any, attrs: dict[str, Any] | None) -> dict[str, Any]:
        context = super().get_context(name, value, attrs)
        if isinstance(value, Secret) and value:
            context["widget"]["attrs"]["placeholder"] = "Stored. Leave empty to keep it."
        return context

    def use_required_attribute(self, initial: Any) -> bool:
        return not initial and super().use_required_attribute(initial)


class SecretField(forms.CharField):
    """A form field whose empty input keeps the stored secret."""

    widget = SecretInput

    def bound_data(self, data: Any, initial: Any) -> Any:
        # The widget shows whether a secret is stored, not what was typed.
        return initial

    def has_changed(self, initial: Any, data: Any) -> bool:
        return bool(data)

    def _clean_bound_field(self, bound: forms.BoundField) -> Any:
        # Django's hook for fields whose empty input means "keep", as for files.
        has_secret = isinstance(bound.initial, Secret) and bool(bound.initial)
        return bound.initial if self.disabled or (has_secret and not bound.data) else self.clean(bound.data)


class _SecretAttribute(DeferredAttribute):
    field: "EncryptedTextField"

    def __set__(self, instance: models.Model, value: Any) -> None:
        instance.__dict__[self.field.attname] = self.field.to_python(value)


class _IsEmpty(Exact):
    def get_prep_lookup(self) -> str:
        if self.rhs != "":
            raise FieldError("Encrypted fields can only be compared with an empty text.")
        return ""


class EncryptedTextField(models.Field[Secret | str, Secret]):
    """Text that is encrypted in the database. The attribute returns a `Secret`.

    `context`, for example "alerts.channel.token", is part of the encryption key. Never change it, even if the table or
    column is renamed.
    """

    descriptor_class = _SecretAttribute

    def __init__(self, *args: Any, context: str = "", **kwargs: Any) -> None:
        self.context = context
        super().__init__(*args, **kwargs)

    def deconstruct(self) -> Any:
        name, path, args, kwargs = super().deconstruct()
        return name, path, args, {**kwargs, "context": self.context}

    def check(self, **kwargs: Any) -> list[checks.CheckMessage]:
        problems = super().check(**kwargs)
        if not self.context:
            problems.append(checks.Error("An encrypted field needs a context.", obj=self, id="catalyst.E007"))
        sharing = [field for _, field in encrypted_fields(self.model._meta.apps) if field.context == self.context]
        if len(sharing) > 1:
            # Their values could be swapped.
            problems.append(checks.Error("Another encrypted field has this context.", obj=self, id="catalyst.E006"))
        if self.null or self.unique:
            problems.append(checks.Error("An encrypted field can't be null or unique.", obj=self, id="catalyst.E008"))
        return problems

    def get_internal_type(self) -> str:
        return "TextField"

    def to_python(self, value: Any) -> Any:
        if value is None or (isinstance(value, Secret) and value.context == self.context):
            return value
        if not isinstance(value, Secret | str):
            raise TypeError(f"The secret in {self.context} must be text, not {type(value).__name__}.")
        return Secret.encrypt(value.reveal() if isinstance(value, Secret) else value, self.context)

    def from_db_value(self, value: str | None, *_: Any) -> Secret | None:
        return None if value is None else Secret(value, self.context)

    def get_prep_value(self, value: Any) -> Any:
        secret = self.to_python(super().get_prep_value(value))
        return None if secret is None else secret.stored

    def validate(self, value: Any, model_instance: models.Model | None) -> None:
        if not value and not self.blank:
            raise ValidationError(self.error_messages["blank"], code="blank")

    def get_lookup(self, lookup_name: str) -> Any:
        # Each encryption of the same text differs, so a comparison would silently find nothing.
        return {"exact": _IsEmpty, "isnull": super().get_lookup("isnull")}.get(lookup_name)

    def value_to_string(self, obj: models.Model) -> str:
        # Keeps secrets out of serialized data.
        return ""

    def formfield(self, **kwargs: Any) -> Any:
        return super().formfield(**{"form_class": SecretField, **kwargs})


def encrypted_fields(registry: Apps = apps) -> list[tuple[type[models.Model], EncryptedTextField]]:
    return [
        (model, field)
        for model in registry.get_models(include_auto_created=True)
        for field in model._meta.local_concrete_fields
        if isinstance(field, EncryptedTextField)
    ]
