"""Template filters for spans and labels."""

from collections.abc import Iterable

from django import template
from django.template.context import RequestContext

from traces.label_sources import Pill
from traces.models.span import hex_span_id

register = template.Library()

register.filter("hex_span_id", hex_span_id)

# Parameters of what the page of a trace shows of one span.
OF_SPAN = ("span", "pane", "row", "message", "labels")


@register.simple_tag(takes_context=True)
def span_query(context: RequestContext, span_id: int, around: str = "") -> str:
    """The query that selects a span on the page of its trace: there with the list that led to it, else `around`."""
    selected = f"span={hex_span_id(span_id)}"
    if around:
        return f"?{around}&{selected}"
    query = context.request.GET.copy()
    for name in OF_SPAN:
        query.pop(name, None)
    return f"?{query.urlencode()}&{selected}" if query else f"?{selected}"


@register.filter
def neutral_pills(pills: Iterable[Pill]) -> list[Pill]:
    """Labels that are neither good nor bad, but for those by which the list is filtered."""
    return [pill for pill in pills if pill.value and pill.sentiment == "neutral" and not pill.is_sought]
