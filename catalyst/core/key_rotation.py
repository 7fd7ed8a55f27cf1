"""Encrypts all stored secrets with the newest key, so that an old key can be retired."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from django.apps import apps
from django.apps.registry import Apps
from django.conf import settings
from django.db import models
from django.db.models.functions import Cast

from catalyst.core.encrypted import EncryptedTextField, Secret, SecretUnreadable, encrypted_fields, key_id

BATCH_ROWS = 200


@dataclass(frozen=True, slots=True)
class UnreadableSecret:
    """A stored secret for which no key is known."""

    context: str
    pk: Any
    error: str


@dataclass(frozen=True, slots=True)
class Rotation:
    """What a rotation did."""

    reencrypted: int
    unreadable: tuple[UnreadableSecret, ...]


def reencrypt_secrets(registry: Apps = apps) -> Rotation:
    """Encrypt with the newest key what an old one encrypted.

    Each row is a statement of its own and is replaced only if nobody changed it meanwhile. It can be interrupted and
    run again. What can't be decrypted stays as it is.
    """
    reencrypted = 0
    unreadable: list[UnreadableSecret] = []
    for model, field in encrypted_fields(registry):
        for pk, stored in _stale(model, field):
            try:
                text = Secret(stored, field.context).reveal()
            except SecretUnreadable as error:
                unreadable.append(UnreadableSecret(field.context, pk, str(error)))
                continue
            reencrypted += _with_stored(model, field).filter(pk=pk, stored=stored).update(**{field.attname: text})
    return Rotation(reencrypted, tuple(unreadable))


def _stale(model: type[models.Model], field: EncryptedTextField) -> Iterator[tuple[Any, str]]:
    current = f"{key_id(settings.SECRET_KEY)}:"
    rows = _with_stored(model, field).exclude(stored="").exclude(stored__startswith=current).order_by("pk")
    batch = list(rows.values_list("pk", "stored")[:BATCH_ROWS])
    while batch:
        yield from batch
        batch = list(rows.filter(pk__gt=batch[-1][0]).values_list("pk", "stored")[:BATCH_ROWS])


def _with_stored(model: type[models.Model], field: EncryptedTextField) -> models.QuerySet[Any]:
    """All rows with the column as it is stored, which the field itself does not compare."""
    return model._base_manager.annotate(stored=Cast(field.attname, models.TextField()))
