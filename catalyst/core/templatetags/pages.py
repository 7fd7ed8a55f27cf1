"""Template tags that every page uses: icons, and carrying a page's query along in a form."""

from urllib.parse import urlencode

from django import template
from django.http import HttpRequest
from django.template.context import RequestContext
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

register = template.Library()


@register.simple_tag
def icon(name: str) -> SafeString:
    """A symbol of `components/icons.html`; decoration only, so it is hidden from screen readers."""
    return format_html('<svg class="icon" viewBox="0 0 16 16" aria-hidden="true"><use href="#i-{}"/></svg>', name)


@register.simple_tag(takes_context=True)
def toggled(context: RequestContext, name: str, value: str) -> str:
    """The page's query from its first row on, with one more value of a parameter, or without it if it has it."""
    request: HttpRequest = context["request"]
    query = {key: values for key, values in request.GET.lists() if key != "after"}
    values = query.get(name, [])
    query[name] = [other for other in values if other != value] if value in values else [*values, value]
    return f"?{urlencode(query, doseq=True)}"


@register.simple_tag(takes_context=True)
def carry(context: RequestContext, *names: str) -> SafeString:
    """Hidden fields that keep the page's query in a GET form, but for the names that the form sets itself."""
    request: HttpRequest = context["request"]
    kept = ((name, value) for name, values in request.GET.lists() if name not in names for value in values)
    return format_html_join("", '<input type="hidden" name="{}" value="{}">', kept)
