"""Finds the API key in the headers of a request, and says in words what was there instead. The words never hold it."""

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

SEND = "Send the header «Authorization: Bearer KEY» or «x-api-key: KEY»."
# Files of settings, such as Docker's, keep the quotes around a value.
AROUND = " \t\r\n\"'"
# Any other first word of the header may be a part of a key, so it is not repeated.
KNOWN_SCHEMES = ("Basic", "Bearer", "Digest", "Negotiate", "NTLM", "Token", "ApiKey", "Api-Key", "Api-Token", "Key")


@dataclass(frozen=True, slots=True)
class SentKey:
    """A key and where it was. Without a key, `problem` says why."""

    text: str = ""
    place: str = ""
    problem: str = ""


def sent_key(headers: Mapping[str, Any]) -> SentKey:
    """`headers`: as in `HttpRequest.META`. Without a Bearer key, `x-api-key` comes before other forms."""
    authorization = headers.get("HTTP_AUTHORIZATION", "").strip(AROUND)
    scheme, _, rest = authorization.partition(" ")
    if scheme.lower() == "bearer" and (text := rest.strip(AROUND)):
        return SentKey(text, "the Authorization header")
    if text := headers.get("HTTP_X_API_KEY", "").strip(AROUND):
        return SentKey(text, "the header x-api-key")
    if authorization:
        return _unusual_key(unquote(authorization).strip(AROUND))
    return SentKey(problem="has neither the header Authorization nor x-api-key")


def _unusual_key(authorization: str) -> SentKey:
    scheme, _, rest = authorization.partition(" ")
    rest = rest.strip(AROUND)
    if scheme.lower() == "basic":
        return _basic_key(rest)
    known = next((known for known in KNOWN_SCHEMES if known.lower() == scheme.lower()), None)
    if not rest and not known:
        return SentKey(scheme, "the Authorization header, which has no Bearer,")
    if scheme.lower() == "bearer":
        return SentKey(rest, "the percent-encoded Authorization header") if rest else _problem("Bearer without a key")
    return _problem(f"the scheme {known}" if known else "another scheme than Bearer")


def _basic_key(credentials: str) -> SentKey:
    try:
        padding = "=" * (-len(credentials) % 4)
        decoded = base64.b64decode(credentials + padding, validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        return _problem("the scheme Basic without a user and password in base64")
    user, _, password = decoded.partition(":")
    if text := password.strip():
        return SentKey(text, "the password of the Authorization header, which has the scheme Basic,")
    if text := user.strip():
        return SentKey(text, "the user of the Authorization header, which has the scheme Basic and no password,")
    return _problem("the scheme Basic with neither a user nor a password")


def _problem(found: str) -> SentKey:
    return SentKey(problem=f"has an Authorization header with {found}")
