"""Callers of operations."""

from dataclasses import dataclass
from datetime import datetime

from catalyst.core.actor import SYSTEM, Actor
from catalyst.core.models import ApiKey, Membership, Project, User
from catalyst.operations import Scope

# Operators at the command line may do everything.
ALL_SCOPES = frozenset(Scope)


@dataclass(frozen=True, slots=True)
class Context:
    """Every query must be scoped to `project`."""

    project: Project
    actor: Actor
    now: datetime
    scopes: frozenset[str]


@dataclass(frozen=True, slots=True)
class InstanceContext:
    """A caller outside of any project."""

    actor: Actor
    now: datetime
    scopes: frozenset[str]


def for_operator(now: datetime) -> InstanceContext:
    return InstanceContext(SYSTEM, now, ALL_SCOPES)


def for_person(user: User, now: datetime) -> InstanceContext:
    scopes = {Scope.READ, Scope.WRITE} if user.may_create_projects else {Scope.READ}
    return InstanceContext(Actor(user), now, frozenset(scopes))


def for_system(project: Project, now: datetime) -> Context:
    return Context(project, SYSTEM, now, ALL_SCOPES)


def for_member(membership: Membership, now: datetime) -> Context:
    scopes = {Scope.READ}
    if membership.can_edit:
        scopes |= {Scope.WRITE, Scope.KEYS}
    if membership.is_owner:
        scopes.add(Scope.ADMIN)
    return Context(membership.project, Actor(membership.user), now, frozenset(scopes))


def for_key(key: ApiKey, now: datetime) -> Context:
    # A key can neither create other keys nor manage members.
    scopes = {Scope.READ, Scope.WRITE} & set(key.scopes)
    return Context(key.project, Actor(api_key=key), now, frozenset(scopes))
