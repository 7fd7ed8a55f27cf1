"""Operations on projects, members, invitations and audit log."""

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated

from django.conf import settings
from pydantic import Field

from catalyst.core import operations
from catalyst.core.models import AuditEntry, Invitation, Membership, Project, User
from catalyst.core.operation_context import Context, InstanceContext
from catalyst.operations import Effect, Id, Input, InvalidInput, Limit, NewestInput, NotFound, Page, Scope, operation
from catalyst.pagination import newest_by_id

MAX_NAME_CHARACTERS = 100

Name = Annotated[str, Field(min_length=1, max_length=MAX_NAME_CHARACTERS)]


@dataclass(frozen=True, slots=True)
class ProjectRecord:
    id: str
    slug: str
    name: str
    # Days that spans, traces and sessions are kept.
    retention_days: int
    created_at: datetime

    @classmethod
    def of(cls, project: Project) -> "ProjectRecord":
        return cls(str(project.pk), project.slug, project.name, project.kept_days, project.created_at)


@operation("project.show", Scope.READ, Effect.READS)
def show(context: Context, _arguments: Input) -> ProjectRecord:
    """Show a project."""
    return ProjectRecord.of(context.project)


class ProjectsInput(Input):
    limit: Limit = 100
    after: str | None = Field(None, description="Continue a list: `next` of the page before.")


@operation("project.list", Scope.READ, Effect.READS)
def list_projects(context: InstanceContext, arguments: ProjectsInput) -> Page[ProjectRecord]:
    """List the projects that you are a member of; for an operator, all of them."""
    user = context.actor.user
    known = Project.objects.all() if user is None else user.projects.all()
    if arguments.after is not None:
        known = known.filter(slug__gt=arguments.after)
    projects = list(known.order_by("slug")[: arguments.limit + 1])
    return Page.of(projects, arguments.limit, ProjectRecord.of, lambda project: project.slug)


class CreateInput(Input):
    name: Name = Field(description="Name of the project.")
    owner: str | None = Field(None, description="Username of the owner (default: you). An operator must name one.")


@operation("project.create", Scope.WRITE, Effect.WRITES)
def create(context: InstanceContext, arguments: CreateInput) -> ProjectRecord:
    """Create a project with its owner."""
    return ProjectRecord.of(operations.create_project(name=_stripped(arguments.name), owner=_owner(context, arguments)))


def _owner(context: InstanceContext, arguments: CreateInput) -> User:
    person = context.actor.user
    if person is not None:
        if arguments.owner not in {None, person.username}:
            raise InvalidInput({"owner": "You can create projects for yourself only. Leave this out."})
        return person
    if arguments.owner is None:
        raise InvalidInput({"owner": "Name the person who will own the project."})
    owner = User.objects.filter(username=arguments.owner, is_active=True).first()
    if owner is None:
        raise InvalidInput({"owner": f"Nobody called {arguments.owner} can sign in here."})
    return owner


def _stripped(name: str) -> str:
    name = name.strip()
    if not name:
        raise InvalidInput({"name": "This is required."})
    return name


class RenameInput(Input):
    name: Name = Field(description="The new name.")


@operation("project.rename", Scope.ADMIN, Effect.WRITES)
def rename(context: Context, arguments: RenameInput) -> ProjectRecord:
    """Rename a project. Its slug stays."""
    operations.rename_project(context.project, name=_stripped(arguments.name), by=context.actor)
    return ProjectRecord.of(context.project)


class RetentionInput(Input):
    days: Annotated[int, Field(ge=1)] | None = Field(None, description="Days (default: as long as the instance keeps).")


@operation("project.retention", Scope.ADMIN, Effect.WRITES)
def set_retention(context: Context, arguments: RetentionInput) -> ProjectRecord:
    """Set how long traces are kept. Older ones are deleted within minutes, for good."""
    if arguments.days is not None and arguments.days > settings.RETENTION_DAYS:
        raise InvalidInput({"days": f"The instance keeps traces for {settings.RETENTION_DAYS} days."})
    operations.set_retention(context.project, days=arguments.days, by=context.actor)
    return ProjectRecord.of(context.project)


@dataclass(frozen=True, slots=True)
class MemberRecord:
    id: str
    username: str
    role: str
    name: str
    email: str

    @classmethod
    def of(cls, membership: Membership) -> "MemberRecord":
        user = membership.user
        return cls(str(membership.pk), user.username, membership.role, user.get_full_name(), user.email)


