"""The entry of `manage.py` and of the installed command `catalyst`."""

import os
import sys

from django.core.exceptions import ImproperlyConfigured
from django.core.management import execute_from_command_line
from pydantic import ValidationError
from pydantic_core import ErrorDetails

from catalyst import __version__

# Without it macOS stops processes that are forked, and it is read only when a process starts.
FORK_SAFETY = "OBJC_DISABLE_INITIALIZE_FORK_SAFETY"


def main() -> None:
    if sys.argv[1:] in (["--version"], ["version"]):
        print(f"Catalyst {__version__}")  # noqa: T201
        return
    if sys.platform == "darwin" and FORK_SAFETY not in os.environ:
        os.environ[FORK_SAFETY] = "YES"
        os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "catalyst.settings")
    try:
        execute_from_command_line(sys.argv)
    except ImproperlyConfigured as error:
        sys.exit(str(error))
    except ValidationError as error:
        sys.exit(" ".join(map(_problem, error.errors())))


def _problem(error: ErrorDetails) -> str:
    # For example: `CATALYST_PORT: Input should be a valid integer.`
    name = str(error["loc"][0]).upper()
    variable = name if name in os.environ else f"CATALYST_{name}"
    return f"{variable}: {error['msg']}."
