"""The judge of a version."""

from dataclasses import dataclass

from catalyst.llms.endpoints import model_named
from signals.definitions.templates import template_for
from signals.judging.offline import JUDGE as OFFLINE
from signals.models import DefinitionModel

OFFLINE_NAME = "offline judge (rules)"


@dataclass(frozen=True, slots=True)
class Judge:
    """The judge of a version: `kind` is "model", "offline" or "none"."""

    kind: str
    name: str = ""

    @property
    def is_model(self) -> bool:
        return self.kind == "model"

    @property
    def is_offline(self) -> bool:
        return self.kind == "offline"


def judge_of(version: DefinitionModel) -> Judge:
    if model := model_for(version):
        return Judge("model", model)
    if template_for(version.prompt, version.labels):
        return Judge("offline", OFFLINE_NAME)
    return Judge("none", "no model connected")


def judge_name(judge: str) -> str:
    """Return the display name of a label's judge."""
    return OFFLINE_NAME if judge == OFFLINE else judge


def model_for(version: DefinitionModel) -> str:
    """Return the model that judges a version, or "" if none is connected."""
    return model_named(version.judge_model)
