"""Ends all processes of `manage.py up` when the supervisor is killed.

Each process watches its parent and kills its own process group if the parent is gone.
"""

import os
import signal
import time
from threading import Thread

LOOK_SECONDS = 0.3


def follow(parent: int) -> None:
    """Kill this process group once `parent` is gone. Also applies to later forks."""
    if os.getppid() != parent:
        os._exit(1)
    _watch(parent)
    os.register_at_fork(before=_remember, after_in_child=lambda: _watch(_forking))


_forking = 0


def _remember() -> None:
    global _forking  # noqa: PLW0603
    _forking = os.getpid()


def _watch(parent: int) -> None:
    Thread(target=_end_without, args=[parent], name="watch-parent", daemon=True).start()


def _end_without(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(LOOK_SECONDS)
    os.killpg(os.getpgrp(), signal.SIGKILL)
