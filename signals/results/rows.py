"""Rows of a list of labels, with what their targets are called."""

from collections.abc import Sequence
from dataclasses import dataclass

from django.urls import reverse

from catalyst.core.models import Project
from signals.definitions.choices import Scope
from signals.judging.judges import judge_name
from signals.models import Job, Label
from signals.results import charts
from traces.models.span import hex_span_id


@dataclass(frozen=True, slots=True)
class LabelRow[Row: Job = Label]:
    """One label with what it is about. `href` is empty when the target is not stored any more."""

    label: Row
    title: str
    id: str
    href: str

    @property
    def color_class(self) -> str:
        """The sentiment as it is coloured."""
        return charts.sentiment_class(self.label.value, self.label.sentiment)

    @property
    def judge(self) -> str:
        """Who gave the label."""
        return judge_name(self.label.judge)


def load_rows[Row: Job](project: Project, scope: str, labels: Sequence[Row]) -> list[LabelRow[Row]]:
    """Labels of one signal, or targets of one test, with their targets, which one query finds."""
    if scope == Scope.SESSION:
        return _session_rows(project, labels)
    stored = project.traces.filter(trace_id__in={label.trace_id for label in labels if label.trace_id})
    titles = {pk: said or name for pk, said, name in stored.values_list("trace_id", "input_preview", "name")}
    root = reverse("traces:trace-list", args=[project.slug])
    found = []
    for label in labels:
        title, own_id, href = "", label.target_key.rpartition(":")[2], ""
        if label.trace_id in titles:
            title, href = titles[label.trace_id], f"{root}{label.trace_id.hex}/"
            href += "" if label.span_id is None else f"?span={hex_span_id(label.span_id)}"
        found.append(LabelRow(label, title, own_id, href))
    return found


def _session_rows[Row: Job](project: Project, labels: Sequence[Row]) -> list[LabelRow[Row]]:
    keys = {label.session_key for label in labels}
    known = project.sessions.filter(key__in=keys).for_list(project.traces.all())
    named = known.values_list("key", "pk", "opening")  # type: ignore[misc]
    sessions = {key: (pk, opening or "") for key, pk, opening in named}
    found = []
    for label in labels:
        pk, title = sessions.get(label.session_key, (0, ""))
        href = reverse("traces:session-detail", args=[project.slug, pk]) if pk else ""
        found.append(LabelRow(label, title, label.session_key, href))
    return found
