"""Real processes for tests: an environment of their own, output kept, ended whatever happens."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit

from django.conf import settings

from catalyst.database import embedded_url
from catalyst.env import env

ROOT = Path(__file__).resolve().parent.parent
DEADLINE = 30.0
# The environment of halo-engine that all tests share.
ENGINE_FOLDER = ROOT / ".cache" / "halo-engine"


def environment(**extra: str) -> dict[str, str]:
    """This process's environment without what configures Catalyst or a judge, plus `extra`. It asks for no demo."""
    ours = ("CATALYST_", "OPENAI_", "OTEL_", "DATABASE_URL", "DJANGO_", "PYTEST_", "Q_CLUSTER")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    return kept | {"DEMO": "0", "CATALYST_HALO_ENGINE": str(ENGINE_FOLDER)} | extra


def database_url() -> str:
    """Address of this test worker's database, for another process."""
    name = settings.DATABASES["default"]["NAME"]
    if env.database_url:
        return urlsplit(env.database_url)._replace(path=f"/{name}").geturl()
    return embedded_url(env.data, name)


@contextmanager
def running(*arguments: str, **extra: str) -> Iterator[subprocess.Popen[str]]:
    """`manage.py ARGUMENTS` on this test's database, in a process group of its own that is killed at the end."""
    shared = {"DATABASE_URL": database_url(), "CATALYST_SECRET_KEY": settings.SECRET_KEY}
    shared["CATALYST_DATA"] = str(env.data)
    process = subprocess.Popen(
        [sys.executable, "manage.py", *arguments],
        cwd=ROOT,
        env=environment(**(shared | extra)),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def eventually(condition: Callable[[], object], seconds: float = DEADLINE) -> None:
    """Wait until the condition holds; the test fails when it does not in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds} s: {condition}"
        time.sleep(0.05)


def free_port() -> int:
    """A port nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
