"""What the runs have in common to which a signal gives a bad label."""

import re
from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import NamedTuple, override
from uuid import UUID

from catalyst import formats
from catalyst.confidence import shares_p_value
from catalyst.core.models import Project
from catalyst.timerange import DAY, TimeRange
from halo.analyst.citing import Place, cite
from halo.analyst.failures import TOOL_KINDS, place_of, signature_of
from halo.analyst.material import Candidate, Rule, Step, Texts, TraceRun, Window
from halo.analyst.severities import severity_of
from halo.analyst.texts import read
from halo.analyst.wording import counted, short
from halo.choices import Category
from traces import label_sources
from traces.label_sources import BadLabel
from traces.transcripts.transcript import input_preview

# Runs, or sessions, with the label, and of them with what they have in common.
MIN_LABELLED = 5
MIN_COMMON = 3
# How many times as frequent it is with the label as without.
LIFT = 1.5
# Others that are as surprising are mentioned.
MAX_FURTHER = 2
SURPRISING = 0.01
# A run with a bad label is not a failed one.
WEIGHT = 0.5
# On each side: runs whose first user message is read, and words of it.
MAX_READ = 150
WORD = re.compile(r"[^\W\d_]{4,}")
# They say nothing about what users want.
COMMON_WORDS = frozenset(
    """
    about after again also another because been before being between both cannot could does doing done during
    each even every from give given going good have having hello help here hope into just know last like look
    looking made make many maybe more most much must need needs never next only other over please really right
    same shall should since some still such sure take tell than thank thanks that their them then there these
    they thing think this those through today told under until very want wanted wants well were what when where
    whether which while will with within without would your yours
    """.split()  # noqa: SIM905
)

# Kind and name, such as ("tool", "web_search").
type Feature = tuple[str, str]
type Features = frozenset[Feature]
# A run, or a session of which all runs have the label.
type Target = UUID | int


class _Common(NamedTuple):
    """A feature of `part` of `total` targets with the label, and of `other_part` of `other_total` without.

    `tests`: how many features were tested with it.
    """

    feature: Feature
    part: int
    total: int
    other_part: int
    other_total: int
    tests: int

    @property
    def p_value(self) -> float:
        """Each feature was a chance to find something (Bonferroni)."""
        return min(shares_p_value(self.part, self.total, self.other_part, self.other_total) * self.tests, 1.0)

    @property
    def is_lifted(self) -> bool:
        share, other_share = self.part / self.total, self.other_part / self.other_total
        return self.part >= MIN_COMMON and share >= LIFT * other_share

    @property
    def having(self) -> int:
        """All targets that have the feature."""
        return self.part + self.other_part

    @property
    def elsewhere(self) -> str:
        """The share of the label among the targets without the feature."""
        return formats.percent(self.total - self.part, self.total + self.other_total - self.having) or "none"

    @property
    def where(self) -> str:
        kind, name = self.feature
        return WHERE[kind].format(short(name))


WHERE = {
    "tool": "that call {}",
    "failure": "in which this fails: {}",
    "model": "that use {}",
    "version": "of version {}",
    "environment": "of the environment {}",
    "word": "whose user says “{}”",
}
FIXES = {
    "tool": "Read what the tool returns in the cited runs: results that are wrong, empty or too long often end so.",
    "failure": "Mend this failure first, or tell the model what to do when it happens.",
    "model": "Compare the cited runs with good ones of another model, and send such requests to that one.",
    "version": "Compare this version with the one before it on the cited runs, and take the change back that "
    "explains it.",
    "environment": "Compare the settings, data and services of this environment with those of the others.",
    "word": "Read the cited requests: the agent lacks an instruction, a tool or a fact for what these users want.",
}


