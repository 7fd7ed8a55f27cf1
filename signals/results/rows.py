"""Rows of label lists, with the titles of their targets."""

from collections.abc import Sequence
from dataclasses import dataclass

from catalyst.core.models import Project
from signals.judging.judges import judge_name
from signals.models import Job, Label
from signals.results import charts
from signals.targets.base import Link
from signals.targets.scopes import targets_of

NOT_STORED = Link("", "")


@dataclass(frozen=True, slots=True)
class LabelRow[Row: Job = Label]:
    """One label and its target. `href` is empty if the target is no longer stored."""

    label: Row
    title: str
    id: str
    href: str

    @property
    def color_class(self) -> str:
        return charts.sentiment_class(self.label.value, self.label.sentiment)

    @property
    def tone(self) -> str:
        version = self.label.version
        return charts.color_of(self.label.value, version.labels, version.sentiments)

    @property
    def judge(self) -> str:
        return judge_name(self.label.judge)


def load_rows[Row: Job](project: Project, scope: str, labels: Sequence[Row]) -> list[LabelRow[Row]]:
    """Labels of one signal, or items of one test, with their targets. One query."""
    targets = targets_of(scope)
    links = targets.links(project, labels)
    rows: list[LabelRow[Row]] = []
    for label in labels:
        link = links.get(label.target_key, NOT_STORED)
        rows.append(LabelRow(label, link.title, targets.id_of(label), link.href))
    return rows
