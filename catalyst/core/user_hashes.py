"""Keyed hashes of the ids of end users, which tell nothing without the key of the project.

Rows that outlive spans keep a hash instead of the id, so that the data of a user can still be found and deleted.
"""

import hmac
import logging
import secrets
from uuid import UUID

from catalyst.core.encrypted_fields import SecretUnreadable
from catalyst.core.models import UserHashKey

logger = logging.getLogger(__name__)

KEY_BYTES = 32
HASH_BYTES = 16

# Keys that were stored before, by project. They never change.
_known: dict[int, bytes] = {}


def user_hash(project_id: int, user: str) -> UUID | None:
    """The hash of a user id, 16 bytes of HMAC-SHA256. None if there is no id, or the key can't be decrypted."""
    key = _key(project_id) if user else None
    if key is None:
        return None
    return UUID(bytes=hmac.digest(key, user.encode(), "sha256")[:HASH_BYTES])


def _key(project_id: int) -> bytes | None:
    if project_id in _known:
        return _known[project_id]
    made = {"key": secrets.token_hex(KEY_BYTES)}
    row, is_new = UserHashKey.objects.get_or_create(project_id=project_id, defaults=made)
    try:
        key = bytes.fromhex(row.key.reveal())
    except SecretUnreadable as error:
        # Labels must not wait for that.
        logger.error("Labels are stored without a hash of their user: %s", error)
        return None
    if not is_new:
        # One that was just made may still be rolled back.
        _known[project_id] = key
    return key
