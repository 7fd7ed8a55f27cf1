"""What people do with issues, with its rules and audit entries.

Violated rules raise `django.core.exceptions.ValidationError` by field, with text for people.
"""

from datetime import datetime
from typing import Any

from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import Max, Min

from catalyst.core.actor import SYSTEM, Actor
from catalyst.core.audit import record
from catalyst.core.models import Membership, User
from halo.choices import IssueState
from halo.issues.recognition import lock
from halo.models import Finding, Issue
from halo.models.issue import MAX_NOTE_CHARACTERS, MAX_VERSION_CHARACTERS

NOT_FIXED: dict[str, Any] = {"fixed_at": None, "fixed_version": ""}


@transaction.atomic
def acknowledge(issue: Issue, now: datetime, by: Actor = SYSTEM) -> None:
    """Say that somebody knows of it. Nothing happens to one that is acknowledged."""
    locked = _locked(issue)
    if not locked.is_open:
        raise ValidationError(f"This issue is {locked.state}. Reopen it first.")
    if locked.state != IssueState.ACKNOWLEDGED:
        _set_state(locked, IssueState.ACKNOWLEDGED, now, by)
        record(by, "acknowledged", locked)
    _copy(issue, locked)


@transaction.atomic
def fix(issue: Issue, now: datetime, by: Actor = SYSTEM, *, at: datetime, version: str = "", note: str = "") -> None:
    """Say since when it should not happen any more. A report that finds it after that reopens it."""
    errors = _too_long("version", version, MAX_VERSION_CHARACTERS) | _too_long("note", note, MAX_NOTE_CHARACTERS)
    if at > now:
        errors["at"] = "Enter a time that is not in the future."
    if errors:
        raise ValidationError(errors)
    locked = _locked(issue)
    about = {"note": note.strip(), "fixed_at": at, "fixed_version": version.strip()}
    _set_state(locked, IssueState.FIXED, now, by, **about)
    record(by, "fixed", locked, detail=", ".join(filter(None, (version.strip(), f"since {at:%Y-%m-%d %H:%M} UTC"))))
    _copy(issue, locked)


@transaction.atomic
def dismiss(issue: Issue, now: datetime, by: Actor = SYSTEM, *, why: str) -> None:
    """Say that nothing needs to be done. It stays dismissed however often reports find it."""
    errors = _too_long("why", why, MAX_NOTE_CHARACTERS)
    if not why.strip():
        errors["why"] = "Say why, for those who find it again."
    if errors:
        raise ValidationError(errors)
    locked = _locked(issue)
    _set_state(locked, IssueState.DISMISSED, now, by, note=why.strip(), **NOT_FIXED)
    record(by, "dismissed", locked, detail=why.strip())
    _copy(issue, locked)


@transaction.atomic
def reopen(issue: Issue, now: datetime, by: Actor = SYSTEM) -> None:
    """Open it again. Nothing happens to one that is open."""
    locked = _locked(issue)
    if locked.state != IssueState.OPEN:
        count = locked.reopened_count + (0 if locked.is_open else 1)
        _set_state(locked, IssueState.OPEN, now, by, note="", reopened_count=count, **NOT_FIXED)
        record(by, "reopened", locked)
    _copy(issue, locked)


@transaction.atomic
def assign(issue: Issue, to: User | None, by: Actor = SYSTEM) -> None:
    """Let a member of the project look after it. None: nobody."""
    locked = _locked(issue)
    if to is not None and not Membership.objects.filter(project=locked.project_id, user=to).exists():
        raise ValidationError({"to": f"{to.username} is no member of this project."})
    if locked.assignee_id != (to.pk if to else None):
        _write(locked, assignee=to)
        record(by, "assigned", locked, detail=to.username if to else "nobody")
    _copy(issue, locked)


@transaction.atomic
def merge(issue: Issue, into: Issue, by: Actor = SYSTEM) -> None:
    """Move the findings of an issue to another one of its agent, which stands for both from then on."""
    locked, other = _locked(issue), _locked(into)
    if locked.pk == other.pk:
        raise ValidationError({"into": "An issue can't be merged with itself. Choose another one."})
    if locked.agent_id != other.agent_id:
        raise ValidationError({"into": "That issue is of another agent. Choose one of this agent."})
    Finding.objects.filter(issue=locked).update(issue=other)
    Issue.objects.filter(merged_into=locked).update(merged_into=other)
    _write(locked, merged_into=other)
    first = min(locked.first_seen_at, other.first_seen_at)
    newer = locked if locked.last_seen_at > other.last_seen_at else other
    copied = {name: getattr(newer, name) for name in ("title", "severity", "category", "last_seen_at")}
    signature = newer.signature or locked.signature or other.signature
    _write(other, first_seen_at=first, signature=signature, **copied)
    record(by, "merged", locked, detail=f"into {other.title}")
    _copy(issue, locked)
    _copy(into, other)


@transaction.atomic
def split(finding: Finding, now: datetime, by: Actor = SYSTEM) -> Issue:
    """Make an issue of its own of a finding, which later reports recognize."""
    if finding.issue is None:
        raise ValidationError({"finding": "This finding belongs to no issue."})
    locked = _locked(finding.issue)
    finding.refresh_from_db(fields=["issue"])
    if finding.issue_id != locked.pk or not locked.findings.exclude(pk=finding.pk).exists():
        raise ValidationError({"finding": "It is the only finding of its issue. There is nothing to split."})
    made = Issue.objects.create(
        project_id=locked.project_id,
        agent_id=locked.agent_id,
        title=finding.title,
        signature=finding.signature,
        severity=finding.severity,
        category=finding.category,
        state_since=now,
        state_by_name=by.name,
        first_seen_at=finding.run.window_start,
        last_seen_at=finding.run.window_end,
        created_at=now,
    )
    Finding.objects.filter(pk=finding.pk).update(issue=made)
    finding.issue = made
    _see_again(locked)
    record(by, "split", made, detail=f"from {locked.title}")
    return made


def _see_again(locked: Issue) -> None:
    """Let an issue say what its findings say, after one of them went."""
    newest = locked.findings.order_by("-run__window_end", "-pk").select_related("run")[0]
    seen = locked.findings.aggregate(first=Min("run__window_start"), last=Max("run__window_end"))
    about = {name: getattr(newest, name) for name in ("title", "severity", "category", "signature")}
    _write(locked, first_seen_at=seen["first"], last_seen_at=seen["last"], **about)


def _locked(issue: Issue) -> Issue:
    """Raises ValidationError if it was merged into another one."""
    lock(issue.agent_id)
    locked = Issue.objects.select_related("project", "agent", "assignee", "merged_into").get(pk=issue.pk)
    if locked.merged_into is not None:
        raise ValidationError(f"This issue was merged into {locked.merged_into.title}.")
    return locked


def _set_state(locked: Issue, state: IssueState, now: datetime, by: Actor, **columns: Any) -> None:
    _write(locked, state=state, state_since=now, state_by_name=by.name, **columns)


def _write(locked: Issue, **columns: Any) -> None:
    for name, value in columns.items():
        setattr(locked, name, value)
    Issue.objects.filter(pk=locked.pk).update(**columns)


def _copy(issue: Issue, locked: Issue) -> None:
    for field in Issue._meta.concrete_fields:
        setattr(issue, field.attname, getattr(locked, field.attname))


def _too_long(field: str, text: str, limit: int) -> dict[str, str]:
    return {field: f"Enter at most {limit:,} characters."} if len(text.strip()) > limit else {}
