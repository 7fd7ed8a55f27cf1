"""Template filters for numbers, times and charts."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from math import log10

from django import template
from django.utils import timezone
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from catalyst import formats
from catalyst.figures import Bar

register = template.Library()

register.filter("duration", formats.duration)
register.filter("about", formats.about)
register.filter("short", formats.short)
register.filter("usd", formats.usd)
register.filter("percent_of", formats.percent)


@register.filter
def spent(row: formats.Priced) -> SafeString | str:
    """The cost. A dash says why there is none."""
    text = formats.spent(row)
    if not row.unpriced_count:
        return text
    note = "At least: some calls have no known price" if row.cost else "No price for this model"
    return format_html('<span title="{}">{}</span>', note, text)


@register.filter
def ago(moment: datetime | None) -> SafeString | str:
    """A `<time>` relative to now."""
    if moment is None:
        return ""
    text = formats.ago(moment, timezone.now())
    return format_html('<time datetime="{}" title="{}" data-ago>{}</time>', *_exact(moment), text)


@register.filter
def clock(moment: datetime | None) -> SafeString | str:
    """A `<time>` to the second: `29 Nov 15:40:36 UTC`. The browser shows it in the reader's zone."""
    return _at(moment, "%H:%M:%S", "second")


@register.filter
def minute(moment: datetime | None) -> SafeString | str:
    """A `<time>` to the minute: `29 Nov 15:40 UTC`. The browser shows it in the reader's zone."""
    return _at(moment, "%H:%M", "minute")


def _at(moment: datetime | None, pattern: str, unit: str) -> SafeString | str:
    if moment is None:
        return ""
    text = formats.at(moment, timezone.now(), pattern)
    return format_html('<time datetime="{}" title="{}" data-to="{}">{}</time>', *_exact(moment), unit, text)


def _exact(moment: datetime) -> tuple[str, str]:
    """The time for machines and for people, to the millisecond."""
    utc = moment.astimezone(UTC)
    machine = utc.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return machine, f"{utc:%-d %b %Y %H:%M:%S}.{utc.microsecond // 1000:03d} UTC"


@register.filter
def count(number: int | None) -> str:
    """`7,412`, or empty."""
    return "" if number is None else f"{number:,}"


@register.filter
def hits(bars: Iterable[Bar]) -> SafeString:
    link = '<a href="?{}" tabindex="-1"><rect class="hit" x="{}" width="{}" height="100"><title>{}</title></rect></a>'
    return format_html_join("", link, ((bar.query, bar.x, bar.width, bar.title) for bar in bars))


@register.filter
def parts(bars: Iterable[Bar]) -> SafeString:
    rect = '<rect class="fill-{}" x="{}%" width="{}%" height="100%"><title>{}</title></rect>'
    return format_html_join("", rect, ((bar.tone, bar.x, bar.width, bar.title) for bar in bars))


@register.filter
def polylines(runs: Iterable[str], tone: str) -> SafeString:
    return format_html_join("", '<polyline class="line {}" points="{}"/>', ((tone, points) for points in runs))


@register.filter
def beginning(names: Sequence[str]) -> SafeString | str:
    """`gpt-4o +2`."""
    if len(names) < 2:
        return "".join(names)
    return format_html('{} <span class="faint">+{}</span>', names[0], len(names) - 1)


@register.filter
def latency_share(microseconds: int) -> str:
    """Width of a latency bar: logarithmic, 100 ms to 5 minutes."""
    return f"{min(max(log10(max(microseconds, 1) / 1e5) / log10(3000), 0.02), 1):.0%}"
