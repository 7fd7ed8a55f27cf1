"""Writes on projects, members and keys, with their rules and audit entries.

Violated rules raise `django.core.exceptions.ValidationError` with text for people.
"""

import re
import secrets
from collections.abc import Sequence
from datetime import datetime, timedelta
from itertools import chain, count

from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import QuerySet
from django.utils.text import slugify

from catalyst.core import api_keys, login_links, sign_ins
from catalyst.core.actor import Actor
from catalyst.core.audit import record
from catalyst.core.models import ApiKey, Invitation, Membership, Project, User, digest_of
from catalyst.core.origins import checked_origins, origin_cache

INVITATION_LIFETIME = timedelta(days=7)
MAX_SLUG_CHARACTERS = 60
FIRST_KEY = "First trace"


@transaction.atomic
def create_project(*, name: str, owner: User) -> Project:
    """Raises ValidationError if the owner has a project of this name."""
    _check_name(name, User.objects.filter(pk=owner.pk))
    project = Project.objects.create(name=name, slug=_free_slug(name))
    Membership.objects.create(project=project, user=owner, role=Membership.Role.OWNER)
    record(Actor(owner), "created", project)
    return project


@transaction.atomic
def rename_project(project: Project, *, name: str, by: Actor) -> None:
    """Raises ValidationError if the person, or else an owner, has another project of this name."""
    # The slug stays, so that links and agents keep working.
    before = Project.objects.select_for_update(no_key=True).get(pk=project.pk).name
    if before == name:
        return
    check_rename(project, name=name, by=by)
    project.name = name
    project.save(update_fields=["name"])
    record(by, "renamed", project, detail=f"from {before}")


def check_rename(project: Project, *, name: str, by: Actor) -> None:
    """Raise the ValidationError of `rename_project`. Call it in a transaction."""
    _check_name(name, _people_of(project, by), project)


def _people_of(project: Project, by: Actor) -> QuerySet[User]:
    # A person is told nothing of the projects of others. Operators and Catalyst are no members.
    members = User.objects.filter(memberships__project=project)
    if by.user is not None and members.filter(pk=by.user.pk).exists():
        return User.objects.filter(pk=by.user.pk)
    return members.filter(memberships__role=Membership.Role.OWNER)


def _check_name(name: str, people: QuerySet[User], project: Project | None = None) -> None:
    # The lists of these people must not show two projects of one name. Two requests at once take turns.
    locked = User.objects.filter(pk__in=people.values("pk")).select_for_update(no_key=True)
    ids = list(locked.order_by("pk").values_list("pk", flat=True))
    same = Project.objects.filter(memberships__user__in=ids, name__iexact=name)
    if same.exclude(pk=project.pk if project else 0).exists():
        raise ValidationError({"name": "There is already a project with this name"})


@transaction.atomic
def set_retention(project: Project, *, days: int | None, by: Actor) -> None:
    """None keeps the instance's days. Older traces are deleted within minutes."""
    before = Project.objects.select_for_update(no_key=True).get(pk=project.pk).retention_days
    if before == days:
        return
    project.retention_days = days
    project.save(update_fields=["retention_days"])
    record(by, "changed", project, detail=f"retention from {_days(before)} to {_days(days)}")


def _days(days: int | None) -> str:
    return f"{days} days" if days else "the instance's"


@transaction.atomic
def add_member(project: Project, *, user: User, role: str, by: Actor) -> Membership:
    membership = Membership.objects.create(project=project, user=user, role=role)
    record(by, "added", membership)
    return membership


@transaction.atomic
def change_role(membership: Membership, *, role: str, by: Actor) -> None:
    """Raises ValidationError for the last owner."""
    if role not in Membership.Role.values:
        raise ValidationError("A role is owner, member or viewer.")
    locked = _locked(membership)
    if locked.role == role:
        return
    if role != Membership.Role.OWNER:
        _check_not_last_owner(locked)
    before, locked.role = locked.role, role
    locked.save(update_fields=["role"])
    record(by, "changed", locked, detail=f"from {before} to {role}")


@transaction.atomic
def remove_member(membership: Membership, *, by: Actor) -> None:
    """Raises ValidationError for the last owner."""
    locked = _locked(membership)
    _check_not_last_owner(locked)
    record(by, "removed", locked)
    locked.delete()


@transaction.atomic
def invite(project: Project, *, role: str, by: Actor, now: datetime) -> tuple[Invitation, str]:
    """Return the token, too, which is not stored."""
    token = secrets.token_urlsafe(24)
    invitation = Invitation.objects.create(
        project=project,
        role=role,
        digest=digest_of(token),
        expires_at=now + INVITATION_LIFETIME,
        **by.as_creator(),
    )
    record(by, "created", invitation)
    return invitation, token


@transaction.atomic
def revoke_invitation(invitation: Invitation, *, by: Actor, now: datetime) -> None:
    if Invitation.objects.open(now).filter(pk=invitation.pk).update(revoked_at=now):
        record(by, "revoked", invitation)


def find_invitation(token: str, now: datetime) -> Invitation | None:
    return Invitation.objects.open(now).select_related("project").filter(digest=digest_of(token)).first()


@transaction.atomic
def accept_invitation(invitation: Invitation, *, user: User, now: datetime) -> None:
    """Raises ValidationError unless it is open. For a member, nothing changes."""
    if Membership.objects.filter(project=invitation.project_id, user=user).exists():
        return
    accepted = Invitation.objects.open(now).filter(pk=invitation.pk).update(accepted_by=user, accepted_at=now)
    if not accepted:
        raise ValidationError("This invitation no longer works. Ask for a new one.")
    Membership.objects.create(project=invitation.project, user=user, role=invitation.role)
    creator = invitation.created_by_name
    record(Actor(user), "accepted", invitation, detail=f"made by {creator}" if creator else "")


