"""Long prompts with one beginning that the provider does not read from its cache."""

from array import array
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from itertools import pairwise, takewhile
from statistics import median
from typing import NamedTuple, override

from catalyst import formats
from catalyst.pricing import price
from halo.analyst.before import CountsBefore
from halo.analyst.material import Candidate, Step, Texts, TraceRun, Window
from halo.analyst.severities import severity_of
from halo.analyst.texts import read, sent
from halo.analyst.touched import Touched
from halo.analyst.wording import counted, runs, short
from halo.choices import Category

KIND = "uncached_prompt"
MIN_RUNS = 3
MIN_CALLS = 20
# The shortest beginning that OpenAI, Anthropic and Google cache.
MIN_TOKENS = 1_024
# A step uses the cache if so much of its input comes from there.
CACHED_SHARE = 0.1
# Seconds for which providers keep a beginning, at least.
KEPT_SECONDS = 300
# Prompts that are compared, and the beginning by which they are: of most of them it must be the same.
MAX_COMPARED = 40
BEGINNING_CHARACTERS = 2_000
SAME_SHARE = 0.8

# Name of the step, and model.
type Where = tuple[str, str]


@dataclass(slots=True)
class _Calls:
    """Long calls of one step. `times`: seconds since the epoch."""

    touched: Touched = field(default_factory=Touched)
    times: array[float] = field(default_factory=lambda: array("d"))
    input_tokens: int = 0
    cached_tokens: int = 0

    @property
    def uses_cache(self) -> bool:
        return self.cached_tokens > CACHED_SHARE * self.input_tokens

    @property
    def soon_repeated(self) -> int:
        """Calls that follow another one while the provider would still know its beginning."""
        return sum(after - before <= KEPT_SECONDS for before, after in pairwise(sorted(self.times)))


class _Saved(NamedTuple):
    """What caching would save. `tokens`: of the beginning that calls share; `cost` is None without a price."""

    calls: int
    tokens: int
    cost: Decimal | None


class UncachedPrompts(CountsBefore):
    """Finds steps with long inputs and no cached tokens, and reads a few of the inputs to see if they begin alike."""

    def __init__(self) -> None:
        self._calls: dict[Where, _Calls] = defaultdict(_Calls)
        self._tokens = 0
        self._cost = Decimal(0)

    @override
    def add(self, run: TraceRun, steps: Sequence[Step]) -> None:
        self._tokens += run.input_tokens
        self._cost += run.cost
        for step in steps:
            tokens = step.input_tokens or 0
            if step.kind == "LLM" and tokens >= MIN_TOKENS and step.input_size >= BEGINNING_CHARACTERS:
                calls = self._calls[step.name, step.model]
                calls.times.append(step.start_time.timestamp())
                calls.input_tokens += tokens
                calls.cached_tokens += step.cached_tokens or 0
                if not step.cached_tokens:
                    calls.touched.add(run, step.span_id, tokens)

    @override
    def candidates(self, window: Window, texts: Texts) -> Sequence[Candidate]:
        found = []
        for where, calls in self._calls.items():
            if len(calls.touched) < MIN_RUNS or len(calls.times) < MIN_CALLS or calls.uses_cache:
                continue
            saved = _saved(where, calls, _shared_tokens(calls.touched, texts), window.end)
            if saved.tokens >= MIN_TOKENS and saved.calls:
                found.append(self._candidate(where, calls, saved))
        return found

    def _candidate(self, where: Where, calls: _Calls, saved: _Saved) -> Candidate:
        name, model = where
        touched = calls.touched
        # Without a price, a cached token counts as half saved.
        share = saved.calls * saved.tokens / max(self._tokens, 1) / 2
        if saved.cost is not None and self._cost:
            share = float(saved.cost / self._cost)
        gain = formats.usd(saved.cost) if saved.cost else f"{formats.short(saved.calls * saved.tokens)} tokens"
        cached = formats.percent(calls.cached_tokens, calls.input_tokens)
        return Candidate(
            kind=KIND,
            title=(
                f"{short(name)} sends {short(model or 'its model')} the same {formats.short(saved.tokens)} tokens in "
                f"{runs(len(touched))}, and {cached} of its input is cached"
            ),
            category=Category.COST,
            severity=severity_of(wasted=share),
            signature=f"{KIND}:{name}:{model}",
            happens=(
                f"{counted(len(calls.times), 'call')} of this step have at least {MIN_TOKENS:,} tokens of input "
                f"and begin with the same text. {saved.calls:,} of them come within {KEPT_SECONDS // 60} minutes "
                "of another one, so the provider could still know the beginning."
            ),
            fix=(
                "Put what never changes first: instructions, tools, examples; then what changes, such as the date "
                "and the user. OpenAI and Google then cache it by themselves; for Anthropic, mark the end of the "
                "beginning with cache_control."
            ),
            evidence=f"Caching would save about {gain} in this window, at the list price of cached input.",
            traces=touched.traces,
            harm=share,
            prior_count=len(self.before._calls[where].touched) if self.before else None,
            cause=model,
            cost=saved.cost,
            tokens=saved.calls * saved.tokens,
            citations=touched.citations(),
        )


def _shared_tokens(touched: Touched, texts: Texts) -> int:
    """About how many tokens the inputs of most runs begin with alike, from a few of them."""
    places = touched.places
    compared = list(read(texts, places[:: len(places) // MAX_COMPARED + 1]))
    inputs = [sent(payload) for _, payload in compared]
    if not inputs:
        return 0
    ((beginning, count),) = Counter(text[:BEGINNING_CHARACTERS] for text in inputs).most_common(1)
    if count < max(2, SAME_SHARE * len(inputs)):
        return 0
    alike = [text for text in inputs if text.startswith(beginning)]
    # What the first and the last text in order have in common, all have.
    shared = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(min(alike), max(alike), strict=False)))
    tokens = median(place.badness for place, _ in compared)
    return int(shared / median(map(len, alike)) * tokens)


def _saved(where: Where, calls: _Calls, tokens: int, at: datetime) -> _Saved:
    fresh, cached = (price("", where[1], tokens, 0, count, 0, at) for count in (0, tokens))
    count = calls.soon_repeated
    cost = None if fresh is None or cached is None else round((fresh.total - cached.total) * count, 9)
    return _Saved(count, tokens, cost)
