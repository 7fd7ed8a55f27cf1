"""Negative labels with the traces that have them, for findings about what these have in common."""

from uuid import UUID

from django.db.models import Q

from catalyst.core.models import Project
from catalyst.timerange import TimeRange
from signals.definitions.choices import Scope, Sentiment
from signals.models import Signal
from signals.results import facets
from traces.label_sources import BadLabel
from traces.models import Trace

MAX_SIGNALS = 20
MAX_LABELS = 30
MAX_TRACES = 20_000


def load(project: Project, agent: int, time_range: TimeRange) -> list[BadLabel]:
    """Labels that the current version of a signal calls negative. Takes two queries for each, at most MAX_LABELS."""
    signals = Signal.objects.for_project(project).unarchived().filter(agent=agent, current_version__isnull=False)
    values = [(signal, value) for signal in signals.for_list()[:MAX_SIGNALS] for value in _negative_values(signal)]
    found = (_bad_label(project, signal, value, time_range) for signal, value in values[:MAX_LABELS])
    return [label for label in found if label.traces]


def _negative_values(signal: Signal) -> list[str]:
    assert signal.current_version is not None
    sentiments = signal.current_version.sentiments
    return sorted(value for value, sentiment in sentiments.items() if sentiment == Sentiment.NEGATIVE)


def _bad_label(project: Project, signal: Signal, value: str, time_range: TimeRange) -> BadLabel:
    key, any_key = facets.key_of(signal.pk, value), str(signal.pk)
    conditions = facets.conditions(project, [key, any_key])
    of_agent = Trace.objects.filter(project=project, agent=signal.agent_id).within(time_range).newest()

    def ids(condition: Q) -> frozenset[UUID]:
        return frozenset(of_agent.filter(condition).values_list("trace_id", flat=True)[:MAX_TRACES])

    traces = ids(conditions[key].traces)
    others = ids(conditions[any_key].traces) - traces
    return BadLabel(key, signal.name, value, traces, others, of_sessions=signal.scope == Scope.SESSION)
