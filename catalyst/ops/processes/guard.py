"""Cleans up after a killed supervisor. A script without imports of Catalyst, to save memory.

`guard.py SUPERVISOR FILE [COMMAND ...]`: when the parent process is no longer SUPERVISOR, delete FILE and exec COMMAND.
"""

import os
import sys
import time

LOOK_SECONDS = 0.2


def wait(supervisor: int) -> None:
    # A supervisor that stops normally ends this process first.
    while os.getppid() == supervisor:
        time.sleep(LOOK_SECONDS)


if __name__ == "__main__":
    wait(int(sys.argv[1]))
    if os.path.exists(sys.argv[2]):
        os.unlink(sys.argv[2])
    if command := sys.argv[3:]:
        os.execv(command[0], command)
