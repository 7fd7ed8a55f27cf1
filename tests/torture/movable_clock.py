"""A clock of an instance, PostgreSQL's included, that can be set while it runs (clock.c)."""

import shutil
import subprocess
import sys
from pathlib import Path

CLOCK = "clock"


def variables(folder: Path, offset: int = 0) -> dict[str, str] | None:
    """What to start an instance in this folder with, so that `move` sets its clock; None where that can't be."""
    compiler = shutil.which("cc")
    if compiler is None or sys.platform != "linux":
        return None
    library, source = folder / "clock.so", Path(__file__).with_name("clock.c")
    subprocess.run([compiler, "-shared", "-fPIC", "-O2", "-o", library, source, "-ldl"], check=True)
    (folder / CLOCK).write_bytes(bytes(8))
    move(folder, offset)
    return {"LD_PRELOAD": str(library), "CATALYST_TORTURE_CLOCK": str(folder / CLOCK)}


def move(folder: Path, offset: int) -> None:
    """Set the clock to the machine's plus so many seconds."""
    with (folder / CLOCK).open("r+b") as file:
        file.write(offset.to_bytes(8, sys.byteorder, signed=True))
