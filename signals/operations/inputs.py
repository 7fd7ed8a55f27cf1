"""Shared arguments of signal operations, and the rows that they name."""

from datetime import datetime
from typing import Annotated, Any

from pydantic import Field
from pydantic.config import JsonDict

from catalyst import timerange
from catalyst.core.operation_context import Context
from catalyst.operations import Id, Input, NotFound, UtcTime
from catalyst.package import command
from catalyst.timerange import RangeName, TimeRange
from signals.definitions.choices import Scope, Type
from signals.definitions.definition import MAX_QUIET_MINUTES, Changes
from signals.definitions.judge_view import JudgeView
from signals.models import Signal, SignalVersion
from traces.filters import Filter

TEXT: JsonDict = {"contentMediaType": "text/plain"}
"""Marks a text of several lines, which a command can read from a file."""

VersionNumber = Annotated[int, Field(ge=1, lt=10**9)]

QuietMinutes = Annotated[
    int | None,
    Field(
        ge=0,
        le=MAX_QUIET_MINUTES,
        description="Minutes without activity after which a session is judged (0: the instance's). Makes no version.",
    ),
]

_FILTER_FIELDS = ", ".join(name for name in Filter.model_fields if name != "attributes")
_VIEW_FIELDS = ", ".join(JudgeView.model_fields)


class SignalInput(Input):
    signal: Id = Field(description="ID of the signal, as `list` shows it.")


class RangeInput(Input):
    range: RangeName = Field("1d", description="Count the labels of targets that began in this time.")


class WindowInput(Input):
    start: UtcTime | None = Field(
        None, alias="from", description="Start, ISO 8601 such as 2026-11-20 or 2026-11-20T08:00, in UTC by default."
    )
    end: UtcTime | None = Field(None, alias="to", description="End, exclusive (default: now).")


class DefinitionInput(Input):
    """A partial edit: what is not given keeps its value."""

    scope: Scope | None = Field(None, description="What one label is about. Fixed for the signal's life.")
    type: Type | None = Field(
        None, alias="classifier", description="Default of a new signal: string with labels, else binary."
    )
    prompt: str | None = Field(None, description="The question for the judge.", json_schema_extra=TEXT)
    labels: list[str] | None = Field(None, description="2 to 10 labels of a string signal.")
    sentiments: dict[str, str] | None = Field(
        None, description="positive, negative or neutral (default), by label (by true and false for a binary)."
    )
    descriptions: dict[str, str] | None = Field(
        None, description="When the judge should choose a label, by label. An empty text removes one."
    )
    sample_rate: int | None = Field(None, description="Percent of the targets, 0 to 100. Default of a new signal: 100.")
    connection: str | None = Field(None, description="Name of a model connection. Empty: the endpoint of the instance.")
    judge_model: str | None = Field(None, description="Empty: the default model of the connection, or of the instance.")
    filter: dict[str, Any] | None = Field(
        None,
        description=f"Evaluate only such traffic. Fields: {_FILTER_FIELDS}, attribute.KEY. An empty value removes one.",
    )
    view: dict[str, Any] | None = Field(
        None, description=f"What the judge sees. Fields: {_VIEW_FIELDS}. An empty value resets one."
    )

    @property
    def changes(self) -> Changes:
        return Changes(
            type=self.type,
            prompt=self.prompt,
            labels=self.labels,
            sentiments=self.sentiments,
            descriptions=self.descriptions,
            sample_rate=self.sample_rate,
            connection=self.connection,
            judge_model=self.judge_model,
            filter=self.filter,
            view=self.view,
        )


def signal_of(context: Context, arguments: SignalInput) -> Signal:
    """Raises NotFound."""
    signal = Signal.objects.for_project(context.project).for_list().filter(pk=arguments.signal).first()
    if signal is None:
        project = context.project.slug
        raise NotFound(f"The project {project} has no signal {arguments.signal}. See {command('signals list')}.")
    return signal


def version_of(signal: Signal) -> SignalVersion:
    """Return the current version. Raises NotFound."""
    if signal.current_version is None:
        raise NotFound(f"Signal {signal.pk} has no version. Create another one with {command('signals create')}.")
    return signal.current_version


def version_numbered(signal: Signal, number: int) -> SignalVersion:
    version = signal.versions.filter(number=number).first()
    if version is None:
        raise NotFound(f"Signal {signal.pk} has no version {number}.")
    return version


def named_range(arguments: RangeInput, now: datetime) -> TimeRange:
    return timerange.named(arguments.range, now)


def window(arguments: WindowInput, now: datetime) -> TimeRange:
    """A missing start or end leaves that side open."""
    start = arguments.start or timerange.EARLIEST
    return TimeRange(timerange.CUSTOM, start, arguments.end or now + timerange.MAX_AHEAD, timerange.HOUR)
