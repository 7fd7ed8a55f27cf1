"""Who acts: a person, an API key, or Catalyst itself."""

from dataclasses import dataclass
from typing import Any

from catalyst.core.models import ApiKey, User


@dataclass(frozen=True, slots=True)
class Actor:
    """A person or an API key; `SYSTEM` is neither."""

    user: User | None = None
    api_key: ApiKey | None = None

    @property
    def name(self) -> str:
        if self.user is not None:
            return self.user.username
        if self.api_key is not None:
            return f"API key {self.api_key.name}"
        return "Catalyst"

    def as_creator(self) -> dict[str, Any]:
        """The columns of an `AuthoredModel` that this actor makes."""
        return {"created_by": self.user, "created_by_key": self.api_key, "created_by_name": self.name}


SYSTEM = Actor()
"""Catalyst itself: commands of operators, and what happens by the clock."""
