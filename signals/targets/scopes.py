"""The class of targets for each scope."""

from collections.abc import Callable, Iterator, Sequence

from signals.definitions.choices import Scope
from signals.models import Job
from signals.targets.base import Targets
from signals.targets.inputs import JudgeInput
from signals.targets.sessions import SessionTargets
from signals.targets.spans import SpanTargets
from signals.targets.traces import TraceTargets

SCOPES: dict[Scope, type[Targets]] = {targets.scope: targets for targets in (SpanTargets, TraceTargets, SessionTargets)}


def targets_of(scope: str) -> type[Targets]:
    return SCOPES[Scope(scope)]


def load_inputs(jobs: Sequence[Job]) -> Iterator[tuple[Job, Callable[[], JudgeInput | None]]]:
    """`Targets.load` for jobs of several scopes."""
    for scope, targets in SCOPES.items():
        of_scope = [job for job in jobs if job.scope == scope]
        if of_scope:
            yield from targets.load(of_scope)
