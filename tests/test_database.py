"""Where the database is."""

from pathlib import Path

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.db import IntegrityError, connection, transaction

from catalyst.core.models import Project
from catalyst.database import TIMEOUTS, django_database, embedded_url, execute, fetch, socket_folder
from catalyst.env import Env


def database(url: str, data: str = "/srv/catalyst") -> dict[str, object]:
    return django_database(Env(database_url=url, data=Path(data)))


def test_it_uses_the_embedded_server_by_default() -> None:
    found = database("", "/srv/my data+more/catalyst")
    assert found["HOST"] == "/srv/my data+more/catalyst/postgres/socket"
    assert (found["NAME"], found["USER"], found["PORT"]) == ("catalyst", "postgres", "")


def test_it_uses_the_server_it_is_told() -> None:
    found = database("postgres://me:s%40fe@db.example.org:6432/mine?sslmode=require")
    assert found["HOST"] == "db.example.org"
    assert (found["NAME"], found["USER"], found["PASSWORD"], found["PORT"]) == ("mine", "me", "s@fe", "6432")
    assert found["OPTIONS"] == TIMEOUTS | {"sslmode": "require", "prepare_threshold": 0}


def test_its_url_says_when_a_silent_server_is_given_up() -> None:
    options = database("postgresql://db.example.org/mine?connect_timeout=3")["OPTIONS"]
    assert options == TIMEOUTS | {"connect_timeout": "3", "prepare_threshold": 0}


def test_it_prepares_nothing_where_it_is_told_not_to() -> None:
    assert django_database(Env(database_prepare=False))["OPTIONS"] == TIMEOUTS | {"prepare_threshold": None}


@pytest.mark.django_db
def test_a_statement_is_prepared_when_it_is_first_run() -> None:
    for _ in range(2):
        assert fetch("SELECT %s::int, 'prepared once'", [7]) == [(7, "prepared once")]
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_prepared_statements WHERE statement LIKE '%prepared once%'")
        assert cursor.fetchone() == (1,)


@pytest.mark.django_db
def test_a_prepared_statement_that_fails_raises_djangos_error(project: Project) -> None:
    with pytest.raises(IntegrityError, match="null"), transaction.atomic():
        execute("UPDATE core_project SET name = NULL WHERE id = %s", [project.pk])
    assert fetch("SELECT name FROM core_project WHERE id = %s", [project.pk]) == [(project.name,)]


@pytest.mark.parametrize("url", ["mysql://localhost/x", "localhost", "postgresql://localhost:port/x"])
def test_it_refuses_what_is_no_postgresql_url(url: str) -> None:
    with pytest.raises(ImproperlyConfigured, match="DATABASE_URL"):
        database(url)


def test_it_keeps_the_socket_near_unless_the_path_is_too_long() -> None:
    assert socket_folder(Path("/srv/x")) == Path("/srv/x/postgres/socket")
    far = socket_folder(Path("/srv") / ("x" * 100))
    assert far.parent == Path("/tmp")
    assert far == socket_folder(Path("/srv") / ("x" * 100))
    assert far != socket_folder(Path("/srv") / ("y" * 100))
    assert "%2F" in embedded_url(Path("/srv/x"))
