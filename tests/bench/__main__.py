"""`python -m tests.bench [part ...]`: measure a Catalyst as `make up` starts it; prints one table."""

import argparse
import random
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from tests.bench import alerts, backfill, halo, ingest, judging, meters, pages, shares, signals, soak
from tests.bench.judge_stub import MODEL, stub
from tests.bench.report import Table
from tests.e2e.instance import Instance, started

JUDGE_SECONDS = 0.2
IDLE_SECONDS = 15
MEMORY_AIM_MB = 500


def main() -> None:
    """Run the named parts, in one order, on one instance."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument(
        "part", nargs="*", help="ingest, shares, judge, pages, signals, alerts, halo, backfill or soak; all without any"
    )
    parser.add_argument("--spans", type=int, default=400_000, help="spans to ingest in large requests; half in small")
    parser.add_argument("--stored", type=int, default=1_000_000, help="spans in the store when pages are read")
    parser.add_argument("--labels", type=int, default=6_000, help="labels to judge")
    parser.add_argument("--labelled", type=int, default=1_000_000, help="labels of one signal when its pages are read")
    parser.add_argument("--matching", type=int, default=1_000_000, help="targets that a manual run queues")
    parser.add_argument("--analysed", type=int, default=60_000, help="traces that a report by rules reads")
    parser.add_argument("--minutes", type=float, default=10, help="length of the soak")
    parser.add_argument("--seed", type=int, default=random.randrange(10_000))
    asked = parser.parse_args()
    parts: dict[str, Callable[[Instance, Table], None]] = {
        "ingest": lambda instance, table: ingest.run(instance, table, asked.seed, asked.spans),
        "shares": lambda instance, table: shares.run(instance, table, asked.seed),
        "judge": lambda instance, table: judging.run(instance, table, asked.seed, asked.labels, JUDGE_SECONDS),
        "pages": lambda instance, table: pages.run(instance, table, asked.seed, asked.stored),
        "signals": lambda instance, table: signals.run(instance, table, asked.seed, asked.labelled),
        "alerts": lambda instance, table: alerts.run(instance, table, asked.labelled),
        "halo": lambda instance, table: halo.run(instance, table, asked.seed, asked.analysed),
        "backfill": lambda instance, table: backfill.run(instance, table, asked.seed, asked.matching),
        "soak": lambda instance, table: soak.run(instance, table, asked.seed, asked.minutes),
    }
    if unknown := set(asked.part) - parts.keys():
        parser.error(f"no such part: {', '.join(sorted(unknown))}")
    table = Table()
    with tempfile.TemporaryDirectory(prefix="catalyst-bench-") as folder, stub(JUDGE_SECONDS) as judge:
        quick = {"CATALYST_SETTLE_TRACE_SECONDS": "1", "CATALYST_SETTLE_SESSION_SECONDS": "60"}
        judged = {"CATALYST_JUDGE_URL": judge.url, "CATALYST_JUDGE_MODEL": MODEL}
        with started(Path(folder), **judged, **quick) as instance:
            time.sleep(IDLE_SECONDS)
            _memory("idle", instance, table)
            for name, part in parts.items():
                if name in asked.part or not asked.part:
                    part(instance, table)
                    _memory(f"after {name}", instance, table)
                    sys.stderr.write(f"{name}: done\n")
    sys.stdout.write(f"{meters.machine()}; {time.strftime('%Y-%m-%d')}; seed {asked.seed}\n\n{table}\n")


def _memory(when: str, instance: Instance, table: Table) -> None:
    used = meters.memory_by_program(instance.pids["up"])
    table.below(f"memory (PSS) {when}", MEMORY_AIM_MB, sum(used.values()), " MB")
    table.say(f"of it PostgreSQL's, {when}", f"{used['postgres']:.0f} MB")


if __name__ == "__main__":
    main()
