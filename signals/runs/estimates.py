"""Estimates of tokens, dollars and time before targets are judged."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from django.db.models import Avg, Count

from catalyst.env import env
from catalyst.formats import roughly
from signals.judging import offline, worker
from signals.judging.calls import JudgeCall
from signals.judging.judges import model_for
from signals.judging.prompt import CHARACTERS_PER_TOKEN
from signals.models import SignalVersion, Verdict
from signals.targets.scopes import load_inputs
from signals.targets.target import Target

# Prompts built to measure their length.
MAX_EXAMPLES = 10
# The newest verdicts of a version, averaged if there are at least MIN_VERDICTS.
MAX_VERDICTS = 200
MIN_VERDICTS = 20
ANSWER_TOKENS = 60
ANSWER_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class Estimate:
    """Tokens, US dollars and time of judge calls. `cost` is None without a known price.

    `is_measured`: based on earlier calls of the version.
    """

    calls: int
    model: str
    input_tokens: int = 0
    output_tokens: int = 0
    cost: Decimal | None = None
    duration: timedelta = timedelta()
    is_measured: bool = False

    @property
    def text(self) -> str:
        return roughly(self.duration)


def estimate_calls(version: SignalVersion, calls: int, examples: Sequence[Target], now: datetime) -> Estimate:
    """Estimate `calls` calls on targets like these examples."""
    model = model_for(version)
    if not model:
        return Estimate(calls, offline.JUDGE, cost=Decimal(0))
    at_once = model.connection.concurrency if model.connection else env.judge_concurrency
    earlier = _measured_averages(version)
    tokens, output, seconds = earlier or (_prompt_tokens(version, examples, now), ANSWER_TOKENS, ANSWER_SECONDS)
    call_price = model.price(round(tokens), round(output), None, now)
    return Estimate(
        calls,
        str(model),
        round(calls * tokens),
        round(calls * output),
        None if call_price is None else calls * call_price,
        timedelta(seconds=round(seconds * max(calls / at_once, min(calls, 1)))),
        is_measured=earlier is not None,
    )


def _measured_averages(version: SignalVersion) -> tuple[float, float, float] | None:
    if version._state.adding:
        return None
    newest = (
        Verdict.objects.filter(label__version=version, input_tokens__gt=0).order_by("-id").values("id")[:MAX_VERDICTS]
    )
    means = Verdict.objects.filter(id__in=newest).aggregate(
        count=Count("id"), input=Avg("input_tokens"), output=Avg("output_tokens"), milliseconds=Avg("latency_ms")
    )
    if means["count"] < MIN_VERDICTS:
        return None
    return float(means["input"]), float(means["output"] or 0), float(means["milliseconds"]) / 1000


def _prompt_tokens(version: SignalVersion, examples: Sequence[Target], now: datetime) -> float:
    labels = [match.label_of(version) for match in examples[:MAX_EXAMPLES]]
    prepared = [worker.prepare(label, read, now, {}) for label, read in load_inputs(labels)]
    calls = [call for call in prepared if isinstance(call, JudgeCall)]
    sizes = [sum(len(message["content"]) for message in call.messages) for call in calls]
    return sum(sizes) / len(sizes) / CHARACTERS_PER_TOKEN if sizes else 0