class MemberInput(Input):
    member: Id = Field(description="ID of the member, as `list` shows it.")


class RoleInput(MemberInput):
    role: Membership.Role = Field(description="The new role.")


@operation("members.list", Scope.READ, Effect.READS)
def list_members(context: Context, arguments: NewestInput) -> Page[MemberRecord]:
    """List the members of a project, newest first."""
    memberships = newest_by_id(context.project.memberships.for_list(), arguments.after, arguments.limit)
    return Page.of(memberships, arguments.limit, MemberRecord.of, lambda membership: membership.pk)


@operation("members.role", Scope.ADMIN, Effect.WRITES)
def change_role(context: Context, arguments: RoleInput) -> MemberRecord:
    """Give a member another role. The last owner stays one."""
    membership = _membership_of(context, arguments)
    operations.change_role(membership, role=arguments.role, by=context.actor)
    return MemberRecord.of(_membership_of(context, arguments))


@operation("members.remove", Scope.ADMIN, Effect.WRITES)
def remove_member(context: Context, arguments: MemberInput) -> MemberRecord:
    """Remove a member from a project. The last owner stays."""
    membership = _membership_of(context, arguments)
    removed = MemberRecord.of(membership)
    operations.remove_member(membership, by=context.actor)
    return removed


def _membership_of(context: Context, arguments: MemberInput) -> Membership:
    membership = context.project.memberships.for_list().filter(pk=arguments.member).first()
    if membership is None:
        raise NotFound(f"The project {context.project.slug} has no member {arguments.member}.")
    return membership


@dataclass(frozen=True, slots=True)
class InvitationRecord:
    id: str
    role: str
    created_by_name: str
    created_at: datetime
    expires_at: datetime
    # Set only on creation.
    token: str | None = None

    @classmethod
    def of(cls, invitation: Invitation, token: str | None = None) -> "InvitationRecord":
        return cls(
            id=str(invitation.pk),
            role=invitation.role,
            created_by_name=invitation.created_by_name,
            created_at=invitation.created_at,
            expires_at=invitation.expires_at,
            token=token,
        )


class InviteInput(Input):
    role: Membership.Role = Field(Membership.Role.MEMBER, description="Role of the new member.")


class InvitationInput(Input):
    invitation: Id = Field(description="ID of the invitation, as `list` shows it.")


@operation("invitations.list", Scope.ADMIN, Effect.READS)
def list_invitations(context: Context, arguments: NewestInput) -> Page[InvitationRecord]:
    """List open invitations, newest first."""
    found = newest_by_id(context.project.invitations.open(context.now), arguments.after, arguments.limit)
    return Page.of(found, arguments.limit, InvitationRecord.of, lambda invitation: invitation.pk)


@operation("invitations.create", Scope.ADMIN, Effect.WRITES)
def invite(context: Context, arguments: InviteInput) -> InvitationRecord:
    """Create an invitation that works once. Its token is shown this once."""
    invitation, token = operations.invite(context.project, role=arguments.role, by=context.actor, now=context.now)
    return InvitationRecord.of(invitation, token)


@operation("invitations.revoke", Scope.ADMIN, Effect.WRITES)
def revoke_invitation(context: Context, arguments: InvitationInput) -> InvitationRecord:
    """Revoke an open invitation."""
    invitation = context.project.invitations.filter(pk=arguments.invitation).first()
    if invitation is None:
        raise NotFound(f"The project {context.project.slug} has no invitation {arguments.invitation}.")
    operations.revoke_invitation(invitation, by=context.actor, now=context.now)
    return InvitationRecord.of(invitation)


@dataclass(frozen=True, slots=True)
class AuditRecord:
    id: str
    created_at: datetime
    actor: str
    action: str
    kind: str
    target: str
    detail: str

    @classmethod
    def of(cls, entry: AuditEntry) -> "AuditRecord":
        columns = (entry.actor_name, entry.action, entry.kind, entry.target_name, entry.detail)
        return cls(str(entry.pk), entry.created_at, *columns)


@operation("audit.list", Scope.ADMIN, Effect.READS)
def list_audit(context: Context, arguments: NewestInput) -> Page[AuditRecord]:
    """List who changed what, newest first."""
    entries = list(context.project.audit_entries.newest(arguments.after)[: arguments.limit + 1])
    return Page.of(entries, arguments.limit, AuditRecord.of, lambda entry: entry.pk)
