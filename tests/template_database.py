"""A migrated database from which test databases are copied: migrations take seconds, a copy does not."""

import ast
import fcntl
import hashlib
import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path

import psycopg
from psycopg import Connection, sql

from catalyst.database import embedded_url

ROOT = Path(__file__).resolve().parent.parent
APPS = ("catalyst", "traces", "signals", "halo", "alerts")
PREFIX = "template_catalyst_"
UNFINISHED = f"{PREFIX}unfinished"


def ensure(data: Path) -> str:
    """Return the name of a template on the embedded server, made if the migrations or the day are new."""
    name = PREFIX + _digest()
    with (data / "template.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with psycopg.connect(embedded_url(data, "postgres"), autocommit=True) as connection:
            templates = _templates(connection)
            if name not in templates:
                _drop(connection, templates)
                _make(connection, data, name)
    return name


def _digest() -> str:
    """Identify the migrations, the code that they call, and the day: a migration makes the day's partitions."""
    digest = hashlib.sha256(datetime.now(UTC).date().isoformat().encode())
    digest.update((ROOT / "requirements.lock").read_bytes())
    migrations = sorted(path for app in APPS for path in (ROOT / app).rglob("migrations/*.py"))
    called = {path for migration in migrations for path in _imported(migration)}
    for path in (*migrations, *sorted(called)):
        digest.update(str(path.relative_to(ROOT)).encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def _imported(path: Path) -> Iterator[Path]:
    """The files of this project that a file imports."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith(APPS):
            for name in (node.module, *(f"{node.module}.{alias.name}" for alias in node.names)):
                if source := _source(name):
                    yield source


def _source(module: str) -> Path | None:
    """The file of a module; None if the name is of something else."""
    try:
        spec = find_spec(module)
    except ModuleNotFoundError:
        return None
    return Path(spec.origin) if spec and spec.origin else None


def _templates(connection: Connection) -> list[str]:
    rows = connection.execute("SELECT datname FROM pg_database WHERE starts_with(datname, %s)", [PREFIX])
    return [str(name) for (name,) in rows]


def _drop(connection: Connection, names: list[str]) -> None:
    for name in names:
        connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))


def _make(connection: Connection, data: Path, name: str) -> None:
    """Migrate a new database, then give it its name: one that is killed half-way is never used."""
    connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(UNFINISHED)))
    migrate = [sys.executable, "manage.py", "migrate", "--verbosity=0"]
    variables = {**os.environ, "DATABASE_URL": embedded_url(data, UNFINISHED)}
    subprocess.run(migrate, cwd=ROOT, env=variables, check=True)
    rename = sql.SQL("ALTER DATABASE {} RENAME TO {}")
    connection.execute(rename.format(sql.Identifier(UNFINISHED), sql.Identifier(name)))
