"""Labels as filters of trace and session lists.

In a URL, `12:yes` is the value yes of signal 12. `12` is any value. `12!waiting` and `12!failed` are targets without
one. Only effective labels count. A trace matches by its own labels and those of its spans and session. A session
matches by its own labels and those of its traces.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from django.core.exceptions import EmptyResultSet
from django.db import connection
from django.db.models import Q, QuerySet, Subquery

from catalyst.core.models import Project
from catalyst.timerange import TimeRange
from signals.definitions.choices import Scope, State
from signals.models import Label, Signal, SignalVersion
from signals.models.label import LabelQuerySet
from signals.results import charts, summaries
from signals.results.rollups import sums
from signals.targets.scopes import targets_of
from traces.label_sources import Dimension, Facet, FacetValue, LabelCondition, Matching
from traces.models import Trace

MAX_SIGNALS = 8  # signals that a list offers: those with the most labels
MAX_COUNTED_ROWS = 10_000
_KEY = re.compile(r"(?P<signal>[0-9]{1,18})(?::(?P<value>.+)|!(?P<state>waiting|failed))?", re.ASCII | re.DOTALL)


type CountsBySignal = dict[int, Counter[str]]  # rows by key


@dataclass(frozen=True, slots=True)
class Part:
    text: str
    short: str
    labels: Q


ANY = Part("has any label", "any", ~Q(value=""))
STATES = {
    "waiting": Part("waits for a label", "no label yet", Q(status__in=["queued", "running"], value="")),
    "failed": Part("failed to be judged", "judging failed", Q(status="failed", value="")),
}


def key_of(signal_id: int, value: str, state: str = "") -> str:
    return f"{signal_id}:{value}" if value else f"{signal_id}!{state}"


def conditions(project: Project, keys: Sequence[str]) -> Mapping[str, LabelCondition]:
    """The conditions of these keys. Invalid keys and keys of archived signals are ignored."""
    parts = {key: parsed for key in keys if (parsed := _parse(key))}
    shown = Signal.objects.for_project(project).unarchived().select_related("project")
    signals = shown.in_bulk([pk for pk, _ in parts.values()])
    return {key: _narrowing(key, part, signals[pk]) for key, (pk, part) in parts.items() if pk in signals}


def load(project: Project, time_range: TimeRange, agent: int | None) -> list[Facet]:
    """Label counts in the range, for the MAX_SIGNALS signals with most labels."""
    known = _offered(project, agent)
    counts: CountsBySignal = defaultdict(Counter)
    for cell in sums(signal__in=known).totals(time_range):
        if cell.count and (cell.value or cell.state in STATES):
            counts[cell.signal][key_of(cell.signal, cell.value, cell.state)] += cell.count
    return _facets(known, counts, {})


def count(
    project: Project, agent: int | None, chosen: Sequence[LabelCondition], matching: Matching
) -> list[Facet] | None:
    """The rows that each label would leave in a list. None if the list has more than MAX_COUNTED_ROWS.

    A label replaces the chosen labels of its signal, so these don't narrow its count.
    """
    keys: dict[int, list[str]] = defaultdict(list)
    for condition in chosen:
        if parsed := _parse(condition.key):
            keys[parsed[0]].append(condition.key)
    known = _offered(project, agent, keys)
    counts: CountsBySignal = {}
    for own_keys, signals in _groups(known, keys):
        labels = [condition for condition in chosen if condition.key not in own_keys]
        counted = _count_rows(project, matching(labels), signals)
        if counted is None:
            return None
        counts |= counted
    return _facets(known, counts, keys)


def _offered(project: Project, agent: int | None, chosen: Iterable[int] = ()) -> dict[int, Signal]:
    """Signals of the agent that are not disabled, and the chosen ones."""
    signals = Signal.objects.for_project(project).unarchived().select_related("project", "agent")
    of_agent = Q() if agent is None else Q(agent=agent)
    return {signal.pk: signal for signal in signals.filter((of_agent & ~Q(state=State.DISABLED)) | Q(pk__in=chosen))}


def _groups(known: Mapping[int, Signal], keys: Mapping[int, list[str]]) -> list[tuple[Sequence[str], list[int]]]:
    """The signals that are counted in one query, with the chosen keys that don't narrow them."""
    others = [pk for pk in known if pk not in keys]
    return [((), others), *((own_keys, [pk]) for pk, own_keys in keys.items() if pk in known)]


def _count_rows(project: Project, rows: QuerySet[Any], signals: Sequence[int]) -> CountsBySignal | None:
    found: CountsBySignal = defaultdict(Counter)
    of_traces = rows.model is Trace
    columns = ("id", "trace_id", "session_id") if of_traces else ("id", "key")
    counted = rows.order_by().values_list(*columns)[: MAX_COUNTED_ROWS + 1]
    labelled = _LABELS_OF_TRACES if of_traces else _LABELS_OF_SESSIONS
    with suppress(EmptyResultSet), connection.cursor() as cursor:
        statement, parameters = counted.query.sql_with_params()
        which: tuple[int, list[int]] = (project.pk, list(signals))
        count = _COUNT.format(columns=", ".join(columns), rows=statement, labelled=labelled)
        cursor.execute(count, (*parameters, *which, *which))
        for signal, value, state, number in cursor.fetchall():
            if signal is None:
                if number > MAX_COUNTED_ROWS:
                    return None
            elif value or state in STATES:
                found[signal][key_of(signal, value, state)] = number
    return found


