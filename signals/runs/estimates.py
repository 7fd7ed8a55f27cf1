"""What judging some targets takes, told before anything is spent: tokens, dollars, time."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from django.db.models import Avg, Count

from catalyst.env import env
from catalyst.formats import roughly
from catalyst.pricing import price
from signals.judging import offline, worker
from signals.judging.calls import JudgeCall
from signals.judging.judges import model_for
from signals.judging.prompt import CHARACTERS_PER_TOKEN
from signals.models import SignalVersion, Verdict
from signals.targets.scopes import load_inputs
from signals.targets.target import Target

READ = 10
"""Prompts that are built to learn how long they are."""
SEEN = 200
"""The newest verdicts of a version tell what its calls take, when there are at least ENOUGH of them."""
ENOUGH = 20
ANSWER_TOKENS = 60
ANSWER_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class Estimate:
    """What so many calls take. `cost` is None where the model has no public price; `seen`: told by earlier calls."""

    calls: int
    model: str
    input_tokens: int = 0
    output_tokens: int = 0
    cost: Decimal | None = None
    takes: timedelta = timedelta()
    seen: bool = False

    @property
    def text(self) -> str:
        """How long it takes."""
        return roughly(self.takes)


def of_calls(version: SignalVersion, calls: int, examples: Sequence[Target], now: datetime) -> Estimate:
    """What it takes to judge so many targets like these examples."""
    model = model_for(version)
    if not model:
        return Estimate(calls, offline.JUDGE, cost=Decimal(0))
    earlier = _seen(version)
    tokens, output, seconds = earlier or (_prompt_tokens(version, examples, now), ANSWER_TOKENS, ANSWER_SECONDS)
    each = price("", model, round(tokens), round(output), None, None, now)
    return Estimate(
        calls,
        model,
        round(calls * tokens),
        round(calls * output),
        None if each is None else calls * each.total,
        timedelta(seconds=round(seconds * max(calls / env.judge_concurrency, min(calls, 1)))),
        seen=earlier is not None,
    )


def _seen(version: SignalVersion) -> tuple[float, float, float] | None:
    """Input tokens, output tokens and seconds of an average call of this version, of those that answered."""
    if version._state.adding:
        return None
    newest = Verdict.objects.filter(label__version=version, input_tokens__gt=0).order_by("-id").values("id")[:SEEN]
    means = Verdict.objects.filter(id__in=newest).aggregate(
        count=Count("id"), input=Avg("input_tokens"), output=Avg("output_tokens"), milliseconds=Avg("latency_ms")
    )
    if means["count"] < ENOUGH:
        return None
    return float(means["input"]), float(means["output"] or 0), float(means["milliseconds"]) / 1000


def _prompt_tokens(version: SignalVersion, examples: Sequence[Target], now: datetime) -> float:
    labels = [match.label_of(version) for match in examples[:READ]]
    prepared = [worker.prepare(label, read, now, {}) for label, read in load_inputs(labels)]
    sizes = [
        sum(len(message["content"]) for message in call.messages) for call in prepared if isinstance(call, JudgeCall)
    ]
    return sum(sizes) / len(sizes) / CHARACTERS_PER_TOKEN if sizes else 0
