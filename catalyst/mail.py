"""The mail server that CATALYST_MAIL_URL names."""

from typing import Any
from urllib.parse import SplitResult, unquote, urlsplit

TIMEOUT_SECONDS = 20
# Port and Django's option for encryption, by scheme.
SCHEMES = {"smtp": (587, "use_tls"), "smtps": (465, "use_ssl")}


def checked_mail_url(url: str) -> str:
    """Raise ValueError, without the password, unless the URL names a mail server."""
    if url:
        _parts(url)
    return url


def mailers(url: str) -> dict[str, Any]:
    """Django's setting MAILERS. Without a mail server, messages go to the standard output."""
    if not url:
        return {"default": {"BACKEND": "django.core.mail.backends.console.EmailBackend"}}
    parts = _parts(url)
    port, encryption = SCHEMES[parts.scheme]
    options = {
        "host": parts.hostname,
        "port": parts.port or port,
        "username": unquote(parts.username or ""),
        "password": unquote(parts.password or ""),
        # Without credentials it is a relay on this machine or network, which often has no certificate.
        encryption: parts.scheme == "smtps" or bool(parts.username),
        "timeout": TIMEOUT_SECONDS,
    }
    return {"default": {"BACKEND": "django.core.mail.backends.smtp.EmailBackend", "OPTIONS": options}}


def _parts(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        is_right = parts.scheme in SCHEMES and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        is_right = False
    if not is_right:
        raise ValueError("Use smtp://user:password@host:587 or smtps://user:password@host.")
    return parts