_OF_LABEL = "l.project_id = %s AND l.signal_id = ANY(%s) AND l.is_effective"
_LABELS_OF_TRACES = f"""
    SELECT m.id, l.signal_id, l.value, l.status FROM matched m
        JOIN signals_label l ON l.trace_id = m.trace_id WHERE {_OF_LABEL}
    UNION ALL SELECT m.id, l.signal_id, l.value, l.status FROM matched m JOIN traces_session s ON s.id = m.session_id
        JOIN signals_label l ON l.session_key = s.key AND l.session_key <> '' WHERE {_OF_LABEL}
"""
_LABELS_OF_SESSIONS = f"""
    SELECT m.id, l.signal_id, l.value, l.status FROM matched m JOIN traces_trace t ON t.session_id = m.id
        JOIN signals_label l ON l.trace_id = t.trace_id WHERE {_OF_LABEL}
    UNION ALL SELECT m.id, l.signal_id, l.value, l.status FROM matched m
        JOIN signals_label l ON l.session_key = m.key AND l.session_key <> '' WHERE {_OF_LABEL}
"""
_COUNT = """
    WITH matched ({columns}) AS MATERIALIZED ({rows}), labelled AS ({labelled})
    SELECT NULL, '', '', count(*) FROM matched
    UNION ALL
    SELECT signal_id, value, CASE
        WHEN value <> '' THEN '' WHEN status IN ('queued', 'running') THEN 'waiting' ELSE status END, count(DISTINCT id)
    FROM labelled GROUP BY 1, 2, 3
"""


def dimensions(project: Project, agent: int) -> list[Dimension]:
    # A run has many spans, so signals about spans are excluded.
    signals = Signal.objects.for_project(project).unarchived().exclude(scope=Scope.SPAN)
    listed = signals.filter(agent=agent).for_list()
    return [_dimension(signal, signal.current_version) for signal in listed if signal.current_version]


def _dimension(signal: Signal, version: SignalVersion) -> Dimension:
    labels = targets_of(signal.scope).of_outer_trace(_labels(signal, ANY))
    outcomes = charts.from_the_base(summaries.outcomes(signal, version.sentiments, {}))
    return Dimension(
        str(signal.pk),
        signal.name,
        signal.scope,
        signal.get_absolute_url(),
        {outcome.value: outcome.tone for outcome in outcomes},
        value=Subquery(labels.values("value")[:1]),
    )


def _parse(key: str) -> tuple[int, Part] | None:
    matched = _KEY.fullmatch(key)
    if matched is None:
        return None
    value, state = matched["value"], matched["state"]
    part = STATES[state] if state else Part(f"is {value}", value, Q(value=value)) if value else ANY
    return int(matched["signal"]), part


def _narrowing(key: str, part: Part, signal: Signal) -> LabelCondition:
    traces, sessions = targets_of(signal.scope).conditions(signal.project_id, _labels(signal, part))
    return LabelCondition(key, signal.name, part.text, traces=traces, sessions=sessions, href=signal.get_absolute_url())


def _labels(signal: Signal, part: Part) -> LabelQuerySet:
    return Label.objects.filter(signal=signal).effective().filter(part.labels)


def _facets(
    known: Mapping[int, Signal], counts: Mapping[int, Counter[str]], chosen: Mapping[int, Sequence[str]]
) -> list[Facet]:
    # A chosen label is offered even if nothing has it, so that a click removes it.
    all_counts = {pk: Counter(dict.fromkeys(chosen.get(pk, ()), 0) | counts.get(pk, {})) for pk in known}
    shown = {pk: of_signal for pk, of_signal in all_counts.items() if of_signal}
    busiest = sorted(shown, key=lambda pk: (pk not in chosen, -shown[pk].total(), known[pk].name))[:MAX_SIGNALS]
    names = Counter(known[pk].name for pk in shown)
    return [_facet(known[pk], shown[pk], chosen.get(pk, ()), is_alone=names[known[pk].name] == 1) for pk in busiest]


def _facet(signal: Signal, counts: Counter[str], chosen: Sequence[str], *, is_alone: bool) -> Facet:
    # Of equal counts the database gives now one first, now another.
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    # With several labels of one signal, the number beside a chosen one would be that of neither list.
    ambiguous = chosen if len(chosen) > 1 else ()
    given = [
        # Rows with any label are not counted: one may have several.
        FacetValue(key, parsed[1].short, None if key in ambiguous or parsed[1] == ANY else count)
        for key, count in ordered
        if (parsed := _parse(key))
    ]
    # Add the agent if several signals have this name.
    name = signal.name if is_alone else f"{signal.name} of {signal.agent}"
    return Facet(name, signal.scope, signal.get_absolute_url(), given, chosen)
