"""Verdicts on one label."""

from dataclasses import dataclass
from datetime import timedelta

from django.db.models import Exists, OuterRef

from catalyst.formats import lasting
from signals.judging.judges import judge_name
from signals.models import Exchange, Label, Verdict
from signals.results import charts

MAX_VERDICTS = 50


@dataclass(frozen=True, slots=True)
class Row:
    """`counts`: the label has its value. `is_kept`: its exchange can be read."""

    verdict: Verdict
    tone: str
    counts: bool
    is_kept: bool

    @property
    def judge(self) -> str:
        return judge_name(self.verdict.model)

    @property
    def took(self) -> str:
        return lasting(timedelta(milliseconds=self.verdict.latency_ms))


def rows(label: Label) -> list[Row]:
    """Up to MAX_VERDICTS + 1 verdicts, newest first."""
    kept = Exists(Exchange.objects.filter(verdict=OuterRef("pk")))
    found = list(label.verdicts.order_by("-pk").annotate(is_kept=kept)[: MAX_VERDICTS + 1])
    counting = next((verdict.pk for verdict in found if verdict.value), None)
    labels, sentiments = label.version.labels, label.version.sentiments
    return [
        Row(
            verdict,
            charts.color_of(verdict.value, labels, sentiments),
            verdict.pk == counting,
            verdict.is_kept,
        )
        for verdict in found
    ]
