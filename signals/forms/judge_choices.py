"""The models that a signal may choose, grouped by connection."""

from collections.abc import Iterator
from typing import Any

from catalyst.core.models import Project
from catalyst.env import env
from catalyst.llms.endpoints import OFFLINE, endpoint
from catalyst.llms.models import ModelConnection
from signals.definitions.definition import judge_models
from signals.models import SignalVersion

# Both judge alike until the instance has a model.
OFFLINE_BY_DEFAULT = "Offline judge (rules), until this instance has a model"
OFFLINE_ALWAYS = "Offline judge (rules), always"


class JudgeChoices:
    """Values are names of models of the instance, and `ID:model` for a model of a connection.

    `current` is the version that is edited. Its choice is listed even if it is no longer allowed.
    """

    def __init__(self, project: Project, current: SignalVersion | None) -> None:
        self._current = current
        self._connections = list(project.model_connections.usable().order_by("name", "pk"))
        chosen = current.connection if current else None
        if chosen and chosen not in self._connections:
            self._connections.append(chosen)
        self._by_value = {
            _value(each, model): (each, model) for each in self._connections for model in self._models_of(each)
        }

    @property
    def groups(self) -> list[Any]:
        kept = self._current.judge_model if self._current and not self._current.connection_id else ""
        default = f"Instance default ({env.judge_model})" if endpoint() else OFFLINE_BY_DEFAULT
        named = ((model, OFFLINE_ALWAYS if model == OFFLINE else model) for model in judge_models(kept))
        return [("", default), *named, *self._groups_of_connections()]

    @property
    def initial(self) -> str:
        """Return the current choice. A new signal starts with what the instance has, else with a connection."""
        if self._current is not None:
            connection, model = self._current.connection, self._current.judge_model
            return _value(connection, model) if connection else model
        usable = [each for each in self._connections if each.is_usable]
        return "" if endpoint() or not usable else _value(usable[0], usable[0].default_model)

    def connection(self, value: str) -> ModelConnection | None:
        found = self._by_value.get(value)
        return found[0] if found else None

    def kept_model(self, value: str) -> str:
        """Return the model of the current version if `value` is its choice. It may be no longer allowed."""
        return self._current.judge_model if self._current and value == self.initial else ""

    def connection_name(self, value: str) -> str:
        connection = self.connection(value)
        return connection.name if connection else ""

    def model_name(self, value: str) -> str:
        found = self._by_value.get(value)
        return found[1] if found else value

    def _groups_of_connections(self) -> Iterator[tuple[str, list[tuple[str, str]]]]:
        for each in self._connections:
            state = "" if each.is_usable else " (deleted)" if each.deleted_at else " (key revoked)"
            models = self._models_of(each)
            yield f"{each.name}{state}", [(_value(each, model), model) for model in models]

    def _models_of(self, connection: ModelConnection) -> list[str]:
        models = dict.fromkeys([connection.default_model, *connection.allowed_models])
        if self._current and self._current.connection_id == connection.pk:
            models[self._current.judge_model] = None
        return list(models)


def _value(connection: ModelConnection, model: str) -> str:
    return f"{connection.pk}:{model}"
