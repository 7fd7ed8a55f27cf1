"""Folders of runs in the data folder, which hold what the engine reads and writes."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from django.conf import settings


def parent() -> Path:
    return Path(settings.DATA_FOLDER) / "halo-runs"


@contextmanager
def folder_of(run: int) -> Iterator[Path]:
    """An empty folder that only we can read, deleted at the end. What an attempt that died left in it is deleted first.

    Raises OSError.
    """
    folder = parent() / str(run)
    shutil.rmtree(folder, ignore_errors=True)
    folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    folder.mkdir(mode=0o700)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
