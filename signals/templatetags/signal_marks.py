"""Template tags for rows of signals."""

from django import template
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from catalyst.core.templatetags.formats import parts
from catalyst.env import env
from catalyst.formats import percent
from signals.definitions.choices import Scope
from signals.judging.judges import judge_name
from signals.models import Signal
from signals.results.summaries import Summary

# In Python, because included templates are many times slower.
register = template.Library()


@register.simple_tag
def quiet_time(scope: str, signal: Signal | None = None) -> str:
    """The time without spans after which a trace or session is judged, by this signal: `10 s`, `30 min`, `2 h`."""
    seconds = round(env.settle_session_seconds if scope == Scope.SESSION else env.settle_trace_seconds)
    if signal and signal.quiet_minutes:
        seconds = signal.quiet_minutes * 60
    unit, length = next(each for each in (("h", 3600), ("min", 60), ("s", 1)) if seconds % each[1] == 0)
    return f"{seconds // length} {unit}"


register.filter("judge_name", judge_name)


@register.simple_tag
def state(signal: Signal) -> SafeString:
    css_class, text = ("disabled", "Archived") if signal.archived_at else (signal.state, signal.get_state_display())
    return format_html('<span class="state {}">{}</span>', css_class, text)


@register.simple_tag
def held(summary: Summary) -> SafeString:
    """What keeps a live signal from judging, except for its judge, which a banner names."""
    reasons = [(summary.cap_reached.text, summary.cap_reached.title)] if summary.cap_reached else []
    return format_html_join("", '<br><span class="state failed" tabindex="0" title="{}">{}</span>', reasons)


@register.simple_tag
def breakdown(summary: Summary) -> SafeString:
    if (best := summary.headline) is None or not summary.labelled:
        draft = summary.signal.state == Signal.State.DRAFT
        return format_html('<span class="faint">{}</span>', "Not running yet" if draft else "No labels in this range")
    version_range = summary.version_range
    versions = (
        format_html(' <span class="faint" title="Labels of {0}">{0}</span>', version_range) if version_range else ""
    )
    return format_html(
        '<div class="breakdown"><svg class="stackbar" role="img" aria-label="{}">{}</svg>'
        '<span class="cut">{} {}{}</span></div>',
        summary.text,
        parts(summary.bars),
        best.value,
        percent(best.count, best.total),
        versions,
    )
