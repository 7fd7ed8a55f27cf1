"""Every test's ground: a real PostgreSQL, a database per worker, the personas and no network.

The embedded server is shared by all runs of this checkout; the last one to end stops it. With DATABASE_URL set that
server is used instead.
"""

import fcntl
import gc
import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import django
import hypothesis
import psycopg
import pytest
from _pytest.nodeid import coerce_node_id
from django.conf import settings
from psycopg import sql

ROOT = Path(__file__).resolve().parent.parent
DATA = ROOT / ".cache" / "test"
WORKER = "PYTEST_XDIST_WORKER" in os.environ
DATABASE_PREFIX = "test_catalyst_"
OURS = ("CATALYST_", "OPENAI_", "OTEL_")
TEMPLATE = "CATALYST_TEST_TEMPLATE"
KEPT = {"CATALYST_SHARED", "CATALYST_TEST_RUN", TEMPLATE}
MAX_SLOW_TEST_SECONDS = 600
# Groups of pytest-xdist that take minutes, the longest first.
LONG_GROUPS = ("demo", "catalyst", "up", "package", "torture")

# Tests start hundreds of Python processes, which would all compile every module again.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

# `make torture` looks through many more.
hypothesis.settings.register_profile("sample", max_examples=50, deadline=None)
hypothesis.settings.register_profile("thorough", max_examples=1000, deadline=None)
hypothesis.settings.load_profile("sample")

for name in [name for name in os.environ if name.startswith(OURS) and name not in KEPT]:
    del os.environ[name]
os.environ["CATALYST_DATA"] = str(DATA)
os.environ["CATALYST_SECRET_KEY"] = "for tests only".ljust(50, ".")
os.environ["DJANGO_SETTINGS_MODULE"] = "catalyst.settings"
if not WORKER:
    os.environ["CATALYST_TEST_RUN"] = str(os.getpid())
django.setup()

from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY  # noqa: E402
from django.contrib.sessions.backends.db import SessionStore  # noqa: E402
from django.contrib.sessions.models import Session  # noqa: E402
from django.db import connection  # noqa: E402
from django.test import Client  # noqa: E402
from django.utils import timezone  # noqa: E402
from django.utils.crypto import get_random_string  # noqa: E402

from catalyst import postgres  # noqa: E402
from catalyst.core.models import Membership, Project, User  # noqa: E402
from catalyst.database import embedded_url  # noqa: E402
from catalyst.env import env  # noqa: E402
from tests import template_database  # noqa: E402

