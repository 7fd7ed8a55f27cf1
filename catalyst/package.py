"""The files of Catalyst, in a checkout or an installed package."""

from pathlib import Path

PACKAGE = Path(__file__).resolve().parent

# A wheel holds templates and static files inside the package, a checkout has them beside it.
IS_INSTALLED = (PACKAGE / "templates").is_dir()
FILES = PACKAGE if IS_INSTALLED else PACKAGE.parent

MAKE_TARGETS = ("up", "down")


def command(name: str) -> str:
    """Return the shell command, such as `manage.py doctor`."""
    if IS_INSTALLED:
        return f"catalyst {name}"
    if name in MAKE_TARGETS:
        return f"make {name}"
    return f"manage.py {name}"
