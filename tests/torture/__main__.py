"""`python -m tests.torture [part ...]`: kill, mutate and starve a Catalyst, then count; exits 1 if anything is lost."""

import argparse
import random
import sys
import time
from collections.abc import Callable

from tests.bench import meters
from tests.torture import bodies, fairness, kills, partitions, startup, strangers, trouble
from tests.torture.report import Report


def main() -> int:
    """Run the named parts and print what was found."""
    parser = argparse.ArgumentParser(prog="python -m tests.torture", description=__doc__)
    parser.add_argument(
        "part",
        nargs="*",
        help="kills, bodies, trouble, server, partitions, http-limits, startup, fairness or disk; all without any",
    )
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--bodies", type=int, default=100_000)
    parser.add_argument("--days", type=int, default=40, help="days made while their spans arrive")
    parser.add_argument("--seed", type=int, default=random.randrange(10_000))
    asked = parser.parse_args()
    parts: dict[str, Callable[[], Report]] = {
        "kills": lambda: kills.run(asked.kills, asked.seed),
        "bodies": lambda: bodies.run(asked.bodies, asked.seed),
        "trouble": lambda: trouble.run(["restarted", "slow", "clocks"], asked.seed),
        "server": lambda: trouble.run(["server"], asked.seed),
        "partitions": lambda: partitions.run(asked.days, asked.seed),
        "http-limits": strangers.run,
        "startup": lambda: startup.run(4_000, 6, asked.seed),
        "fairness": lambda: fairness.run(asked.seed),
        "disk": lambda: trouble.run(["full"], asked.seed),
    }
    if unknown := set(asked.part) - parts.keys():
        parser.error(f"no such part: {', '.join(sorted(unknown))}")
    sys.stdout.write(f"{meters.machine()}; {time.strftime('%Y-%m-%d')}; seed {asked.seed}\n\n")
    failed = False
    for name in asked.part or parts:
        report = parts[name]()
        failed |= bool(report.failures)
        sys.stdout.write(f"{report}\n")
        sys.stdout.flush()
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
