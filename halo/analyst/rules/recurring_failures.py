"""Failures with one signature in several runs."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import NamedTuple, override
from uuid import UUID

from halo.analyst.advice import advice
from halo.analyst.citing import Place, cite
from halo.analyst.failures import MASK, Origin, Signature, exception_in, mask, origins, signature_of
from halo.analyst.material import ENOUGH_RUNS, Candidate, Rule, Step, Texts, TraceRun, Window
from halo.analyst.severities import RECOVERED_WEIGHT, severity_of
from halo.analyst.wording import counted, share_of_runs, short
from halo.choices import Category

KIND = "recurring_failure"
MIN_RUNS = 3
# By which messages of few runs are grouped.
MAX_COMMON_WORDS = 2
# Of failures whose status does not tell the exception.
MAX_READ = 2_000
MAX_QUOTE_CHARACTERS, MAX_SHOWN_CHARACTERS = 200, 90
MAX_SHOWN_PATH = 3
OTHERS = "different messages"


class _Failure(NamedTuple):
    """A signature in one run."""

    run: TraceRun
    step: Step
    is_fatal: bool


@dataclass(slots=True)
class _Group:
    """Failures with one signature: the first of each run."""

    failures: dict[UUID, _Failure] = field(default_factory=dict)
    occurrences: int = 0
    # Runs of the window before; None if they can't be told.
    prior: int | None = 0
    duration_us: int = 0
    paths: Counter[tuple[str, ...]] = field(default_factory=Counter)

    def add(self, run: TraceRun, origin: Origin) -> None:
        self.occurrences += 1
        self.duration_us += origin.step.duration_us or 0
        known = self.failures.get(run.trace_id)
        if known is None:
            self.paths[origin.path] += 1
        if known is None or (origin.is_fatal and not known.is_fatal):
            self.failures[run.trace_id] = _Failure(run, origin.step, origin.is_fatal)

    def unite(self, other: "_Group") -> None:
        self.occurrences += other.occurrences
        self.duration_us += other.duration_us
        self.paths += other.paths
        self.prior = None if self.prior is None or other.prior is None else self.prior + other.prior
        self.failures = other.failures | self.failures


class RecurringFailures(Rule):
    """Groups failures by where they begin, the type of the exception, and the message without its details."""

    def __init__(self) -> None:
        self._groups: dict[Signature, _Group] = defaultdict(_Group)
        self._prior: Counter[Signature] = Counter()
        # Failures of runs in which no step failed.
        self._reported: list[TraceRun] = []
        self._prior_reported = 0

    @override
    def add(self, run: TraceRun, steps: Sequence[Step]) -> None:
        found = origins(steps, run_failed=run.failed) if run.error_count else []
        if run.failed and not found:
            self._reported.append(run)
        for origin in found:
            self._groups[signature_of(origin.step)].add(run, origin)

    def add_prior(self, run: TraceRun, steps: Sequence[Step]) -> None:
        found = origins(steps, run_failed=run.failed) if run.error_count else []
        self._prior_reported += run.failed and not found
        self._prior.update({signature_of(origin.step) for origin in found})

    @override
    def candidates(self, window: Window, texts: Texts) -> Sequence[Candidate]:
        least = MIN_RUNS if window.total >= ENOUGH_RUNS else 1
        groups = self._by_message(texts)
        found = [_candidate(key, group, window) for key, group in groups.items() if len(group.failures) >= least]
        if len(self._reported) >= least:
            found.append(_reported(self._reported, self._prior_reported, window))
        return found

    def _by_message(self, texts: Texts) -> dict[Signature, _Group]:
        for key, count in self._prior.items():
            self._groups[key].prior = count
        read: dict[Signature, _Group] = defaultdict(_Group)
        for key, group in _clustered(self._groups).items():
            for fuller, part in _with_exceptions(key, group, texts):
                read[fuller].unite(part)
        return _clustered(read)


def _clustered(groups: Mapping[Signature, _Group]) -> dict[Signature, _Group]:
    """Groups of few runs at one place are one, if their messages begin with the same words, the more the better."""
    clusters = {key: group for key, group in groups.items() if len(group.failures) >= MIN_RUNS}
    rare = {key: groups[key] for key in groups.keys() - clusters.keys()}
    for words in range(MAX_COMMON_WORDS, -1, -1):
        for common, keys in _by_beginning(sorted(rare), words).items():
            united = _united(map(rare.__getitem__, keys))
            if not words or len(united.failures) >= MIN_RUNS:
                clusters[common if len(keys) > 1 else keys[0]] = united
                _remove(keys, rare)
    return clusters


def _remove(keys: Iterable[Signature], groups: dict[Signature, _Group]) -> None:
    for key in keys:
        del groups[key]


def _by_beginning(keys: Iterable[Signature], words: int) -> dict[Signature, list[Signature]]:
    begun: dict[Signature, list[Signature]] = defaultdict(list)
    for key in keys:
        begun[_beginning(key, words)].append(key)
    return begun


def _beginning(key: Signature, words: int) -> Signature:
    begun = " ".join(key.template.split(" ")[:words])
    return key if begun == key.template else key._replace(template=f"{begun} {MASK}" if begun else OTHERS)


def _united(groups: Iterable[_Group]) -> _Group:
    whole = _Group()
    for group in groups:
        whole.unite(group)
    return whole


def _with_exceptions(key: Signature, group: _Group, texts: Texts) -> Iterator[tuple[Signature, _Group]]:
    """Parts of a group by the exceptions in its texts, if statuses don't say them."""
    if key.exception or len(group.failures) < MIN_RUNS:
        yield key, group
        return
    failures = list(group.failures.values())
    read = failures if len(failures) <= MAX_READ else failures[:: len(failures) // MAX_READ + 1]
    payloads = texts.of({failure.run.trace_id: [failure.step.span_id] for failure in read})
    said: dict[UUID, Signature] = {}
    for failure in read:
        payload = payloads.get(failure.run.trace_id, {}).get(failure.step.span_id)
        exception, message = exception_in(payload) if payload else ("", "")
        said[failure.run.trace_id] = Signature(key.where, exception, key.template or mask(message))
    kinds = Counter(said.values())
    if len(kinds) == 1 or len(read) < len(failures):
        # They agree, or there are too many to tell each: named after the most frequent.
        yield kinds.most_common(1)[0][0] if len(kinds) == 1 else key, group
        return
    yield from _divided(group, said)


def _divided(group: _Group, said: dict[UUID, Signature]) -> Iterator[tuple[Signature, _Group]]:
    parts: dict[Signature, _Group] = defaultdict(_Group)
    path = group.paths.most_common(1)[0][0]
    for trace_id, failure in group.failures.items():
        parts[said[trace_id]].prior = None
        parts[said[trace_id]].add(failure.run, Origin(failure.step, failure.is_fatal, path))
    return iter(parts.items())


def _candidate(key: Signature, group: _Group, window: Window) -> Candidate:
    failures = list(group.failures.values())
    fatal = [failure.run for failure in failures if failure.is_fatal]
    harm = (len(fatal) + RECOVERED_WEIGHT * (len(failures) - len(fatal))) / window.total
    return Candidate(
        kind=KIND,
        title=f"{short(key.where) or 'A step'} fails{_what(key)} in {share_of_runs(len(failures), window.total)}",
        category=Category.RELIABILITY,
        severity=severity_of(failed=harm),
        signature="|".join((KIND, *key)),
        happens=_happens(group, len(failures), len(fatal)),
        evidence=_evidence(group),
        fix=advice(f"{key.exception} {key.template}"),
        traces=frozenset(group.failures),
        harm=harm,
        prior_count=group.prior,
        cause=key.where,
        cost=sum((run.cost for run in fatal), Decimal(0)) or None,
        tokens=sum(run.input_tokens + run.output_tokens for run in fatal) or None,
        duration_us=sum(run.duration_us for run in fatal) or group.duration_us or None,
        citations=cite([_place(failure) for failure in failures]),
    )


def _reported(runs: Sequence[TraceRun], prior: int, window: Window) -> Candidate:
    """Runs whose agent reports a failure, although no step failed."""
    harm = len(runs) / window.total
    return Candidate(
        kind=KIND,
        title=f"{share_of_runs(len(runs), window.total)} report a failure, but no step of them failed",
        category=Category.RELIABILITY,
        severity=severity_of(failed=harm),
        signature=f"{KIND}|reported",
        happens="The agent sets the outcome of these runs to failure. All of their steps end without an error.",
        fix="Read the cited runs from their end. Set the status of the step that went wrong to error, with a message: "
        "reports can then tell causes apart.",
        traces=frozenset(run.trace_id for run in runs),
        harm=harm,
        prior_count=prior,
        cost=sum((run.cost for run in runs), Decimal(0)) or None,
        tokens=sum(run.input_tokens + run.output_tokens for run in runs) or None,
        duration_us=sum(run.duration_us for run in runs) or None,
        citations=cite([Place(run, badness=run.duration_us) for run in runs]),
    )


def _place(failure: _Failure) -> Place:
    message = " ".join(failure.step.status_message[:MAX_QUOTE_CHARACTERS].split())
    # The run that fails with it is worse than one that recovers, then the one that took longer.
    badness = failure.run.duration_us * (1 + 1_000 * failure.is_fatal)
    return Place(failure.run, failure.step.span_id, badness, message)


def _what(key: Signature) -> str:
    if key.template == OTHERS:
        return f" with {key.exception or 'errors'} and {OTHERS}"
    template = f"“{short(key.template, MAX_SHOWN_CHARACTERS)}”" if key.template else ""
    if key.exception or template:
        return " with " + ": ".join(filter(None, (key.exception, template)))
    return ""


def _happens(group: _Group, count: int, fatal: int) -> str:
    if fatal == count:
        outcome = "All of these runs fail with it."
    elif fatal:
        outcome = f"{counted(fatal, 'run')} fail with it, and {count - fatal:,} go on."
    else:
        outcome = "All of these runs go on after it, and end without an error."
    path, seen = group.paths.most_common(1)[0]
    if not path:
        return f"{outcome} It is the outermost step."
    usual = "It is" if seen == count else "It is mostly"
    return f"{outcome} {usual} called by {' > '.join(map(short, path[-MAX_SHOWN_PATH:]))}."


def _evidence(group: _Group) -> str:
    failures = group.failures.values()
    said = (
        [f"It happened {group.occurrences:,} times in {counted(len(failures), 'run')}."]
        if group.occurrences > len(failures)
        else []
    )
    typical = next((failure.step.status_message for failure in failures if failure.step.status_message), "")
    if typical:
        said.append(f"One of the messages: “{short(typical, MAX_QUOTE_CHARACTERS)}”.")
    return " ".join(said)
