"""Operations on projects that belong to no project: list and create."""

import io
import json
from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from catalyst.core.models import ApiKey, AuditEntry, Membership, Project, User
from catalyst.core.operation_context import InstanceContext, for_key, for_member, for_operator, for_person, for_system
from catalyst.operations import InvalidInput, NotAllowed, find

pytestmark = pytest.mark.django_db


def call(context: InstanceContext, name: str, /, **given: Any) -> Any:
    return find(name).call(context, given)


def test_a_person_creates_a_project_of_their_own(charlie: User, now: datetime) -> None:
    made = call(for_person(charlie, now), "project.create", name="  Support ")
    assert (made.name, made.slug) == ("Support", "support")
    assert Membership.objects.get(project__slug="support", role="owner").user == charlie
    assert AuditEntry.objects.get(action="created", project__slug="support").actor_name == charlie.username


def test_a_person_creates_none_for_somebody_else(charlie: User, alice: User, now: datetime) -> None:
    with pytest.raises(InvalidInput) as caught:
        call(for_person(charlie, now), "project.create", name="Support", owner=alice.username)
    assert list(caught.value.errors) == ["owner"]


def test_nobody_has_two_projects_of_a_name(project: Project, alice: User, charlie: User, now: datetime) -> None:
    ours = call(for_person(alice, now), "project.create", name="Support")
    member = for_member(Membership.objects.get(project=project, user=alice), now)
    tries: list[Callable[[], Any]] = [
        lambda: call(for_person(alice, now), "project.create", name=" support "),
        lambda: call(for_operator(now), "project.create", name="SUPPORT", owner=alice.username),
        lambda: find("project.rename").call(member, {"name": "Support"}),
        lambda: find("project.rename").call(for_system(project, now), {"name": "Support"}),
    ]
    for refused in tries:
        with pytest.raises(InvalidInput) as caught:
            refused()
        assert caught.value.errors == {"name": "There is already a project with this name"}
    with pytest.raises(CommandError, match="--name: There is already a project with this name"):
        call_command("project", "rename", "--project", project.slug, "--name", "Support")
    assert call(for_person(charlie, now), "project.create", name="Support").slug != ours.slug
    assert find("project.rename").call(member, {"name": "DEFAULT"}).name == "DEFAULT"


def test_a_guest_creates_none(viewer: User, now: datetime) -> None:
    with pytest.raises(NotAllowed):
        call(for_person(viewer, now), "project.create", name="Support")


def test_an_api_key_creates_none(project: Project, now: datetime) -> None:
    key, _ = ApiKey.issue(project=project, name="all", scopes=["read", "write"])
    for name in ("project.create", "project.list"):
        with pytest.raises(NotAllowed, match="not for this kind of caller"):
            find(name).call(for_key(key, now), {"name": "Support"} if name == "project.create" else {})


def test_an_operator_names_the_owner(alice: User, now: datetime) -> None:
    made = call(for_operator(now), "project.create", name="Support", owner=alice.username)
    assert Membership.objects.get(project__slug=made.slug).user == alice
    for owner in (None, "nobody"):
        with pytest.raises(InvalidInput) as caught:
            call(for_operator(now), "project.create", name="Support", owner=owner)
        assert list(caught.value.errors) == ["owner"]


def test_a_person_lists_their_own_projects(
    project: Project, other_project: Project, charlie: User, now: datetime
) -> None:
    assert [each.slug for each in call(for_person(charlie, now), "project.list").items] == [other_project.slug]
    first = call(for_operator(now), "project.list", limit=1)
    second = call(for_operator(now), "project.list", limit=1, after=first.next)
    assert [each.slug for each in first.items + second.items] == [project.slug, other_project.slug]


def test_the_commands_need_no_project(alice: User) -> None:
    out = io.StringIO()
    call_command("project", "create", "--name", "Support", "--owner", alice.username, "--json", stdout=out)
    assert json.loads(out.getvalue())["slug"] == "support"
