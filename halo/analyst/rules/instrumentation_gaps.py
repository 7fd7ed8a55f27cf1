"""What senders do not tell, each with the line of code or the setting that mends it."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import override

from halo.analyst.before import CountsBefore
from halo.analyst.citing import Place
from halo.analyst.material import Candidate, Step, Texts, TraceRun, Window
from halo.analyst.texts import Thinned, read
from halo.analyst.touched import Touched
from halo.analyst.wording import share_of_runs, short
from halo.choices import Category, Severity

MIN_RUNS = 3
# From this share of runs on a gap hides enough to be of medium severity.
MEDIUM_SHARE = 0.5
# A gap does no harm itself, so it comes after what does.
WEIGHT = 0.05
# Runs of which the model call with the longest input is read for what its sender dropped.
MAX_READ = 1_000
DROPPED = ("otel.dropped_attributes_count", "otel.dropped_events_count", "otel.dropped_links_count")
MAX_SHOWN_MODELS = 5


@dataclass(frozen=True, slots=True)
class _Gap:
    """`title` goes before the number of runs."""

    title: str
    category: Category
    happens: str
    fix: str


GAPS = {
    "session": _Gap(
        "No session ID was sent in",
        Category.QUALITY,
        "Their turns are not joined to a conversation, so pages and signals about sessions miss them.",
        'Set the ID of the conversation on the root span: span.set_attribute("session.id", conversation_id). With '
        "OpenInference, wrap the run: with using_session(conversation_id).",
    ),
    "content": _Gap(
        "No text of model calls was sent in",
        Category.QUALITY,
        "Model calls have tokens, but neither input nor output. Nobody can read, judge or cite them.",
        "Let the instrumentation record text: OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT=SPAN_ONLY with "
        "OTEL_SEMCONV_STABILITY_OPT_IN=gen_ai_latest_experimental; with OpenInference, unset "
        "OPENINFERENCE_HIDE_INPUTS and OPENINFERENCE_HIDE_OUTPUTS; with OpenLLMetry, TRACELOOP_TRACE_CONTENT=true.",
    ),
    "tokens": _Gap(
        "Model calls tell no tokens in",
        Category.COST,
        "Their cost is not known, so sums of tokens and cost are too low.",
        'Ask for usage in streams, as with stream_options={"include_usage": True} of OpenAI\'s client, or set '
        "llm.token_count.prompt and llm.token_count.completion on the span.",
    ),
    "orphan": _Gap(
        "Spans name a parent that never came in",
        Category.RELIABILITY,
        "Their place in the run is not known, and if the missing span is the root, neither is whether the run "
        "succeeded.",
        "Call tracer_provider.shutdown() before the process ends, pass the context into threads and to other "
        "services (traceparent), and let all services of a run use one sampler: "
        "OTEL_TRACES_SAMPLER=parentbased_always_on.",
    ),
    "price": _Gap(
        "Model calls have no known price in",
        Category.COST,
        "Their tokens are counted, but sums of cost leave them out.",
        "Send the cost of the call as llm.cost.total in US dollars, or the name of the model as its provider lists "
        "it, with llm.provider.",
    ),
    "clock": _Gap(
        "The clock of the sender is far off in",
        Category.RELIABILITY,
        "Their start can't be right, so they are missing in lists and charts of the time in which they ran.",
        "Set the clock by NTP (timedatectl set-ntp true), and send times in nanoseconds since 1970.",
    ),
    "dropped": _Gap(
        "The sender dropped attributes in",
        Category.QUALITY,
        "The spans have more attributes than the SDK keeps, so messages of long conversations are missing.",
        "Raise the limits of the SDK before it starts: OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT=10000 and "
        "OTEL_SPAN_EVENT_COUNT_LIMIT=1000.",
    ),
}


class InstrumentationGaps(CountsBefore):
    """Counts runs that lack something."""

    def __init__(self) -> None:
        self._touched: dict[str, Touched] = defaultdict(Touched)
        self._models: Counter[str] = Counter()
        self._longest: Thinned[Place] = Thinned(MAX_READ)

    @override
    def add(self, run: TraceRun, steps: Sequence[Step]) -> None:
        if run.session_id is None:
            self._touched["session"].add(run)
        if run.skewed:
            self._touched["clock"].add(run)
        self._note_orphans(run, steps)
        calls = [step for step in steps if step.kind == "LLM"]
        for call in calls:
            self._note_call(run, call)
        if calls:
            longest = max(calls, key=lambda call: call.input_size)
            self._longest.add(Place(run, longest.span_id))

    def _note_orphans(self, run: TraceRun, steps: Sequence[Step]) -> None:
        known = {step.span_id for step in steps}
        orphan = next((step for step in steps if step.parent_id is not None and step.parent_id not in known), None)
        if orphan is not None:
            self._touched["orphan"].add(run, orphan.span_id)

    def _note_call(self, run: TraceRun, call: Step) -> None:
        has_tokens = bool(call.input_tokens or call.output_tokens)
        if not has_tokens and call.duration_us is not None and call.status != "error":
            self._touched["tokens"].add(run, call.span_id)
        if has_tokens and not call.input_size and not call.output_size:
            self._touched["content"].add(run, call.span_id)
        if has_tokens and call.cost is None:
            self._touched["price"].add(run, call.span_id)
            self._models[call.model or "(no name)"] += 1

    @override
    def candidates(self, window: Window, texts: Texts) -> Sequence[Candidate]:
        for place, payload in read(texts, self._longest.items):
            if any(payload.attributes.get(name) for name in DROPPED):
                self._touched["dropped"].add(place.run, place.span_id)
        return [
            self._candidate(name, gap, self._touched[name], window)
            for name, gap in GAPS.items()
            if len(self._touched[name]) >= MIN_RUNS
        ]

    def _candidate(self, name: str, gap: _Gap, touched: Touched, window: Window) -> Candidate:
        share = len(touched) / window.total
        return Candidate(
            kind="instrumentation_gap",
            title=f"{gap.title} {share_of_runs(len(touched), window.total)}",
            category=gap.category,
            severity=Severity.MEDIUM if share > MEDIUM_SHARE else Severity.LOW,
            signature=f"instrumentation_gap:{name}",
            happens=gap.happens,
            fix=gap.fix,
            evidence=self._evidence(name),
            traces=touched.traces,
            harm=WEIGHT * share,
            # Texts of the window before can't be read.
            prior_count=len(self.before._touched[name]) if self.before and name != "dropped" else None,
            cause=f"instrumentation:{name}",
            citations=touched.citations(),
        )

    def _evidence(self, name: str) -> str:
        if name == "price":
            listed = ", ".join(
                f"{short(model)} ({count:,})" for model, count in self._models.most_common(MAX_SHOWN_MODELS)
            )
            return f"Calls by model: {listed}."
        if name == "dropped" and not self._longest.is_whole:
            return f"{len(self._longest.items):,} runs were read, spread evenly, so there are probably more."
        return ""
