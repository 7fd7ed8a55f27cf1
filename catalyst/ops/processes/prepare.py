"""Steps before the processes start: database, tables, static files, the project Default."""

import hashlib
import logging
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from django.conf import settings
from django.contrib.staticfiles.finders import get_finders
from django.core.checks import ERROR, run_checks
from django.core.management import call_command
from django.db import Error as DatabaseError
from django.db import connection, transaction
from django.db.migrations.executor import MigrationExecutor

from catalyst import registry
from catalyst.core import operations
from catalyst.core.actor import SYSTEM
from catalyst.core.audit import record
from catalyst.core.models import ApiKey, Membership, Project, User
from catalyst.ops import checks
from catalyst.registry import Maintenance
from catalyst.secret_key import write_private

logger = logging.getLogger(__name__)

INGEST_KEY, API_KEY = "First key", "First key for scripts"
_MIGRATING = 0x636174616C797374  # advisory lock: one process migrates, the others wait for it


class NotReady(Exception):
    """Catalyst can't run. The message is one line and includes what to do."""


@dataclass(frozen=True, slots=True)
class Installation:
    """Both keys belong to the project Default. `ingest_key` only ingests, `api_key` reads and writes."""

    owner: User
    ingest_key: str
    api_key: str


def require_database() -> None:
    """Raises NotReady."""
    try:
        connection.ensure_connection()
    except DatabaseError as error:
        reason = str(error).strip().splitlines()[0].rstrip(".")
        raise NotReady(f"The database can't be used: {reason}. Check DATABASE_URL.") from error
    wrong = [problem for problem in run_checks(tags=[checks.TAG]) if problem.level >= ERROR]
    if wrong:
        raise NotReady("; ".join(f"{problem.id}: {problem.msg} {problem.hint}" for problem in wrong))


def tables(now: datetime) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_lock(%s)", [_MIGRATING])
        try:
            _migrate()
            for work in registry.entries(Maintenance):
                if work.at_start:
                    work.run(now)
        finally:
            cursor.execute("SELECT pg_advisory_unlock(%s)", [_MIGRATING])


def _migrate() -> None:
    executor = MigrationExecutor(connection)
    if executor.migration_plan(executor.loader.graph.leaf_nodes()):
        call_command("migrate", interactive=False, verbosity=0)


def static_files() -> None:
    # Only if a file has changed.
    root = Path(settings.STATIC_ROOT)
    stamp, digest = root / ".collected", _static_digest()
    if stamp.exists() and stamp.read_text() == digest:
        return
    root.mkdir(parents=True, exist_ok=True)
    call_command("collectstatic", interactive=False, clear=True, verbosity=0)
    stamp.write_text(digest)


def _static_digest() -> str:
    digest = hashlib.sha256(settings.STORAGES["staticfiles"]["BACKEND"].encode())
    for finder in get_finders():
        for name, storage in finder.list([]):
            status = Path(storage.path(name)).stat()
            digest.update(f"{name} {status.st_size} {status.st_mtime_ns}\n".encode())
    return digest.hexdigest()


def default_project() -> Installation:
    """Create the project Default, its owner and its keys where missing.

    The keys are kept in the data folder for later starts. A revoked one is replaced.
    """
    project, _ = Project.objects.get_or_create(slug="default", defaults={"name": "Default"})
    ownership = project.memberships.filter(role=Membership.Role.OWNER, user__is_active=True).order_by("pk").first()
    owner = ownership.user if ownership else _make_owner(project)
    ingest_key = _kept_key(project, "ingest_key", INGEST_KEY, [ApiKey.Scope.INGEST])
    _narrow(ingest_key)
    api_key = _kept_key(project, "api_key", API_KEY, [ApiKey.Scope.READ, ApiKey.Scope.WRITE])
    return Installation(owner, ingest_key, api_key)


@transaction.atomic
def _make_owner(project: Project) -> User:
    owner = User.objects.filter(username="owner").first()
    if owner is None:
        owner = User.objects.create_superuser("owner")
        record(SYSTEM, "created", owner)
    role = {"role": Membership.Role.OWNER}
    membership, _ = Membership.objects.update_or_create(project=project, user=owner, defaults=role)
    record(SYSTEM, "added", membership)
    return owner


def _kept_key(project: Project, file_name: str, name: str, scopes: list[str]) -> str:
    path = Path(settings.DATA_FOLDER) / file_name
    key = path.read_text().strip() if path.exists() else ""
    if key and (row := ApiKey.objects.find(key)) and row.project_id == project.pk and set(scopes) <= set(row.scopes):
        return key
    _, key = operations.create_key(project, name=name, scopes=scopes, by=SYSTEM)
    write_private(path, key)
    return key


def _narrow(ingest_key: str) -> None:
    # Earlier versions gave it all scopes, and people pasted it into the environment of their agents.
    row = ApiKey.objects.find(ingest_key)
    if row is not None and row.scopes != [ApiKey.Scope.INGEST]:
        lost = sorted(set(row.scopes) - {ApiKey.Scope.INGEST})
        with transaction.atomic():
            ApiKey.objects.filter(pk=row.pk).update(scopes=[ApiKey.Scope.INGEST])
            record(SYSTEM, "narrowed", row, detail=f"to ingest; it no longer has {' and '.join(lost)}")
        logger.warning(
            "The ingest key %s can only send spans from now on. Scripts that read or write use the api_key in up.json.",
            row.hint,
        )
