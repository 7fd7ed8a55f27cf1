"""The judge of a version."""

from dataclasses import dataclass

from catalyst.llms.endpoints import ConnectedModel, ModelKey, model_named
from signals.definitions.templates import template_for
from signals.judging.offline import JUDGE as OFFLINE
from signals.models import DefinitionModel

OFFLINE_NAME = "offline judge (rules)"


@dataclass(frozen=True, slots=True)
class Judge:
    """The judge of a version: `kind` is "model", "offline" or "none".

    `connection` is the name of the model connection, empty for the instance's endpoint. `reason`: why the connection
    is not asked.
    """

    kind: str
    name: str = ""
    reason: str = ""
    connection: str = ""
    key: ModelKey = (None, "")

    @property
    def is_model(self) -> bool:
        return self.kind == "model"

    @property
    def is_offline(self) -> bool:
        return self.kind == "offline"


def judge_of(version: DefinitionModel) -> Judge:
    if model := model_for(version):
        if error := unusable(model):
            return Judge("none", str(model), error)
        connection = model.connection.name if model.connection else ""
        return Judge("model", str(model), connection=connection, key=model.key)
    if template_for(version.prompt, version.labels):
        return Judge("offline", OFFLINE_NAME)
    return Judge("none", "no model connected")


def judge_name(judge: str) -> str:
    """Return the display name of a label's judge."""
    return OFFLINE_NAME if judge == OFFLINE else judge


def model_for(version: DefinitionModel) -> ConnectedModel:
    """Return the model that judges a version. False if none is connected."""
    if version.connection is not None:
        return ConnectedModel(version.judge_model, version.connection)
    return ConnectedModel(model_named(version.judge_model))


def unusable(model: ConnectedModel) -> str:
    """Return why the connection of a model is not asked any more, or ""."""
    connection = model.connection
    if connection is None or connection.is_usable:
        return ""
    if connection.deleted_at is not None:
        return f"The model connection {connection.name} was deleted. Choose another model for the signal."
    return f"The key of the model connection {connection.name} was revoked. An owner can enter a new one."
