"""Re-encryption of stored secrets with the current key."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from django.apps import apps
from django.apps.registry import Apps
from django.conf import settings
from django.db import models
from django.db.models.functions import Cast

from catalyst.core.encrypted_fields import EncryptedTextField, Secret, SecretUnreadable, encrypted_fields, key_id

BATCH_ROWS = 200


@dataclass(frozen=True, slots=True)
class UnreadableSecret:
    context: str
    pk: Any
    error: str


@dataclass(frozen=True, slots=True)
class Rotation:
    reencrypted: int
    unreadable: tuple[UnreadableSecret, ...]


def reencrypt_secrets(registry: Apps = apps) -> Rotation:
    """Re-encrypt secrets of old keys with the current key. Safe to interrupt and repeat.

    Each row is one statement that skips concurrent changes. Unreadable secrets stay as they are.
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
    # Lookups of the field itself can't compare the stored text.
    return model._base_manager.annotate(stored=Cast(field.attname, models.TextField()))
