"""Who calls an operation, in which project, when, and what they may do."""

from dataclasses import dataclass
from datetime import datetime

from catalyst.core.actor import SYSTEM, Actor
from catalyst.core.models import ApiKey, Membership, Project
from catalyst.operations import Scope

ALL_SCOPES = frozenset(Scope)


@dataclass(frozen=True, slots=True)
class Context:
    """The caller of an operation. Every query of the operation is scoped to `project`."""

    project: Project
    actor: Actor
    now: datetime
    scopes: frozenset[str]


def for_system(project: Project, now: datetime) -> Context:
    """An operator at the command line, who may do everything."""
    return Context(project, SYSTEM, now, ALL_SCOPES)


def for_member(membership: Membership, now: datetime) -> Context:
    """A person, who may do what the pages allow."""
    scopes = {Scope.READ}
    if membership.can_edit:
        scopes |= {Scope.WRITE, Scope.KEYS}
    if membership.is_owner:
        scopes.add(Scope.ADMIN)
    return Context(membership.project, Actor(membership.user), now, frozenset(scopes))


def for_key(key: ApiKey, now: datetime) -> Context:
    """A machine. A key can't create another key or decide who is a member."""
    scopes = {Scope.READ, Scope.WRITE} & set(key.scopes)
    return Context(key.project, Actor(api_key=key), now, frozenset(scopes))
