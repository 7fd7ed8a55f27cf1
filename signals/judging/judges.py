"""Which judge a version names."""

from dataclasses import dataclass

from catalyst.llms.endpoints import model_named
from signals.definitions.templates import template_for
from signals.judging.offline import JUDGE as OFFLINE
from signals.models import DefinitionModel

OFFLINE_NAME = "offline judge (rules)"


@dataclass(frozen=True, slots=True)
class Judge:
    """What answers a question: a model by this name, the offline judge, or nothing as long as no model is connected."""

    kind: str
    name: str = ""

    @property
    def is_model(self) -> bool:
        """True for a model behind the configured endpoint."""
        return self.kind == "model"

    @property
    def is_offline(self) -> bool:
        """True for the rules, which know the built-in templates only."""
        return self.kind == "offline"


def judge_of(version: DefinitionModel) -> Judge:
    """Who would judge this version now. It need not be saved."""
    if model := model_for(version):
        return Judge("model", model)
    if template_for(version.prompt, version.labels):
        return Judge("offline", OFFLINE_NAME)
    return Judge("none", "no model connected")


def judge_name(judge: str) -> str:
    """What people call the judge that a label names."""
    return OFFLINE_NAME if judge == OFFLINE else judge


def model_for(version: DefinitionModel) -> str:
    """The model that judges a version; empty when none is connected."""
    return model_named(version.judge_model)
