"""Questions about a report: the box that takes them, and the conversation below the report."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.http import Http404, HttpResponse
from django.shortcuts import redirect
from django.utils.safestring import SafeString

from catalyst.core.access import ProjectRequest
from catalyst.htmx import render, wants_partial
from halo.forms.questions import QuestionForm
from halo.models import Run
from halo.runs import follow_ups
from halo.views import progress, signal_links
from halo.views.chips import Chip, chips_of, html_of
from halo.views.progress import Progress
from halo.views.rows import tone
from halo.views.signal_links import Draft


@dataclass(frozen=True, slots=True)
class Exchange:
    """A question with its answer so far. `progress`: while it is under way."""

    run: Run
    chips: Sequence[Chip]
    progress: Progress | None
    drafts: Sequence[Draft] = ()

    @property
    def tone(self) -> str:
        return tone(self.run)

    @property
    def text(self) -> SafeString:
        """The answer, with its citations in place."""
        return html_of(self.run, [chip.citation for chip in self.chips])(self.run.text)


def context(report: Run, now: datetime) -> dict[str, Any]:
    """Of a report that has ended."""
    asked = follow_ups.of(report.conversation).select_related("project", "conversation", "agent")
    return {
        "exchanges": [_exchange(run, now) for run in asked],
        "why_no_question": follow_ups.why_not(report),
        "question_form": QuestionForm(),
    }


def question(request: ProjectRequest, run: Run, now: datetime) -> HttpResponse:
    """The part of a question. Its page is that of its report."""
    if wants_partial(request):
        return render(request, "halo/parts/exchange.html", {"exchange": _exchange(run, now), "is_polled": True})
    report = follow_ups.report_of(run)
    if report is None:
        raise Http404("Its report was deleted")
    return redirect(f"{report.get_absolute_url()}#question-{run.pk}")


def _exchange(run: Run, now: datetime) -> Exchange:
    under_way = progress.of(run, now) if run.is_open else None
    return Exchange(run, chips_of(run)[0], under_way, signal_links.of_run(run))
