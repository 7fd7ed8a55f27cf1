"""Private files, and the key that signs sessions and encrypts secrets."""

import os
import secrets
from contextlib import suppress
from pathlib import Path
from tempfile import NamedTemporaryFile

from django.core.exceptions import ImproperlyConfigured

from catalyst.env import Env


def secret_key(env: Env) -> str:
    """Return the configured key, or one that is created once in the data folder. Raises ImproperlyConfigured."""
    if env.secret_key:
        return env.secret_key
    path = env.data / "secret_key"
    try:
        if not path.exists():
            env.data.mkdir(parents=True, exist_ok=True)
            with NamedTemporaryFile("w", dir=env.data) as file:  # made readable by its owner alone
                file.write(secrets.token_urlsafe(48))
                file.flush()
                with suppress(FileExistsError):  # another process was first; a link is never half-written
                    os.link(file.name, path)
        return path.read_text()
    except OSError as error:
        raise ImproperlyConfigured(
            f"The data folder {env.data} can't be used ({error.strerror}). "
            "Set CATALYST_DATA to a folder you can write, or CATALYST_SECRET_KEY."
        ) from error


def write_private(path: Path, text: str) -> None:
    """Replace a file atomically. Only its owner can read it."""
    with NamedTemporaryFile("w", dir=path.parent, delete=False) as file:
        file.write(text)
    os.replace(file.name, path)
