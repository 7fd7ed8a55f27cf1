"""The numbers as Prometheus reads them: text exposition format 0.0.4. Asks no database.

They live in the database and in heartbeats, not in a web process, so any number of these answers the same.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from catalyst import __version__
from catalyst.ops.monitoring.snapshot import KeyUsed, Queue, Vitals
from signals.models import LabelHour, Signal

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

type Sample = tuple[Mapping[str, str], float]


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric with its samples, each with its labels."""

    name: str
    kind: str
    help: str
    samples: list[Sample] = field(default_factory=list)

    def lines(self) -> Iterator[str]:
        """As text."""
        yield f"# HELP {self.name} {self.help}"
        yield f"# TYPE {self.name} {self.kind}"
        for labels, value in self.samples:
            inner = ",".join(f'{name}="{_escaped(text)}"' for name, text in labels.items())
            yield f"{self.name}{{{inner}}} {value:.15g}" if inner else f"{self.name} {value:.15g}"


def exposition(found: Vitals, ever: Iterable[KeyUsed]) -> str:
    """All metrics. `ever`: what keys were used for since they exist."""
    return "".join(f"{line}\n" for metric in every(found, ever) for line in metric.lines())


def every(found: Vitals, ever: Iterable[KeyUsed]) -> list[Metric]:
    """Every metric there is."""
    return [*_database(found), *_queues(found), *_signals(found), *_processes(found), *_keys(list(ever))]


def _gauge(name: str, words: str, *samples: Sample) -> Metric:
    return Metric(f"catalyst_{name}", "gauge", words, list(samples))


def _database(found: Vitals) -> list[Metric]:
    ahead = (found.days.last - found.at.date()).days if found.days.last else -1
    disk: list[Sample] = [({}, found.disk.free)] if found.disk else []
    return [
        _gauge("info", "The version of the process that answers.", ({"version": __version__}, 1)),
        _gauge("database_size_bytes", "Size of the database.", ({}, found.database.size)),
        _gauge("database_connections", "Client connections of the server.", ({}, found.database.connections)),
        _gauge("database_connections_max", "Connections the server takes.", ({}, found.database.most_connections)),
        _gauge(
            "database_transaction_seconds", "Age of the oldest transaction.", ({}, found.database.transaction_seconds)
        ),
        _gauge("partition_days_ahead", "Days after today that have partitions; -1: not even today.", ({}, ahead)),
        _gauge("default_partition_spans", "Spans outside of all days, counted up to 100,000.", ({}, found.days.astray)),
        _gauge("disk_free_bytes", "Free space where the data folder lies.", *disk),
        _gauge(
            *("project_disk_bytes", "What the spans of a project take in the database, an estimate."),
            *(({"project": used.project.slug}, float(used.size)) for used in found.projects),
        ),
    ]


def _queues(found: Vitals) -> list[Metric]:
    def lag(queue: Queue) -> float:
        return max(0.0, (found.at - queue.oldest).total_seconds()) if queue.oldest else 0

    return [
        _gauge("settle_due", "Targets that are due to settle, counted up to 100,000.", ({}, found.settling.due)),
        _gauge("settle_lag_seconds", "For how long the oldest of them has been due.", ({}, lag(found.settling))),
        _gauge("labels_waiting", "Labels that wait for a judge, counted up to 100,000.", ({}, found.judging.total)),
        _gauge("labels_running", "Labels with a judge.", ({}, found.running)),
        _gauge(
            *("labels_failed", "Failed labels of targets that began in the last 24 hours, counted up to 100,000."),
            ({}, found.failed),
        ),
        _gauge("judge_lag_seconds", "For how long the oldest waiting label has been due.", ({}, lag(found.judging))),
        _gauge("judges_troubled", "Judge models that do not answer.", ({}, len(found.judges))),
        _gauge(
            *("tasks_waiting", "Tasks of a queue that wait or run."),
            *(({"queue": queue}, float(count)) for queue, count in found.tasks.items()),
        ),
        _gauge(
            *("wakeup_age_seconds", "Since when a kind of periodic work last ended."),
            *(
                ({"kind": each.kind}, (found.at - each.finished_at).total_seconds())
                for each in found.wakeups
                if each.finished_at
            ),
        ),
    ]


def _signals(found: Vitals) -> list[Metric]:
    states = Counter(use.signal.state for use in found.signals)
    return [
        _gauge(
            *("signals", "Signals that are not archived, by state."),
            *(({"state": state}, float(states[state])) for state in Signal.State.values),
        ),
        _gauge(
            *("signals_stopped", "Active signals that a daily cap keeps from judging."),
            ({}, sum(use.is_stopped for use in found.signals)),
        ),
        _gauge(
            *("signal_labels", "Labels of targets that began in the last 24 hours, by signal and state."),
            *(
                (
                    {
                        "project": use.signal.project.slug,
                        "signal": str(use.signal.pk),
                        "name": use.signal.name,
                        "state": state,
                    },
                    float(use.labels[state]),
                )
                for use in found.signals
                for state in LabelHour.State.values
                if state != LabelHour.State.UNSAMPLED
            ),
        ),
        _gauge(
            *("judge_spent_usd", "US dollars that judging cost a project on this UTC day."),
            *(({"project": each.project.slug}, float(each.today.spent.dollars)) for each in found.spending),
        ),
        _gauge(
            *("runs_open", "Manual runs that look for targets (collecting) or wait for their labels (judging)."),
            *(({"state": state}, float(count)) for state, count in found.runs.items()),
        ),
    ]


def _processes(found: Vitals) -> list[Metric]:
    samples = [
        ({"process": each.name, "host": each.host}, (found.at - each.seen_at).total_seconds())
        for each in found.heartbeats
    ]
    return [_gauge("heartbeat_age_seconds", "Since when a process last noted that it lives.", *samples)]


def _keys(ever: list[KeyUsed]) -> list[Metric]:
    spans = Metric("catalyst_spans_total", "counter", "Spans of accepted requests, by key and what became of them.")
    late = Metric("catalyst_spans_late_total", "counter", "Stored spans that came after their trace had settled.")
    cut = Metric("catalyst_cut_total", "counter", "Values cut, and attributes, events and links left out.")
    requests = Metric("catalyst_requests_total", "counter", "Requests with traces, by key and status.")
    for used in ever:
        labels = {"project": used.key.project.slug, "key": str(used.key.pk), "name": used.key.name} if used.key else {}
        for what, count in sorted(used.counts.items()):
            kind, _, reason = what.partition("_")
            if what == "accepted" or kind == "refused":
                requests.samples.append((labels | {"status": reason or "200"}, count))
            elif what in ("late", "cut"):
                (late if what == "late" else cut).samples.append((labels, count))
            else:
                spans.samples.append((labels | {"fate": what}, count))
    return [spans, late, cut, requests]


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
