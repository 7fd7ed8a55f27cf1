"""Template filters for spans and labels."""

from collections.abc import Iterable

from django import template

from traces.label_sources import Pill
from traces.models.span import hex_span_id

register = template.Library()

register.filter("hex_span_id", hex_span_id)


@register.filter
def neutral_pills(pills: Iterable[Pill]) -> list[Pill]:
    """Labels that are neither good nor bad."""
    return [pill for pill in pills if pill.value and pill.sentiment == "neutral"]
