"""Traces that reports cite."""

from datetime import datetime, timedelta
from typing import Any

from catalyst.core.models import Project
from tests.traces.sent import sent_span
from traces.ingest import pipeline
from traces.models.span import span_id_of

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
# It begins like the first.
TWIN = "4bf92f3500000000000000000000000a"
OTHER = "a90c1e6f77b34da6a3ce929d0e0e4736"
UNKNOWN = "deadbeef77b34da6a3ce929d0e0e4736"
ROOT, TOOL, NEGATIVE = "00f067aa0ba902b7", "00f067aa0ba902b8", "f0f067aa0ba902b9"
SAID = "Sorry, the refund\n\ncan't be paid: **timed out** after 2,500 ms. Don\u2019t worry."


def store_trace(project: Project, trace: str, *, start: datetime, text: str = SAID, **attributes: Any) -> None:
    """A trace with a root and two more spans, of which the tool says something."""
    root = span_id_of(ROOT)
    spans = [
        sent_span(root, trace=int(trace, 16), start=start, agent__name="support-bot"),
        sent_span(span_id_of(TOOL), root, trace=int(trace, 16), start=start, output__value=text, **attributes),
        sent_span(span_id_of(NEGATIVE), root, trace=int(trace, 16), start=start),
    ]
    pipeline.store(project.pk, spans, start + timedelta(seconds=2))
