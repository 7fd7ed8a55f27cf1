"""What strangers and idle readers hold before anybody is known, while a neighbor goes on using the service."""

import resource
import socket
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit

from tests.bench import meters
from tests.bench.pages import signed_in
from tests.bench.signals import LABELS, MADE
from tests.e2e.instance import Instance, started_with_files
from tests.torture.neighbor import Neighbor
from tests.torture.report import Report

FILES = 1_024
"""As many as a service may open by default. The instance has no more."""
IDLE = 1_100
BODIES, BODY_BYTES = 60, 30_000_000
HEADER, HEADERS = 1_000_000, 300
READERS, LABELED = 12, 30_000
MOST_MB = 700
CHUNK = b"x" * 1_000_000


def run(scale: float = 1, **variables: str) -> Report:
    """Make each kind of trouble, one after the other. `scale` makes them smaller."""
    report = Report("Strangers and idle readers")
    with (
        tempfile.TemporaryDirectory(prefix="catalyst-torture-") as folder,
        _many_files(),
        started_with_files(Path(folder), (FILES, FILES), **variables) as instance,
    ):
        (key,) = instance.new_projects("neighbor")
        for what, hold in TROUBLES.items():
            with ExitStack() as stack:
                hold(instance, stack, scale, report)
                _measure(instance, key, what, report, is_sample=scale < 1)
        report.say("memory (PSS) at the end, MB", round(meters.memory(instance.pids["up"])))
    return report


def _measure(instance: Instance, key: str, what: str, report: Report, *, is_sample: bool) -> None:
    with Neighbor(instance, key, "neighbor", is_sample=is_sample) as neighbor:
        neighbor.watch(300)
    neighbor.tell(what, report)
    used = meters.memory(instance.pids["up"])
    report.say(f"{what}: memory (PSS), MB", round(used))
    report.expect(f"{what}: memory over {MOST_MB} MB", int(used > MOST_MB))


@contextmanager
def _many_files() -> Iterator[None]:
    """Let this process be many clients."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def _connect(instance: Instance, stack: ExitStack, receive_bytes: int = 0) -> socket.socket:
    address = urlsplit(instance.url)
    client = stack.enter_context(socket.socket())
    if receive_bytes:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
    client.settimeout(30)
    client.connect((address.hostname, address.port))
    return client


def _say_nothing(instance: Instance, stack: ExitStack, scale: float, report: Report) -> None:
    for _ in range(int(IDLE * scale)):
        _connect(instance, stack)


def _send_large_heads(instance: Instance, stack: ExitStack, scale: float, report: Report) -> None:
    client = _connect(instance, stack)
    sent = 0
    with suppress(OSError):
        client.sendall(b"GET /login/ HTTP/1.1\r\nHost: localhost\r\n")
        for number in range(int(HEADERS * scale)):
            client.sendall(b"X-%d: %b\r\n" % (number, b"x" * HEADER))
            sent += HEADER
    report.say("large headers: bytes taken", sent)
    report.expect("large headers: requests that were taken", int(sent >= HEADER * int(HEADERS * scale)))


def _send_bodies(instance: Instance, stack: ExitStack, scale: float, report: Report) -> None:
    before = _temporary_bytes(instance)
    for path in ("/login/", "/v1/traces"):
        for _ in range(int(BODIES * scale)):
            client = _connect(instance, stack)
            head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {BODY_BYTES + 3_000_000}\r\n\r\n"
            client.sendall(head.encode())
            with suppress(OSError):
                for _ in range(BODY_BYTES // len(CHUNK)):
                    client.sendall(CHUNK)
    report.expect("bodies of strangers: bytes held in files", max(0, _temporary_bytes(instance) - before))


def _temporary_bytes(instance: Instance) -> int:
    """Bytes of deleted files that the web process has open."""
    held = 0
    for file in Path(f"/proc/{instance.pids['web']}/fd").iterdir():
        with suppress(OSError):
            if "(deleted)" in str(file.readlink()) and "memfd" not in str(file.readlink()):
                held += file.stat().st_size
    return held


def _read_nothing(instance: Instance, stack: ExitStack, scale: float, report: Report) -> None:
    signal = int(instance.shell(MADE).split()[0])
    instance.execute(LABELS, int(LABELED * scale), [signal])
    cookie = signed_in(instance)
    path = f"/p/default/signals/{signal}/labels/?as=jsonl&range=90d"
    for _ in range(READERS):
        client = _connect(instance, stack, receive_bytes=4_096)
        client.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nCookie: {cookie}\r\n\r\n".encode())
    time.sleep(1)


def _send_slowly(instance: Instance, stack: ExitStack, scale: float, report: Report) -> None:
    for number in range(int(500 * scale)):
        client = _connect(instance, stack)
        client.sendall(
            b"POST /v1/traces HTTP/1.1\r\nHost: localhost\r\n" + b"Content-Length: 100\r\n\r\nx" * (number % 2)
        )


def _do_nothing(instance: Instance, stack: ExitStack, scale: float, report: Report) -> None:
    pass


TROUBLES: dict[str, Callable[[Instance, ExitStack, float, Report], None]] = {
    "nothing else": _do_nothing,
    "connections that send nothing": _say_nothing,
    "slow heads and bodies": _send_slowly,
    "large headers": _send_large_heads,
    "bodies of strangers": _send_bodies,
    "downloads that nobody reads": _read_nothing,
}
