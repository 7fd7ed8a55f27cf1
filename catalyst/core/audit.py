"""The audit log."""

from typing import Any, ClassVar, Protocol

from catalyst.core.actor import Actor
from catalyst.core.models import AuditEntry, Project


class OfProject(Protocol):
    # `str` of the row names it for people.
    pk: Any
    project_id: int
    _meta: ClassVar[Any]


def record(by: Actor, action: str, on: Project | OfProject, *, detail: str = "") -> None:
    """Record that `by` did `action`, a past participle such as created or revoked, to `on`.

    Call it in the transaction of the change.
    """
    AuditEntry.objects.create(
        project_id=on.pk if isinstance(on, Project) else on.project_id,
        actor=by.user,
        api_key=by.api_key,
        actor_name=by.name,
        action=action,
        kind=str(on._meta.verbose_name),
        target_id=on.pk,
        target_name=str(on)[:300],
        detail=detail[:300],
    )
