"""Who may read the traces: the offline analyst, and the models that a project can ask."""

from typing import Any

from catalyst.agents.models import Agent
from catalyst.env import env
from catalyst.llms.endpoints import endpoint
from catalyst.llms.models import ModelConnection
from catalyst.params import parse_number
from halo.choices import EngineKind
from halo.models import Run, Schedule
from halo.runs.requests import default_model

OFFLINE = "Offline analyst (rules, no model)"


class Analysts:
    """Values are `rules`, `model` for the one of the environment, and `ID:model` for a model of a connection.

    `asked`: a run or a schedule whose choice is repeated. Its model is listed as long as its connection can be used.
    """

    def __init__(self, agent: Agent, asked: Run | Schedule | None = None) -> None:
        self._agent, self._asked = agent, asked
        self._connections = list(
            ModelConnection.objects.usable().filter(project=agent.project_id).order_by("name", "pk")
        )

    @property
    def has_models(self) -> bool:
        return bool(endpoint() or self._connections)

    @property
    def groups(self) -> list[Any]:
        """Choices for a select field."""
        of_instance = [(EngineKind.MODEL.value, f"{env.judge_model} (this instance)")] if endpoint() else []
        of_connections = [
            (each.name, [(_value(each, model), model) for model in self._models_of(each)]) for each in self._connections
        ]
        return [*of_instance, *of_connections, (EngineKind.RULES.value, OFFLINE)]

    @property
    def initial(self) -> str:
        """The choice of the repeated run if it is still there, else what a run chooses by itself."""
        if self._asked is not None and self._offers(chosen := _value_of(self._asked)):
            return chosen
        model = default_model(self._agent)
        if not model:
            return EngineKind.RULES
        return _value(model.connection, model.name) if model.connection else EngineKind.MODEL

    def _offers(self, value: str) -> bool:
        flat = (each for _, inner in self.groups for each in ([(inner, "")] if isinstance(inner, str) else inner))
        return value in {EngineKind.RULES, EngineKind.MODEL if endpoint() else ""} or value in {key for key, _ in flat}

    def _models_of(self, connection: ModelConnection) -> list[str]:
        return list(dict.fromkeys([connection.default_model, *connection.allowed_models]))


def definition_of(value: str) -> dict[str, Any]:
    """What a choice means for a `Definition`."""
    if value in EngineKind:
        return {"engine": value}
    connection, _, model = value.partition(":")
    return {"engine": EngineKind.MODEL, "connection": parse_number(connection), "model": model}


def _value_of(run: Run | Schedule) -> str:
    if run.by_rules:
        return EngineKind.RULES
    return _value(run.connection, run.model_name) if run.connection else EngineKind.MODEL


def _value(connection: ModelConnection, model: str) -> str:
    return f"{connection.pk}:{model}"
