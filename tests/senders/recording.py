"""What a sender sent, in a small file."""

import base64
import json
import re
import zlib
from dataclasses import dataclass
from pathlib import Path

from tests.senders.loopback import Request

FOLDER = Path(__file__).parent
SENDERS = sorted(path.parent.name for path in FOLDER.glob("*/send.*"))


@dataclass(frozen=True)
class Recording:
    """The versions of the packages that were asked for, and the bodies of the requests."""

    versions: dict[str, str]
    requests: list[Request]

    def save(self, path: Path) -> None:
        bodies = [
            {"type": sent.content_type, "zlib": base64.b64encode(zlib.compress(sent.body, 9)).decode()}
            for sent in self.requests
        ]
        path.write_text(json.dumps({"versions": self.versions, "bodies": bodies}, indent=1) + "\n")


def load(path: Path) -> Recording:
    saved = json.loads(path.read_text())
    bodies = ((body["type"], zlib.decompress(base64.b64decode(body["zlib"]))) for body in saved["bodies"])
    return Recording(saved["versions"], [Request("/v1/traces", *body) for body in bodies])


def versions(folder: Path) -> dict[str, str]:
    """The locked versions of the packages that a sender asks for."""
    lock = folder / "requirements.lock"
    if not lock.exists():
        locked = json.loads((folder / "package-lock.json").read_text())["packages"]
        return {name: locked[f"node_modules/{name}"]["version"] for name in packages(folder)}
    locked = dict(re.findall(r"^([\w.-]+)==([\w.]+)", lock.read_text(), re.MULTILINE))
    return {name: locked[name] for name in packages(folder)}


def packages(folder: Path) -> list[str]:
    """The names of the packages that a sender asks for, without extras and versions."""
    wanted = folder / "requirements.in"
    if not wanted.exists():
        return list(json.loads((folder / "package.json").read_text())["dependencies"])
    return re.findall(r"^[\w.-]+", wanted.read_text(), re.MULTILINE)


def snippet(folder: Path) -> str:
    """The part of the program that the guide shows."""
    (program,) = folder.glob("send.*")
    found = re.search(r"^(?:#|//) guide\n(.*?)\n(?:#|//) end$", program.read_text(), re.MULTILINE | re.DOTALL)
    assert found, f"no marks around the part for the guide in {program}"
    return found[1]
