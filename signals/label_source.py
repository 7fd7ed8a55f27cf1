"""Labels for the pages of traces (`traces.label_sources`)."""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from urllib.parse import urlencode
from uuid import UUID

from django.db.models import Count, Min
from django.urls import reverse

from catalyst.core.models import Project
from catalyst.formats import percent
from catalyst.timerange import TimeRange
from signals.definitions.choices import Scope, Sentiment, State
from signals.definitions.templates import TEMPLATES
from signals.judging.judges import judge_name
from signals.models import Label, Signal
from signals.results import bad_labels, facets
from signals.results import labels as label_lists
from signals.results.charts import color_of, sentiment_class
from signals.results.summaries import Summary, summaries
from traces.label_sources import (
    BadLabel,
    Dimension,
    Facet,
    LabelCondition,
    LabelNavigation,
    Matching,
    Measure,
    Pill,
    Start,
)

# Equal labels of one trace: scope, trace id, signal id, signal name, the version's labels, sentiments, value, count, id
# of one of them.
type Row = tuple[str, UUID, int, str, list[str], dict[str, str], str, int, int]


class SignalLabels:
    def pills_for_traces(self, project: Project, trace_ids: Sequence[UUID]) -> Mapping[UUID, list[Pill]]:
        pills: dict[UUID, list[Pill]] = defaultdict(list)
        rows = _of_traces(project, trace_ids)
        for _, trace_id, signal_id, name, labels, sentiments, value, count, pk in rows:
            color_class = sentiment_class(value, sentiments.get(value, Sentiment.NEUTRAL))
            tone, key = color_of(value, labels, sentiments), facets.key_of(signal_id, value)
            href = _href(project, signal_id, pk if count == 1 else None)
            pills[trace_id].append(Pill(name, value, color_class, tone, href=href, count=count, key=key))
        return pills

    def pills_for_trace(
        self, project: Project, trace_id: UUID, start: int, limit: int
    ) -> Sequence[tuple[int | None, Pill]]:
        labels = Label.objects.for_trace(project, trace_id)[start : start + limit]
        return [(label.span_id, _pill(label, project)) for label in labels]

    def pills_for_span(
        self, project: Project, trace_id: UUID, span_id: int, start: int, limit: int
    ) -> Sequence[tuple[int | None, Pill]]:
        labels = Label.objects.for_trace(project, trace_id).filter(span_id=span_id)[start : start + limit]
        return [(label.span_id, _pill(label, project)) for label in labels]

    def pills_for_sessions(self, project: Project, keys: Sequence[str]) -> Mapping[str, list[Pill]]:
        found: dict[str, list[Pill]] = {}
        for label in Label.objects.for_sessions(project, keys):
            found.setdefault(label.session_key, []).append(_pill(label, project))
        return found

    def pills_for_agents(
        self, project: Project, agents: Sequence[int], time_range: TimeRange
    ) -> Mapping[int, list[Pill]]:
        found: dict[int, list[Pill]] = {}
        live = list(Signal.objects.for_project(project).filter(agent__in=agents).live().for_list())
        for each in summaries(live, time_range):
            pill = Pill(each.signal.name, _said(each), href=each.signal.get_absolute_url())
            found.setdefault(each.signal.agent_id, []).append(pill)
        return found

    def inactive_counts(self, project: Project, agents: Sequence[int]) -> Mapping[int, int]:
        inactive = Signal.objects.for_project(project).unarchived().filter(agent__in=agents).exclude(state=State.ACTIVE)
        return dict(inactive.order_by().values_list("agent").annotate(n=Count("pk")))

    def conditions(self, project: Project, keys: Sequence[str]) -> Mapping[str, LabelCondition]:
        return facets.conditions(project, keys)

    def facets(self, project: Project, time_range: TimeRange, agent: int | None) -> list[Facet]:
        return facets.load(project, time_range, agent)

    def counted_facets(
        self, project: Project, agent: int | None, chosen: Sequence[LabelCondition], matching: Matching
    ) -> list[Facet] | None:
        return facets.count(project, agent, chosen, matching)

    def dimensions(self, project: Project, agent: int) -> list[Dimension]:
        return facets.dimensions(project, agent)

    def bad_labels(self, project: Project, agent: int, time_range: TimeRange) -> list[BadLabel]:
        return bad_labels.load(project, agent, time_range)

    def measures(self, project: Project, signals: Collection[int], time_range: TimeRange) -> Mapping[int, Measure]:
        listed = list(Signal.objects.for_project(project).filter(pk__in=signals).for_list())
        found = {}
        for each in summaries(listed, time_range):
            href = f"{each.signal.get_absolute_url()}?{time_range.encoded_query}"
            found[each.signal.pk] = Measure(each.signal.name, _said(each), href)
        return found

    def navigation(self, project: Project, params: Mapping[str, str], now: datetime) -> LabelNavigation | None:
        return label_lists.navigation(project, params, now)

    def starts(self, project: Project, agent: str) -> list[Start]:
        if project.signals.exists():
            return []
        create = reverse("signals:signal-create", args=[project.slug])
        of_agent = {"agent": agent} if agent else {}
        links = [
            Start(each.name, each.description, f"{create}?{urlencode({'template': each.key, **of_agent})}")
            for each in TEMPLATES.values()
        ]
        blank = f"{create}?{urlencode(of_agent)}" if of_agent else create
        return [*links, Start("Your own prompt", "A blank form", blank)]


def _said(summary: Summary) -> str:
    best = summary.headline
    said = f"{best.value} {percent(best.count, best.total)}" if best and best.total else "no labels"
    return said + (f" (labels of {summary.version_range})" if summary.version_range else "")


def _pill(label: Label, project: Project) -> Pill:
    return Pill(
        name=label.signal.name,
        value=label.value,
        sentiment=sentiment_class(label.value, label.sentiment) if label.value else Sentiment.NEUTRAL,
        tone=color_of(label.value, label.version.labels, label.version.sentiments) if label.value else "",
        reason=label.reason,
        href=_href(project, label.signal_id, label.pk),
        judged_by=judge_name(label.judge),
        labelled_at=label.labelled_at,
        status=label.status,
        note=_note(label),
        key=facets.key_of(label.signal_id, label.value) if label.value else "",
    )


def _note(label: Label) -> str:
    if label.status == Label.Status.DONE:
        return ""
    words = label.error or Label.Status(label.status).label
    return f"Judged before it grew. {words}" if label.value else words


def _of_traces(project: Project, trace_ids: Sequence[UUID]) -> list[Row]:
    # Counted in the database: there may be thousands. Labels of spans come last.
    labels = Label.objects.filter(project=project, trace_id__in=list(trace_ids), signal__archived_at=None)
    rows = (
        labels.effective()
        .labelled()
        .values_list(
            "scope", "trace_id", "signal_id", "signal__name", "version__labels", "version__sentiments", "value"
        )
    )
    found = list(rows.annotate(n=Count("id"), one=Min("id")).order_by("signal__name", "signal_id", "value"))
    return sorted(found, key=lambda row: row[0] == Scope.SPAN)


def _href(project: Project, signal_id: int, label_id: int | None) -> str:
    """The page of a label, which tells its reason; of several, that of their signal."""
    if label_id is None:
        return reverse("signals:signal-detail", args=[project.slug, signal_id])
    return reverse("signals:label-detail", args=[project.slug, signal_id, label_id])
