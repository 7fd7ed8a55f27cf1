"""What `manage.py up` prepares: one project Default, its owner and its key."""

import stat
from datetime import datetime
from pathlib import Path

import pytest
from pytest_django import Settings

from catalyst.core.models import ApiKey, AuditEntry, Membership, Project, User
from catalyst.ops.processes import prepare

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def data(settings: Settings, tmp_path: Path) -> Path:
    settings.DATA_FOLDER = tmp_path
    settings.STATIC_ROOT = tmp_path / "static"
    return tmp_path


def test_it_makes_the_first_project(data: Path) -> None:
    made = prepare.default_project()
    assert Project.objects.get().slug == "default"
    assert made.owner.memberships.get().role == Membership.Role.OWNER
    assert made.owner.is_superuser
    assert not made.owner.has_usable_password()
    for file_name, key, name, scopes in (
        ("ingest_key", made.ingest_key, "First key", ["ingest"]),
        ("api_key", made.api_key, "First key for scripts", ["read", "write"]),
    ):
        found = ApiKey.objects.find(key)
        assert found
        assert (found.name, found.scopes, found.project.slug) == (name, scopes, "default")
        assert stat.S_IMODE((data / file_name).stat().st_mode) == 0o600
    recorded = AuditEntry.objects.order_by("pk").values_list("actor_name", "action", "kind")
    assert list(recorded) == [
        ("Catalyst", "created", "user"),
        ("Catalyst", "added", "membership"),
        ("Catalyst", "created", "API key"),
        ("Catalyst", "created", "API key"),
    ]


def test_it_finds_it_again(alice: User, project: Project) -> None:
    first = prepare.default_project()
    assert first.owner == alice
    assert prepare.default_project() == first
    assert ApiKey.objects.count() == 2


def test_it_takes_read_and_write_from_the_ingest_key_of_earlier_versions(
    project: Project, data: Path, caplog: pytest.LogCaptureFixture
) -> None:
    row, key = ApiKey.issue(project=project, name="First key", scopes=["ingest", "read", "write"])
    (data / "ingest_key").write_text(key)
    made = prepare.default_project()
    row.refresh_from_db()
    assert (made.ingest_key, row.scopes) == (key, ["ingest"])
    assert f"The ingest key {row.hint} can only send spans from now on" in caplog.text
    entry = AuditEntry.objects.get(action="narrowed")
    assert (entry.actor_name, entry.target_id, entry.detail) == (
        "Catalyst",
        row.pk,
        "to ingest; it no longer has read and write",
    )
    caplog.clear()
    assert prepare.default_project() == made
    assert (caplog.text, AuditEntry.objects.filter(action="narrowed").count()) == ("", 1)


def test_it_replaces_a_revoked_key(project: Project, now: datetime) -> None:
    first = prepare.default_project()
    ApiKey.objects.update(revoked_at=now)
    second = prepare.default_project()
    for old, new in ((first.ingest_key, second.ingest_key), (first.api_key, second.api_key)):
        assert new != old
        assert ApiKey.objects.find(new)


def test_it_replaces_a_key_of_another_project(other_project: Project) -> None:
    first = prepare.default_project()
    ApiKey.objects.update(project=other_project)
    assert prepare.default_project().ingest_key != first.ingest_key


def test_it_gives_a_project_without_an_owner_one(project: Project, bob: User) -> None:
    owner = prepare.default_project().owner
    assert owner.username == "owner"
    assert project.memberships.get(user=owner).role == Membership.Role.OWNER


def test_it_collects_static_files_when_they_have_changed(data: Path) -> None:
    prepare.static_files()
    css = data / "static" / "css"
    assert css.is_dir()
    css.rename(data / "moved")
    prepare.static_files()
    assert not css.exists()
    (data / "static" / ".collected").write_text("other")
    prepare.static_files()
    assert css.is_dir()
