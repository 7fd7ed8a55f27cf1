"""The actor of a change: a person, an API key, Catalyst, or somebody who is not signed in."""

from dataclasses import dataclass
from typing import Any

from catalyst.core.models import ApiKey, User


@dataclass(frozen=True, slots=True)
class Actor:
    user: User | None = None
    api_key: ApiKey | None = None
    other_name: str = "Catalyst"

    @property
    def name(self) -> str:
        if self.user is not None:
            return self.user.username
        if self.api_key is not None:
            return f"API key {self.api_key.name}"
        return self.other_name

    @property
    def audit_name(self) -> str:
        """The name, and what tells a key from others of its name."""
        return f"API key {self.api_key}" if self.user is None and self.api_key is not None else self.name

    def as_creator(self) -> dict[str, Any]:
        """Return the creator columns of an `AuthoredModel`."""
        return {"created_by": self.user, "created_by_key": self.api_key, "created_by_name": self.name}


# Catalyst itself: operators' commands and scheduled work.
SYSTEM = Actor()
STRANGER = Actor(other_name="Somebody")
