"""Operations on the versions of a signal."""

from dataclasses import dataclass, fields
from typing import ClassVar

from pydantic import ConfigDict, Field

from catalyst import params
from catalyst.core.operation_context import Context
from catalyst.operations import CAMEL, Effect, InvalidInput, Scope, operation
from signals.definitions.definition import Definition
from signals.operations.inputs import (
    RangeInput,
    SignalInput,
    VersionNumber,
    named_range,
    signal_of,
    version_numbered,
    version_of,
)
from signals.results import comparison, versions
from signals.serializers import LabelRecord, VersionRecord


class VersionsInput(SignalInput, RangeInput):
    before: VersionNumber | None = Field(None, description="Only versions below this number.")


@dataclass(frozen=True, slots=True)
class VersionList:
    __pydantic_config__: ClassVar[ConfigDict] = CAMEL

    versions: list[VersionRecord]
    label_counts: dict[str, int]
    """Labels in the range, by the version's number."""
    # `before` of the next page, None at the end.
    next: int | None


@operation("signals.versions", Scope.READ, Effect.READS)
def list_versions(context: Context, arguments: VersionsInput) -> VersionList:
    """List the versions of a signal, newest first, with how many labels each gave."""
    rows, more = versions.page(signal_of(context, arguments), named_range(arguments, context.now), arguments.before)
    counts = {str(row.version.number): row.summary.labelled for row in rows}
    return VersionList([VersionRecord.of(row.version) for row in rows], counts, more)


class CompareInput(SignalInput, RangeInput):
    a: VersionNumber | None = Field(None, description="The one version (default: the one before b).")
    b: VersionNumber | None = Field(None, description="The other version (default: the current one).")
    was: str | None = Field(None, description="With `became`: list only targets that moved from this label.")
    became: str | None = Field(None, description="With `was`: list only targets that moved to this label.")
    after: str | None = Field(None, description="Continue the list of targets: `next` of the page before.")


@dataclass(frozen=True, slots=True)
class Move:
    """Targets labeled `was` by version a and `became` by version b."""

    was: str
    became: str
    count: int


@dataclass(frozen=True, slots=True)
class Flip:
    target_id: str
    preview: str
    was: str
    became: str
    reason_before: str
    reason_after: str


@dataclass(frozen=True, slots=True)
class Comparison:
    """Version b against version a, on targets that both judged."""

    __pydantic_config__: ClassVar[ConfigDict] = CAMEL

    a: int
    b: int
    shared_count: int
    same_count: int
    agreement_low: float | None
    agreement_high: float | None
    is_cut: bool
    """Whether only the newest targets are compared."""
    changed_fields: list[str]
    moves: list[Move]
    flips: list[Flip]
    next: str | None


@operation("signals.compare", Scope.READ, Effect.READS)
def compare(context: Context, arguments: CompareInput) -> Comparison:
    """Compare the labels of two versions on the same targets."""
    signal = signal_of(context, arguments)
    number_b = arguments.b or version_of(signal).number
    number_a = arguments.a or number_b - 1
    if number_a == number_b or number_a < 1:
        raise InvalidInput({"a": "Choose two versions to compare."})
    a, b = version_numbered(signal, number_a), version_numbered(signal, number_b)
    after = params.cursor(arguments.after)
    if arguments.after and after is None:
        raise InvalidInput({"after": "This is not the `next` of a page."})
    both = comparison.pair(signal, a, b, named_range(arguments, context.now))
    moved = (arguments.was, arguments.became) if arguments.was and arguments.became else None
    flips, more = comparison.flips(both, moved, after)
    shared = comparison.agreement(both)
    low, high = shared.interval if shared.total else (None, None)
    return Comparison(
        a=a.number,
        b=b.number,
        shared_count=shared.total,
        same_count=shared.same,
        agreement_low=low,
        agreement_high=high,
        is_cut=both.is_cut,
        changed_fields=_changed_fields(a.definition, b.definition),
        moves=[Move(was, became, count) for (was, became), count in sorted(shared.moves.items())],
        flips=[_flip(flip) for flip in flips],
        next=str(more) if more else None,
    )


def _changed_fields(before: Definition, after: Definition) -> list[str]:
    names = [field.name for field in fields(Definition)]
    return [name for name in names if getattr(before, name) != getattr(after, name)]


def _flip(flip: comparison.Flip) -> Flip:
    before, after = LabelRecord.of(flip.before), LabelRecord.of(flip.after)
    return Flip(before.target_id, before.preview, before.value or "", after.value or "", before.reason, after.reason)
