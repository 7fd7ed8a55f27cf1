"""What the processes of a Catalyst use, PostgreSQL included: read from /proc."""

import os
import platform
from collections import defaultdict
from contextlib import suppress
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")


def tree(pid: int) -> list[int]:
    """The process and everything below it."""
    children = defaultdict(list)
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            with suppress(OSError):
                children[int(_stat(int(folder.name))[1])].append(int(folder.name))
    found = [pid]
    for each in found:
        found += children[each]
    return found


def cpu(pid: int) -> dict[str, float]:
    """Seconds of processor time so far: of `postgres` and of `catalyst`, those of ended children included."""
    used = {"postgres": 0.0, "catalyst": 0.0}
    for each in tree(pid):
        with suppress(OSError):
            fields = _stat(each)
            used[_program(each)] += sum(map(int, fields[11:15])) / TICKS
    return used


def memory(pid: int) -> float:
    """MB of memory of all processes together, what they share counted once (PSS)."""
    return sum(memory_by_program(pid).values())


def memory_by_program(pid: int) -> dict[str, float]:
    """The same, of `postgres` and of `catalyst`."""
    used = {"postgres": 0.0, "catalyst": 0.0}
    for each in tree(pid):
        with suppress(OSError):
            lines = Path(f"/proc/{each}/smaps_rollup").read_text().splitlines()
            kilobytes = sum(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
            used[_program(each)] += kilobytes / 1024
    return used


def machine() -> str:
    """The machine in words."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    model = next(
        (line.partition(":")[2].strip() for line in lines if line.startswith("model name")), os.uname().machine
    )
    memory = int(Path("/proc/meminfo").read_text().split()[1]) / 1024**2
    linux, python = os.uname().release.split("-")[0], platform.python_version()
    return f"{os.cpu_count()} cores of {model}, {memory:.0f} GiB, Linux {linux}, Python {python}"


def _stat(pid: int) -> list[str]:
    """Fields of /proc/PID/stat from the state on."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


def _program(pid: int) -> str:
    name = Path(f"/proc/{pid}/comm").read_text().strip()
    return "postgres" if name == "postgres" else "catalyst"
