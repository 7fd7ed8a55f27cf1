"""The audit log: of each project, and of the accounts of the instance."""

from datetime import datetime, timedelta
from typing import Any, ClassVar, Protocol

from catalyst.core.actor import Actor
from catalyst.core.models import AuditEntry, Project, User

SIGN_INS_KEPT = timedelta(days=90)
BATCH = 5_000


class OfProject(Protocol):
    # `audit_name` of the row, or else `str` of it, tells people which one it is.
    pk: Any
    project_id: int
    _meta: ClassVar[Any]


def record(by: Actor, action: str, on: Project | OfProject | User, *, detail: str = "") -> None:
    """Record that `by` did `action`, a past participle such as created or revoked, to `on`.

    Entries on accounts belong to no project. Call it in the transaction of the change.
    """
    AuditEntry.objects.create(
        project_id=_project_of(on),
        actor=by.user,
        api_key=by.api_key,
        actor_name=by.audit_name,
        action=action,
        kind=str(on._meta.verbose_name),
        target_id=on.pk,
        target_name=str(getattr(on, "audit_name", on))[:300],
        detail=detail[:300],
    )


def delete_expired(now: datetime) -> int:
    """Delete a batch of old sign-ins. All other entries are kept."""
    expired = AuditEntry.objects.sign_ins().filter(created_at__lt=now - SIGN_INS_KEPT)
    ids = list(expired.order_by("created_at").values_list("pk", flat=True)[:BATCH])
    deleted, _ = AuditEntry.objects.filter(pk__in=ids).delete()
    return deleted


def _project_of(on: Project | OfProject | User) -> int | None:
    if isinstance(on, User):
        return None
    return on.pk if isinstance(on, Project) else on.project_id
