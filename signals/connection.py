"""Who judges a question on this instance, in words for pages."""

from collections.abc import Iterable
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


def troubles() -> dict[str, JudgeHealth]:
    """The models of the endpoint that did not answer when last asked, by name. One query."""
    return {each.model: each for each in JudgeHealth.objects.troubled().filter(url=health.endpoint())}


def trouble(judge: Judge) -> JudgeHealth | None:
    """Why this judge does not answer; None while it does."""
    return troubles().get(judge.name) if judge.is_model else None


@dataclass(frozen=True, slots=True)
class Silence:
    """Why no judge answers, for people: in short, and in words."""

    title: str
    words: str


def silences(versions: Iterable[SignalVersion]) -> dict[int | None, Silence]:
    """The versions that no judge answers for, by id. One query for all."""
    known = troubles()
    found: dict[int | None, Silence] = {}
    for version in versions:
        judge = judge_of(version)
        if judge.kind == "none":
            found[version.pk] = Silence("No judge", "No model is connected, so every label fails.")
        elif judge.is_model and judge.name in known:
            words = f"{judge.name} does not answer: {known[judge.name].error}"
            found[version.pk] = Silence("Judge does not answer", words)
    return found
