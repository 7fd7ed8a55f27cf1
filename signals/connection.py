"""Who judges a question on this instance, in words for pages."""

from dataclasses import dataclass

from signals import health
from signals.models import JudgeHealth, SignalVersion
from signals.offline import JUDGE as OFFLINE
from signals.templates import template_for

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


def judge_of(version: SignalVersion) -> Judge:
    """Who would judge this version now. It need not be saved."""
    if model := health.model_for(version):
        return Judge("model", model)
    if template_for(version.prompt, version.labels):
        return Judge("offline", OFFLINE_NAME)
    return Judge("none", "no model connected")


def judge_name(judge: str) -> str:
    """What people call the judge that a label names."""
    return OFFLINE_NAME if judge == OFFLINE else judge


def trouble(judge: Judge) -> JudgeHealth | None:
    """Why this judge does not answer; None while it does."""
    if not judge.is_model:
        return None
    found = (each for each in JudgeHealth.objects.troubled() if each.model == judge.name)
    return next((each for each in found if each.url == health.endpoint()), None)
