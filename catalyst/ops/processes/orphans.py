"""No orphans: what `manage.py up` starts ends when it does, however it ends.

A supervisor that is killed can tell nobody. So each of its processes, and each process forked from these, watches its
parent; whoever loses it kills the whole process group.
"""

import os
import signal
import time
from threading import Thread

LOOK_SECONDS = 0.3


def follow(parent: int) -> None:
    """End this process's group as soon as `parent` is not its parent any more. Forked processes do the same."""
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
