"""A page with every component in every state. Available while DEBUG is on."""

from datetime import datetime
from decimal import Decimal
from typing import Any

from django import forms
from django.contrib import messages
from django.http import HttpResponse
from django.utils import timezone
from django.views.decorators.http import require_safe

from catalyst import figures, timerange
from catalyst.core.access import SignedInRequest
from catalyst.core.models import Project
from catalyst.figures import Series
from catalyst.htmx import render
from catalyst.timerange import TimeRange
from signals.models import Signal
from signals.models.label_rollup import Coverage
from signals.results.charts import Outcome, breakdown
from signals.results.rates import Change, Rate
from signals.results.summaries import Summary
from traces.analytics.overview import overview
from traces.conventions.citations import Citation
from traces.conventions.embedded_files import Attachment
from traces.conventions.message_formats import Message, ToolCall
from traces.label_sources import Pill
from traces.models.trace import TraceFilter
from traces.models.volumes import Volume, Volumes
from traces.transcripts.presentation import Attribute, Conversation, Part

COVERED = Coverage(waiting=3, done=100, failed=2)
WAVE = (4, 6, 9, 7, 3, 2, 5, 8, None, None, 6, 4)
LONG = "The parcel went round the world. " * 60
MARKDOWN = "It left **Lyon** this morning:\n\n- sorted\n- on a lorry\n\n> Arrives on Tuesday.\n\n`track --id 7`"
ORDER = '{"order": 7, "items": [{"name": "lamp", "price": 12.5}], "paid": true, "note": null}'


class SampleForm(forms.Form):
    name = forms.CharField(max_length=100, help_text="What it is for.")
    role = forms.ChoiceField(choices=[("owner", "Owner"), ("viewer", "Viewer")])
    scopes = forms.MultipleChoiceField(
        choices=[("read", "Read"), ("write", "Write")], widget=forms.CheckboxSelectMultiple, label="It may"
    )
    when = forms.DateTimeField(widget=forms.DateTimeInput({"type": "datetime-local"}))
    note = forms.CharField(widget=forms.Textarea({"rows": 3}))


@require_safe
def styleguide(request: SignedInRequest) -> HttpResponse:
    now = timezone.now()
    time_range = timerange.parse(request.GET.dict(), now)
    for level, text in ((messages.SUCCESS, "The key is made"), (messages.ERROR, "The key is not made <yet>")):
        messages.add_message(request, level, text)
    context = {
        "time_range": time_range,
        "form": SampleForm(prefix="empty"),
        "wrong": SampleForm({"wrong-role": "owner"}, prefix="wrong"),
        "states": [Signal(state=state) for state in Signal.State.values] + [Signal(archived_at=now)],
        "labels": _labels(now),
        "conversation": _conversation(),
        "attributes": Part([Attribute("agent.name", "support"), Attribute("order", ORDER), Attribute("long", LONG)], 5),
        "payloads": [ORDER, "plain text", LONG],
        **_pictures(time_range),
    }
    return render(request, "styleguide/index.html", context)


def _labels(now: datetime) -> list[Pill]:
    reason = "The user asks twice for a person and gets none."
    return [
        Pill("Frustration", "yes", "negative", reason, "#labels", "gpt-4.1-mini", now),
        Pill("Outcome", "completed", "positive", "The order was found.", "#labels", "offline rules", now),
        Pill("Sentiment", "neutral", "neutral", count=3),
        Pill("Refund", "", status="queued", note="It waits for the judge."),
    ]


FILES = (
    Attachment("image", "image/png", 183_000, "parcel.png", is_picture=True),
    Attachment("image", address="https://pics.example/cat.png"),
    Attachment("file", address="file-7"),
    Attachment("video", "video/mp4", 31_000_000, is_left_out=True),
)
SOURCES = (
    Citation("Terms of delivery", "https://shop.example/terms", "Within three days."),
    Citation("a.pdf", "file-7"),
)


def _conversation() -> Conversation:
    calls = (
        ToolCall(name="find_order", arguments='{"id": 7}', result=ORDER, duration_us=231_000),
        ToolCall(name="refund", arguments='{"id": 7}', error="TimeoutError: 30 s are over", duration_us=30_000_000),
        ToolCall(name="notify", arguments="{}"),
    )
    return Conversation(
        system=[Message("system", "You help people with their orders. Be brief.")],
        earlier=[Message("user", "Hello"), Message("assistant", "Good morning.")],
        shown=[
            Message("user", "Where is my parcel? <script>alert(1)</script>"),
            Message("assistant", "I look it up.", calls),
            Message("assistant", MARKDOWN),
            Message("user", LONG, attachments=FILES),
            Message("assistant", ORDER, produced=True, citations=SOURCES),
            Message("assistant", "I can't help with that.", refused=True),
            Message("assistant", error="RateLimitError: 429", produced=True),
        ],
    )


def _pictures(time_range: TimeRange) -> dict[str, Any]:
    starts = time_range.buckets()
    values = [WAVE[index % len(WAVE)] for index in range(len(starts))]
    series = [Series("failed", [value and value // 3 for value in values], "negative"), Series("fine", values, "quiet")]
    bars = {start: Volume(value or 0, (value or 0) // 4) for start, value in zip(starts, values, strict=True)}
    traces, errors = sum(bar.traces for bar in bars.values()), sum(bar.errors for bar in bars.values())
    volumes = Volumes({1: Volume(traces, errors, Decimal("0.42"))}, bars)
    outcomes = [
        Outcome(value, sentiment, sentiment, count, 100)
        for value, sentiment, count in (
            ("failed", "negative", 14),
            ("partly", "neutral", 26),
            ("completed", "positive", 60),
        )
    ]
    return {
        "series": series,
        "bars": figures.stacked_bars(starts, series),
        "lines": figures.lines(starts, series),
        "spark": figures.sparkline(WAVE),
        "outcomes": outcomes,
        "breakdown": breakdown(outcomes),
        "overview": overview(volumes, time_range, TraceFilter(project_id=0), {}),
        "rates": [_rate(outcome, starts) for outcome in outcomes],
    }


def _rate(outcome: Outcome, starts: list[datetime]) -> Rate:
    tone = {"negative": "bad", "positive": "good"}.get(outcome.color_class, "")
    signal = Signal(pk=0, project=Project(slug="demo"), name="Task outcome", scope="trace")
    lines, cost = figures.sparkline(WAVE, 100, 100, 10), figures.sparkline(WAVE)
    change, summary = Change("up 9.1 points", tone, "4.9%"), Summary(signal, [outcome], COVERED, None, Decimal("0.42"))
    return Rate(signal, outcome, change, summary, 10, lines, [], cost, figures.time_axis(starts, starts[-1], 4))