# Real processes of the browser tests connect, too.
LARGE = {"max_connections": "300", "shared_buffers": "128MB"}
FAST = {**postgres.SETTINGS, **LARGE, "fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
# An autovacuum that reads a partition postpones its drop to the next run, which tests do not wait for.
FAST["autovacuum"] = "off"

settings.DATABASES["default"].setdefault("TEST", {})["NAME"] = DATABASE_PREFIX + os.environ["CATALYST_TEST_RUN"]
settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
settings.STORAGES = {
    **settings.STORAGES,
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
}


def pytest_configure(config: pytest.Config) -> None:
    """Attach to the embedded server; the run that leaves last stops it."""
    if WORKER and (template := os.environ.get(TEMPLATE)):
        _use_template(template)
    if env.database_url or WORKER:
        return
    (DATA / "static").mkdir(parents=True, exist_ok=True)
    users = os.open(DATA / "users.lock", os.O_CREAT | os.O_RDWR, 0o600)
    fcntl.flock(users, fcntl.LOCK_SH)
    guard = _leave_when_killed(users)
    config.add_cleanup(lambda: _leave(users, guard))
    postgres.ensure(DATA, FAST)
    _drop_stale_databases()
    _use_template(template_database.ensure(DATA))


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Limit the time of slow tests, put the longest first, and pass the groups of pytest-xdist on."""
    for item in items:
        if item.get_closest_marker("slow") and not item.get_closest_marker("timeout"):
            item.add_marker(pytest.mark.timeout(MAX_SLOW_TEST_SECONDS))
    # Two workers that end with quick tests end together.
    items.sort(key=position)
    _pass_groups_on(items)


def position(item: pytest.Item) -> tuple[int, str]:
    """Where a test stands in a run: long groups, then other groups, slow tests, quick tests."""
    if marker := item.get_closest_marker("xdist_group"):
        name = str(marker.args[0])
        long = name in LONG_GROUPS
        return (LONG_GROUPS.index(name), name) if long else (len(LONG_GROUPS), name)
    quick = item.get_closest_marker("slow") is None
    return len(LONG_GROUPS) + 1 + quick, ""


@pytest.hookimpl(trylast=True)
def pytest_collection_finish() -> None:
    """Keep the collected tests and all modules, which live until the end, out of garbage collections."""
    gc.collect()
    gc.freeze()


def _pass_groups_on(items: list[pytest.Item]) -> None:
    """Make the groups of pytest-xdist take effect.

    pytest-xdist 3.8 appends the group to an attribute that pytest 9.2 no longer reads, so it distributes the tests
    of a group over all workers (pytest-xdist issue 1386).
    """
    for item in items:
        if id_with_group := vars(item).get("_nodeid"):
            item._id = coerce_node_id(id_with_group)


def _use_template(name: str) -> None:
    """Copy the databases of this run and of its workers from a template."""
    os.environ[TEMPLATE] = name
    settings.DATABASES["default"]["TEST"]["TEMPLATE"] = name


@contextmanager
def database_copy(name: str) -> Iterator[str]:
    """The address of a migrated database for real processes, which need not make one; none with DATABASE_URL."""
    template = os.environ.get(TEMPLATE)
    if not template:
        yield ""
        return
    copy = f"{DATABASE_PREFIX}{os.environ['CATALYST_TEST_RUN']}_{name}"
    identifiers = [sql.Identifier(copy), sql.Identifier(template)]
    with psycopg.connect(embedded_url(DATA, "postgres"), autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(*identifiers))
        try:
            yield embedded_url(DATA, copy)
        finally:
            connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(identifiers[0]))


def _leave(users: int, guard: int = 0) -> None:
    """Stop the server, unless another run uses it."""
    if guard:
        os.kill(guard, signal.SIGKILL)
        os.waitpid(guard, 0)
    with suppress(BlockingIOError):
        fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
        postgres.stop(DATA)
    os.close(users)


def _leave_when_killed(users: int) -> int:
    """Fork a process that leaves in place of this one, should this one be killed; returns its id."""
    run = os.getpid()
    guard = os.fork()
    if guard == 0:
        while os.getppid() == run:
            time.sleep(0.3)
        _leave(users)
        os._exit(0)
    return guard


def _drop_stale_databases() -> None:
    """Drop what killed runs left behind."""
    with psycopg.connect(embedded_url(DATA, "postgres"), autocommit=True) as connection:
        for (name,) in connection.execute("SELECT datname FROM pg_database").fetchall():
            run = name.removeprefix(DATABASE_PREFIX).split("_")[0]
            if name.startswith(DATABASE_PREFIX) and run.isdigit() and not postgres.runs(int(run)):
                connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))


@pytest.fixture(autouse=True)
def _spans_are_flushed(request: pytest.FixtureRequest) -> Iterator[None]:
    """Empty the tables of spans after a test that commits: Django flushes only tables that it manages."""
    marker = request.node.get_closest_marker("django_db")
    commits = "transactional_db" in request.fixturenames or (marker and marker.kwargs.get("transaction"))
    if commits:
        request.getfixturevalue("transactional_db")  # so that this ends first
    yield
    if commits:
        with connection.cursor() as cursor:
            cursor.execute("TRUNCATE traces_span, traces_payload")


@pytest.fixture(autouse=True, scope="session")
def _no_network() -> Iterator[None]:
    """Let tests reach this machine only."""
    connect, connect_ex, lookup = socket.socket.connect, socket.socket.connect_ex, socket.getaddrinfo

    def check(host: Any) -> None:
        host = host.decode() if isinstance(host, bytes) else host
        if host not in {"localhost", "::1", "", None} and not host.startswith("127."):
            raise OSError(f"Tests may not reach {host}")

    def guarded(real: Callable[..., Any]) -> Callable[..., Any]:
        def call(sock: socket.socket, address: Any) -> Any:
            if sock.family in {socket.AF_INET, socket.AF_INET6}:
                check(address[0])
            return real(sock, address)

        return call

    def guarded_lookup(host: Any, *args: Any, **kwargs: Any) -> Any:
        check(host)
        return lookup(host, *args, **kwargs)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket.socket, "connect", guarded(connect))
        patch.setattr(socket.socket, "connect_ex", guarded(connect_ex))
        patch.setattr(socket, "getaddrinfo", guarded_lookup)
        yield


@pytest.fixture(scope="session")
def shared() -> Path:
    """The reference material beside the repository: CATALYST_SHARED, else ../shared; without it the test is skipped."""
    folder = Path(os.environ.get("CATALYST_SHARED") or ROOT.parent / "shared").resolve()
    if not folder.is_dir():
        pytest.skip(f"needs the shared reference material (CATALYST_SHARED), not found at {folder}")
    return folder


@pytest.fixture
def now(request: pytest.FixtureRequest) -> datetime:
    """The time of the test; with the mark `real_clock` that of the machine, which pages ask for."""
    if request.node.get_closest_marker("real_clock"):
        return datetime.now(UTC)
    return datetime(2026, 11, 20, 12, 0, tzinfo=UTC)


@pytest.fixture
def project(db: None) -> Project:
    """The project Default, of alice, bob and the viewer."""
    return Project.objects.create(name="Default", slug="default")


@pytest.fixture
def other_project(db: None) -> Project:
    """A project of charlie alone."""
    return Project.objects.create(name="Other", slug="other")


@pytest.fixture
def alice(project: Project) -> User:
    """Owner of Default."""
    return _person("alice", project, Membership.Role.OWNER)


@pytest.fixture
def bob(project: Project) -> User:
    """Member of Default."""
    return _person("bob", project, Membership.Role.MEMBER)


@pytest.fixture
def viewer(project: Project) -> User:
    """Viewer of Default."""
    return _person("viewer", project, Membership.Role.VIEWER)


@pytest.fixture
def charlie(project: Project, other_project: Project) -> User:
    """Owner of another project: an outsider to Default."""
    return _person("charlie", other_project, Membership.Role.OWNER)


def _person(name: str, project: Project, role: Membership.Role) -> User:
    user = User.objects.create_user(name, email=f"{name}@example.org")
    Membership.objects.create(user=user, project=project, role=role)
    return user


@pytest.fixture
def client_as() -> Callable[[User], Client]:
    """`client_as(alice)`: a browser in which she is signed in."""

    def client_as(user: User) -> Client:
        client = Client()
        client.cookies[settings.SESSION_COOKIE_NAME] = _sign_in(user)
        return client

    return client_as


def _sign_in(user: User) -> str:
    """Store a session of a user and return its key. `Client.force_login` takes a dozen statements for it."""
    stored = {
        SESSION_KEY: str(user.pk),
        BACKEND_SESSION_KEY: settings.AUTHENTICATION_BACKENDS[0],
        HASH_SESSION_KEY: user.get_session_auth_hash(),
    }
    expires = timezone.now() + timedelta(seconds=settings.SESSION_COOKIE_AGE)
    row = {"session_data": SessionStore().encode(stored), "expire_date": expires}
    return str(Session.objects.create(session_key=get_random_string(32), **row).session_key)
