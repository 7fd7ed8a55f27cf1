"""Where the database is."""

from pathlib import Path

import pytest
from django.core.exceptions import ImproperlyConfigured

from catalyst.database import django_database, embedded_url, socket_folder
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
    assert found["OPTIONS"] == {"sslmode": "require"}


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
