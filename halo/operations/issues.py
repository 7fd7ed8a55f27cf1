"""Operations on issues."""

from operator import attrgetter
from typing import Literal

from pydantic import Field

from catalyst.core.models import User
from catalyst.core.operation_context import Context
from catalyst.operations import Effect, Id, Input, InvalidInput, NewestInput, NotFound, Page, Scope, UtcTime, operation
from catalyst.package import command
from catalyst.pagination import newest_by_id
from halo.issues import sightings, writes
from halo.models import Finding, Issue
from halo.models.issue import IssueQuerySet
from halo.operations.records import IssueRecord, IssueRow
from traces.operations.inputs import agent_of

State = Literal["open", "acknowledged", "fixed", "dismissed", "any"]


class IssueInput(Input):
    issue: Id = Field(description="ID of the issue, as `issues` shows it.")


class ListInput(NewestInput):
    agent: str | None = Field(None, description="Identity of an agent: only its issues.")
    state: State | None = Field(None, description="Only issues in this state (default: open or acknowledged).")


class FixInput(IssueInput):
    at: UtcTime | None = Field(None, description="Since when it should not happen any more, in UTC (default: now).")
    version: str = Field("", description="The version of the service that fixes it.")
    note: str = Field("", description="What fixes it.", json_schema_extra={"contentMediaType": "text/plain"})


class DismissInput(IssueInput):
    why: str = Field(description="Why nothing needs to be done.", json_schema_extra={"contentMediaType": "text/plain"})


class AssignInput(IssueInput):
    to: str | None = Field(None, description="Username of a member of the project (default: nobody).")


class MergeInput(IssueInput):
    into: Id = Field(description="ID of the issue of the same agent that stands for both from then on.")


class SplitInput(Input):
    finding: Id = Field(description="ID of the finding, as `issue` shows it.")


@operation("halo.issues", Scope.READ, Effect.READS)
def list_issues(context: Context, arguments: ListInput) -> Page[IssueRow]:
    """List issues, the newest first: what findings of several reports have in common."""
    found = _in_state(Issue.objects.for_project(context.project).standing(), arguments.state)
    if arguments.agent is not None:
        found = found.filter(agent=agent_of(context, arguments.agent))
    rows = newest_by_id(found.for_list(), arguments.after, arguments.limit)
    return Page.of(sightings.of(rows), arguments.limit, IssueRow.of, attrgetter("issue.pk"))


@operation("halo.issue", Scope.READ, Effect.READS)
def show(context: Context, arguments: IssueInput) -> IssueRecord:
    """Show an issue, and what reports said of it."""
    return _record(context, issue_of(context, arguments.issue))


@operation("halo.issue_acknowledge", Scope.WRITE, Effect.WRITES)
def acknowledge(context: Context, arguments: IssueInput) -> IssueRecord:
    """Say that somebody knows of an issue."""
    issue = issue_of(context, arguments.issue)
    writes.acknowledge(issue, context.now, context.actor)
    return _record(context, issue)


@operation("halo.issue_fix", Scope.WRITE, Effect.WRITES)
def fix(context: Context, arguments: FixInput) -> IssueRecord:
    """Say that an issue is fixed. A report that finds it in later traces reopens it."""
    issue, about = issue_of(context, arguments.issue), {"version": arguments.version, "note": arguments.note}
    writes.fix(issue, context.now, context.actor, at=arguments.at or context.now, **about)
    return _record(context, issue)


@operation("halo.issue_dismiss", Scope.WRITE, Effect.WRITES)
def dismiss(context: Context, arguments: DismissInput) -> IssueRecord:
    """Say that nothing needs to be done about an issue, however often reports find it."""
    issue = issue_of(context, arguments.issue)
    writes.dismiss(issue, context.now, context.actor, why=arguments.why)
    return _record(context, issue)


@operation("halo.issue_reopen", Scope.WRITE, Effect.WRITES)
def reopen(context: Context, arguments: IssueInput) -> IssueRecord:
    """Open an issue again."""
    issue = issue_of(context, arguments.issue)
    writes.reopen(issue, context.now, context.actor)
    return _record(context, issue)


@operation("halo.issue_assign", Scope.WRITE, Effect.WRITES)
def assign(context: Context, arguments: AssignInput) -> IssueRecord:
    """Let a member of the project look after an issue."""
    issue = issue_of(context, arguments.issue)
    writes.assign(issue, _member(context, arguments.to), context.actor)
    return _record(context, issue)


@operation("halo.issue_merge", Scope.WRITE, Effect.WRITES)
def merge(context: Context, arguments: MergeInput) -> IssueRecord:
    """Move the findings of an issue to another one, which stands for both from then on."""
    issue, into = issue_of(context, arguments.issue), issue_of(context, arguments.into)
    writes.merge(issue, into, context.actor)
    return _record(context, into)


@operation("halo.issue_split", Scope.WRITE, Effect.WRITES)
def split(context: Context, arguments: SplitInput) -> IssueRecord:
    """Make an issue of its own of a finding."""
    found = Finding.objects.filter(project=context.project, pk=arguments.finding).select_related("issue", "run")
    finding = found.first()
    if finding is None:
        raise NotFound(f"The project {context.project.slug} has no finding {arguments.finding}.")
    return _record(context, writes.split(finding, context.now, context.actor))


def issue_of(context: Context, pk: int) -> Issue:
    """Raises NotFound."""
    found = Issue.objects.for_project(context.project).for_list().filter(pk=pk).first()
    if found is None:
        raise NotFound(f"The project {context.project.slug} has no issue {pk}. See {command('halo issues')}.")
    return found


def _in_state(issues: IssueQuerySet, state: State | None) -> IssueQuerySet:
    if state is None:
        return issues.open()
    return issues if state == "any" else issues.filter(state=state)


def _member(context: Context, username: str | None) -> User | None:
    if not username:
        return None
    found = User.objects.filter(memberships__project=context.project, username=username).first()
    if found is None:
        raise InvalidInput({"to": f"{username} is no member of this project."})
    return found


def _record(context: Context, issue: Issue) -> IssueRecord:
    (seen,) = sightings.of([issue_of(context, issue.pk)])
    return IssueRecord.of(seen)
