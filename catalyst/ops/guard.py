"""`python -m catalyst.ops.guard`: stops the embedded PostgreSQL when the `manage.py up` that started it is gone."""

import os
import time

from catalyst import postgres
from catalyst.env import env
from catalyst.ops.orphans import LOOK_SECONDS


def main() -> None:
    """Wait for the supervisor to vanish; one that ends in good order stops the server itself and then this process."""
    while os.getppid() == env.supervisor:
        time.sleep(LOOK_SECONDS)
    postgres.stop(env.data)


if __name__ == "__main__":
    main()