@transaction.atomic
def sign_up(invitation: Invitation, *, username: str, password: str, now: datetime) -> User:
    user = User.objects.create_user(username, password=password)
    record(Actor(user), "created", user, detail="with an invitation")
    accept_invitation(invitation, user=user, now=now)
    return user


@transaction.atomic
def create_key(
    project: Project,
    *,
    name: str,
    scopes: Sequence[str],
    by: Actor,
    expires_at: datetime | None = None,
    origins: Sequence[str] = (),
) -> tuple[ApiKey, str]:
    """Return the row and the key, which is not stored. Raises ValidationError for wrong origins."""
    row, key = ApiKey.issue(
        project=project,
        name=name,
        scopes=list(scopes),
        expires_at=expires_at,
        origins=checked_origins(origins, scopes),
        **by.as_creator(),
    )
    until = f" until {expires_at:%Y-%m-%d %H:%M} UTC" if expires_at else ""
    of = f" from {', '.join(row.origins)}" if row.origins else ""
    record(by, "created", row, detail=f"for {', '.join(scopes)}{until}{of}")
    transaction.on_commit(origin_cache.clear)
    return row, key


@transaction.atomic
def create_first_key(project: Project, *, by: Actor) -> tuple[ApiKey, str, bool]:
    """A key of the page that waits for the first trace. It replaces one of that page that nothing has used.

    Return the row, the key, which is not stored, and whether it replaces one.
    """
    # People who press the button at the same time take turns.
    Project.objects.select_for_update(no_key=True).get(pk=project.pk)
    named = project.api_keys.filter(name__regex=rf"^{FIRST_KEY}( \d+)?$", revoked_at=None)
    unused = list(named.filter(last_used_at=None))
    for key in unused:
        record(by, "replaced", key)
        key.delete()
    taken = set(named.values_list("name", flat=True))
    names = chain([FIRST_KEY], (f"{FIRST_KEY} {number}" for number in count(2)))
    name = next(name for name in names if name not in taken)
    row, secret = create_key(project, name=name, scopes=[ApiKey.Scope.INGEST], by=by)
    return row, secret, bool(unused)


@transaction.atomic
def revoke_key(key: ApiKey, *, by: Actor, now: datetime) -> bool:
    """Return False if already revoked."""
    revoked = bool(ApiKey.objects.filter(pk=key.pk).revoke(now))
    if revoked:
        record(by, "revoked", key)
        transaction.on_commit(api_keys.key_cache.clear)
        transaction.on_commit(origin_cache.clear)
    return revoked


@transaction.atomic
def set_key_origins(key: ApiKey, *, origins: Sequence[str], by: Actor) -> None:
    """The web pages that may send with the key. Raises ValidationError."""
    checked = checked_origins(origins, key.scopes)
    if key.origins == checked:
        return
    ApiKey.objects.filter(pk=key.pk).update(origins=checked)
    record(by, "changed", key, detail=f"origins to {', '.join(checked) or 'none'}")
    transaction.on_commit(api_keys.key_cache.clear)
    transaction.on_commit(origin_cache.clear)


@transaction.atomic
def limit_key(key: ApiKey, *, requests: int | None, spans: int | None, by: Actor) -> None:
    """Limits per second. None is the instance's."""
    if (key.requests_per_second, key.spans_per_second) == (requests, spans):
        return
    ApiKey.objects.filter(pk=key.pk).limit(requests, spans)
    limits = (f"{rate} {name} per second" for name, rate in (("requests", requests), ("spans", spans)) if rate)
    record(by, "limited", key, detail=", ".join(limits) or "to what the instance allows")
    transaction.on_commit(api_keys.key_cache.clear)


def update_profile(user: User, *, first_name: str, last_name: str, email: str) -> None:
    user.first_name, user.last_name, user.email = first_name, last_name, email
    user.save(update_fields=["first_name", "last_name", "email"])


@transaction.atomic
def set_password(user: User, *, password: str) -> None:
    # Ends all sessions, except one whose auth hash is updated.
    user.set_password(password)
    user.save(update_fields=["password"])
    record(Actor(user), "changed the password of", user)


@transaction.atomic
def sign_out_elsewhere(user: User, session_key: str | None) -> int:
    """End the user's sessions except `session_key` and return how many."""
    count = sign_ins.sign_out_elsewhere(user, session_key)
    record(Actor(user), "signed out other browsers of", user, detail=str(count))
    return count


@transaction.atomic
def make_login_link(user: User, *, by: Actor, now: datetime) -> str:
    """Return the path of a link that signs the user in once."""
    record(by, "made a login link for", user)
    return login_links.path(user, now)


def _locked(membership: Membership) -> Membership:
    Project.objects.select_for_update(no_key=True).get(pk=membership.project_id)
    return Membership.objects.select_related("user", "project").get(pk=membership.pk)


def _check_not_last_owner(membership: Membership) -> None:
    if not membership.is_owner:
        return
    others = Membership.objects.owners().filter(project=membership.project_id).exclude(pk=membership.pk)
    if not others.exists():
        raise ValidationError(f"{membership.user} is the last owner. Make somebody else an owner first.")


def _free_slug(name: str) -> str:
    # Words stay apart, whatever is between them.
    words = re.sub(r"[^\w\s-]", " ", name)
    base = slugify(words)[: MAX_SLUG_CHARACTERS - 4].strip("-") or f"project-{digest_of(name)[:6]}"
    used_slugs = set(Project.objects.filter(slug__startswith=base).values_list("slug", flat=True))
    candidates = [base, *(f"{base}-{number}" for number in range(2, len(used_slugs) + 3))]
    return next(slug for slug in candidates if slug not in used_slugs)
