"""Run real SDKs in environments of their own, and compare what they send with what is expected.

    python -m tests.senders                       all
    python -m tests.senders litellm strands       only these
    python -m tests.senders --record litellm      keep what they send in tests/senders/*/recorded.json
    python -m tests.senders --upgrade litellm     lock today's releases first, then record

Ends with 1 if one reads differently, or can't be installed.
"""

import argparse
import os
import subprocess
import sys

from tests.senders.environments import record, upgrade
from tests.senders.recording import FOLDER, SENDERS


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.senders")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"one of {', '.join(SENDERS)}")
    parser.add_argument("--record", action="store_true", help="rewrite the recordings")
    parser.add_argument("--upgrade", action="store_true", help="lock today's releases, and rewrite the recordings")
    chosen = parser.parse_args(arguments)
    if unknown := set(chosen.names) - set(SENDERS):
        parser.error(f"no such sender: {', '.join(sorted(unknown))}")
    names = chosen.names or SENDERS
    if chosen.record or chosen.upgrade:
        for name in names:
            rewrite(name, upgraded=chosen.upgrade)
        return tests("tests/senders/test_recorded.py", "tests/senders/test_guides.py")
    return tests("tests/senders/test_live.py", "-p", "no:randomly", SENDERS=" ".join(names))


def tests(*arguments: str, **variables: str) -> int:
    """Run tests in a process of their own, whose settings are those of tests."""
    command = [sys.executable, "-m", "pytest", "--no-header", "-v", *arguments]
    return subprocess.run(command, env={**os.environ, **variables}, check=False).returncode


def rewrite(name: str, *, upgraded: bool) -> None:
    """Record a sender, with new versions if `upgraded`."""
    if upgraded:
        upgrade(name)
    record(name).save(FOLDER / name / "recorded.json")
    sys.stdout.write(f"recorded {name}\n")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
