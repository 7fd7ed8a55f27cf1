"""The guard of `manage.py up`: tidies up when the supervisor was killed. It is a script of its own, run with nothing
but Python's own library, because it waits all the time and would otherwise keep the memory of a whole Catalyst.

`guard.py SUPERVISOR FILE [COMMAND ...]`: when SUPERVISOR is not the parent process any more, remove FILE and become
COMMAND.
"""

import os
import sys
import time

LOOK_SECONDS = 0.2


def wait(supervisor: int) -> None:
    """Until the supervisor has ended. One that ends in good order ends this process first."""
    while os.getppid() == supervisor:
        time.sleep(LOOK_SECONDS)


if __name__ == "__main__":
    wait(int(sys.argv[1]))
    if os.path.exists(sys.argv[2]):
        os.unlink(sys.argv[2])
    if command := sys.argv[3:]:
        os.execv(command[0], command)
