"""The audit log: who changed what, when."""

from typing import Any, ClassVar, Protocol

from catalyst.core.actor import Actor
from catalyst.core.models import AuditEntry, Project


class OfProject(Protocol):
    """A row that belongs to a project, whose text names it for people."""

    pk: Any
    project_id: int
    _meta: ClassVar[Any]


def record(by: Actor, action: str, on: Project | OfProject, *, detail: str = "") -> None:
    """Note that `by` did `action` (a verb in the past: created, revoked) to `on`.

    Call it in the transaction of the change, so that neither is without the other.
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