class BadLabels(Rule):
    """Tests tools, failures, models, versions, environments and words of the user, for each label by itself."""

    def __init__(self) -> None:
        # Equal features of runs are one object: there are few.
        self._known: dict[Features, Features] = {}
        self._features: dict[UUID, Features] = {}
        self._first_spans: dict[UUID, int] = {}

    @override
    def add(self, run: TraceRun, steps: Sequence[Step]) -> None:
        found = frozenset(_features_of(run, steps))
        self._features[run.trace_id] = self._known.setdefault(found, found)
        if first := next((step.span_id for step in steps if step.input_size), None):
            self._first_spans[run.trace_id] = first

    @override
    def candidates(self, window: Window, texts: Texts) -> Sequence[Candidate]:
        project = Project.objects.get(pk=window.project_id)
        labels = label_sources.bad_labels(project, window.agent_id, TimeRange("custom", window.start, window.end, DAY))
        runs = {run.trace_id: run for run in window.runs} if labels else {}
        found = (self._of_label(label, runs, window, texts) for label in labels)
        return [candidate for candidate in found if candidate is not None]

    def _of_label(
        self, label: BadLabel, runs: Mapping[UUID, TraceRun], window: Window, texts: Texts
    ) -> Candidate | None:
        bad, others = (_targets(label, ids, runs) for ids in (label.traces, label.others))
        if len(bad) < MIN_LABELLED or len(others) < MIN_LABELLED:
            return None
        having, other_having = self._union(bad), self._union(others)
        saying, other_saying = self._words(bad, texts), self._words(others, texts)
        # Words are many, so they are a family of their own: they must not hide what tools and models tell.
        tested = [*_common(having, other_having), *_common(saying, other_saying)]
        lifted = sorted((each for each in tested if each.is_lifted), key=lambda each: each.p_value)
        if not lifted:
            return None
        touched = [*_having(having, lifted[0].feature), *_having(saying, lifted[0].feature)]
        return _finding(label, lifted, [run for target in touched for run in bad[target]], window)

    def _union(self, targets: Mapping[Target, Sequence[TraceRun]]) -> dict[Target, Features]:
        none: Features = frozenset()
        return {
            target: none.union(*(self._features.get(run.trace_id, none) for run in runs))
            for target, runs in targets.items()
        }

    def _words(self, targets: Mapping[Target, Sequence[TraceRun]], texts: Texts) -> dict[Target, Features]:
        """The words of the first user message of each target, of a limited number of them."""
        evenly = list(targets)[:: len(targets) // MAX_READ + 1]
        first = {target: min(targets[target], key=lambda run: run.start_time) for target in evenly}
        target_of = {run.trace_id: target for target, run in first.items()}
        places = [Place(run, self._first_spans.get(run.trace_id)) for run in first.values()]
        return {
            target_of[place.run.trace_id]: frozenset(
                ("word", word) for word in set(WORD.findall(input_preview(payload).lower())) - COMMON_WORDS
            )
            for place, payload in read(texts, places)
        }


def _features_of(run: TraceRun, steps: Sequence[Step]) -> Iterator[Feature]:
    for step in steps:
        if step.kind in TOOL_KINDS:
            yield "tool", place_of(step)
        if step.status == "error":
            yield "failure", " ".join(filter(None, signature_of(step)))
    if run.service_version:
        yield "version", run.service_version
    if run.environment:
        yield "environment", run.environment
    for model in run.model_names:
        yield "model", model


def _targets(
    label: BadLabel, trace_ids: Collection[UUID], runs: Mapping[UUID, TraceRun]
) -> dict[Target, list[TraceRun]]:
    """Runs that were read by target: each by itself, or the session."""
    found: dict[Target, list[TraceRun]] = defaultdict(list)
    for trace_id in sorted(trace_ids):
        if run := runs.get(trace_id):
            found[run.session_id if label.of_sessions and run.session_id is not None else trace_id].append(run)
    return found


def _having(features: Mapping[Target, Features], feature: Feature) -> list[Target]:
    return [target for target, of_target in features.items() if feature in of_target]


def _common(bad: Mapping[Target, Features], others: Mapping[Target, Features]) -> list[_Common]:
    """Features of enough targets with the label, and how many of the others have them."""
    counts = Counter(feature for features in bad.values() for feature in features)
    other_counts = Counter(feature for features in others.values() for feature in features)
    everywhere = len(bad) + len(others)
    frequent = {
        feature: count
        for feature, count in sorted(counts.items())
        # What all have in common tells nothing.
        if count >= MIN_COMMON and others and count + other_counts[feature] < everywhere
    }
    return [
        _Common(feature, count, len(bad), other_counts[feature], len(others), len(frequent))
        for feature, count in frequent.items()
    ]


def _finding(label: BadLabel, lifted: Sequence[_Common], runs: Sequence[TraceRun], window: Window) -> Candidate:
    best, *further = lifted
    also = [each for each in further if each.p_value < SURPRISING][:MAX_FURTHER]
    noun = "session" if label.of_sessions else "run"
    failed = WEIGHT * len(runs) / window.total
    return Candidate(
        kind="bad_label",
        title=(
            f"{best.part:,} of {counted(best.having, noun)} {best.where} get “{short(label.value)}” from "
            f"{short(label.signal)}, {best.elsewhere} of the others do"
        ),
        category=Category.QUALITY,
        severity=severity_of(failed=failed),
        signature=f"bad_label:{label.key}:{best.feature[0]}:{best.feature[1]}",
        happens=(
            f"{best.part:,} of {counted(best.total, noun)} with this label are such, and {best.other_part:,} of "
            f"{best.other_total:,} with other labels of the signal."
        ),
        fix=FIXES[best.feature[0]],
        evidence=_evidence(best, also, noun),
        traces=frozenset(run.trace_id for run in runs),
        harm=failed,
        p_value=best.p_value,
        cause=best.feature[1],
        citations=cite([Place(run, badness=run.error_count) for run in runs]),
    )


def _evidence(best: _Common, also: Sequence[_Common], noun: str) -> str:
    said = []
    if best.feature[0] == "word":
        said.append(f"The first messages of {counted(best.total + best.other_total, noun)} were read.")
    if also:
        listed = "; ".join(f"{each.part:,} of {each.having:,} {each.where}" for each in also)
        said.append(f"The label is also more frequent elsewhere: {listed}.")
    return " ".join(said)
