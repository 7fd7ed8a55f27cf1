"""Template tags of every page."""

from collections.abc import Collection, Mapping
from typing import Any
from urllib.parse import urlencode

from django import template
from django.forms.utils import flatatt
from django.http import HttpRequest
from django.template.context import RequestContext
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString, mark_safe

from catalyst import __version__, package, registry, timerange
from catalyst.core.access import ProjectRequest
from catalyst.core.models import Project
from catalyst.figures import to_json
from catalyst.pagination import Sort
from catalyst.registry import Section, Tab, TabPage
from catalyst.timerange import TimeRange

register = template.Library()
register.simple_tag(package.command)
register.filter("html_attributes", flatatt)

# Nobody needs a greater number in the navigation, and it costs more.
MAX_COUNTED = 99
# Without a status nothing failed, so it is counted and found as OK.
STATUSES = {"ok": ("OK", ""), "error": ("Error", ""), "unset": ("OK", "The sender set no status")}


@register.filter
def figure_script(figure: Any, element_id: str) -> SafeString:
    """Data of a figure for charts.js."""
    # Safe: the serializer escapes <, > and /.
    return format_html('<script id="{}" type="application/json">{}</script>', element_id, mark_safe(to_json(figure)))


@register.simple_tag
def version() -> str:
    return __version__


@register.simple_tag
def icon(name: str) -> SafeString:
    # Decorative, so screen readers skip it.
    return format_html('<svg class="icon" viewBox="0 0 16 16" aria-hidden="true"><use href="#i-{}"/></svg>', name)


@register.simple_tag
def pill(
    value: str, sentiment: str = "", name: str = "", href: str = "", count: int = 1, query: str = ""
) -> SafeString:
    """`name`: the signal. `count`: labels with this value. `query`: of the link, if `href` has none."""
    content = format_html("{}{}", value, f" \N{MULTIPLICATION SIGN}{count}" if count > 1 else "")
    if name:
        content = format_html('<i title="{0}">{0}</i><span title="{1}">{1}</span>', name, content)
    if href:
        address = f"{href}?{query}" if query else href
        return format_html('<a class="pill {}" href="{}">{}</a>', sentiment, address, content)
    return format_html('<span class="pill {}">{}</span>', sentiment, content)


@register.filter
def status_text(value: str) -> str:
    return STATUSES[value][0]


@register.simple_tag
def status(value: str) -> SafeString:
    words, note = STATUSES[value]
    return format_html('<span class="state {}"{}>{}</span>', value, flatatt({"title": note} if note else {}), words)


@register.simple_tag(takes_context=True)
def toggled(context: RequestContext, name: str, value: str) -> str:
    """The first page's query, with the value added or removed."""
    query = _from_first_row(context)
    values = query.get(name, [])
    if value in values:
        query[name] = [item for item in values if item != value]
    else:
        query[name] = [*values, value]
    return _address(context, query)


@register.simple_tag(takes_context=True)
def swapped(context: RequestContext, name: str, value: object, instead_of: Collection[str] | None = None) -> str:
    """The first page's query, with the value instead of the others, or without it if it is there.

    `instead_of`: replace only these values.
    """
    query = _from_first_row(context)
    values = query.pop(name, [])
    kept = [] if instead_of is None else [item for item in values if item not in instead_of]
    new = kept if str(value) in values else [*kept, value]
    return _address(context, {**query, name: new})


@register.simple_tag(takes_context=True)
def facet_choice(
    context: RequestContext,
    name: str,
    value: object,
    text: str,
    number: int | str | None,
    instead_of: Collection[str] | None = None,
) -> SafeString:
    """A value of a facet that takes one, with the number of rows that it leaves. As a link, so a click removes it, too.

    `number`: None or empty if it is not known. `instead_of` as for `swapped`.
    """
    request: HttpRequest = context["request"]
    is_chosen = str(value) in request.GET.getlist(name)
    return format_html(
        '<a role="radio" aria-checked="{}" href="{}" title="{} {}"><span>{}</span>{}</a>',
        "true" if is_chosen else "false",
        swapped(context, name, value, instead_of),
        "Remove filter" if is_chosen else "Only",
        text,
        text,
        "" if number in {None, ""} else format_html(" <output>{}</output>", f"{number:,}"),
    )


@register.simple_tag(takes_context=True)
def facet_any(context: RequestContext, name: str, chosen: Collection[str] = ()) -> SafeString:
    """The way out of a facet that takes one value. `chosen`: the values to remove, if not all of this name."""
    values = context["request"].GET.getlist(name)
    address = changed(context, {name: [value for value in values if chosen and value not in chosen]})
    return format_html('<a role="radio" aria-checked="false" href="{}"><span>Any</span></a>', address)


@register.simple_tag(takes_context=True)
def changed(context: RequestContext, *changes: Mapping[str, Any], at: str = "", **values: Any) -> str:
    """The address of the first page after these changes of the query; no value removes a parameter.

    `at`: the path of another page.
    """
    query = _from_first_row(context)
    for name, value in (item for each in (*changes, values) for item in each.items()):
        query[name] = [] if value is None else value if isinstance(value, list) else [value]
    return _address(context, query, at)


@register.simple_tag(takes_context=True)
def narrowed(context: RequestContext, name: str, value: object) -> str:
    """The first page's query, with one parameter replaced."""
    query = _from_first_row(context)
    # Last, because templates append to an empty value.
    query.pop(name, None)
    return f"?{urlencode(query | {name: [value]}, doseq=True)}"


def _address(context: RequestContext, query: Mapping[str, list[Any]], at: str = "") -> str:
    # A link to nothing but "?" would show it in the address.
    encoded = urlencode(query, doseq=True)
    return f"{at}?{encoded}" if encoded else at or str(context["request"].path)


def _from_first_row(context: RequestContext) -> dict[str, list[Any]]:
    request: HttpRequest = context["request"]
    return {key: values for key, values in request.GET.lists() if key != "after"}


@register.simple_tag(takes_context=True)
def sort_head(  # noqa: PLR0913, PLR0917
    context: RequestContext,
    sort: Sort,
    key: str,
    text: str,
    css_class: str = "",
    parameter: str = "sort",
    bars: str = "",
) -> SafeString:
    """The head of a column, which sorts the list: the greatest value first, then the least. Names the other way.

    `bars`: what the bars beside the values show, hidden where they are.
    """
    is_current = sort.key == key
    new = sort.opposite if is_current else Sort(key, is_descending=key != "name")
    attributes = {"class": css_class or None}
    if is_current:
        attributes["aria-sort"] = "descending" if sort.is_descending else "ascending"
    return format_html(
        '<th{}><a href="{}">{}</a>{}</th>',
        flatatt({name: value for name, value in attributes.items() if value}),
        narrowed(context, parameter, new),
        text,
        format_html(' <span class="of-bars" aria-hidden="true">{}</span>', bars) if bars else "",
    )


@register.simple_tag(takes_context=True)
def ranged_url(context: RequestContext, name: str, *ids: object, **parameters: object) -> str:
    """The URL of a page, with the time range of this one and further parameters."""
    return ranged(context, reverse(name, args=ids), **parameters)


@register.filter
def has_ended(time_range: object) -> bool:
    """Whether the range is over. A page without one goes on."""
    return isinstance(time_range, TimeRange) and time_range.end <= timezone.now()


@register.simple_tag(takes_context=True)
def ranged(context: RequestContext, address: str, **parameters: object) -> str:
    """An address without a query, with the time range of this page and further parameters."""
    # Not of the context's names, which components may lack.
    request = context.request
    asked = timerange.parse(request.GET.dict(), timezone.now())
    names = () if asked.problem else ("range", "from", "to")
    query = {key: request.GET[key] for key in names if request.GET.get(key)} | parameters
    return f"{address}?{urlencode(query)}" if query else address


@register.simple_tag(takes_context=True)
def carry(context: RequestContext, *names: str) -> SafeString:
    """Hidden inputs that keep the query, except for `names`."""
    request: HttpRequest = context["request"]
    fields = ((name, value) for name, values in request.GET.lists() if name not in names for value in values)
    return format_html_join("", '<input type="hidden" name="{}" value="{}">', fields)


@register.simple_tag
def section_count(section: Section, project: Project) -> str:
    """The number of rows that the section's page lists. Empty if there are none."""
    if section.rows is None:
        return ""
    count = section.rows(project)[: MAX_COUNTED + 1].count()
    return f"{MAX_COUNTED}+" if count > MAX_COUNTED else str(count or "")


@register.simple_tag
def urgent_count(section: Section, project: Project) -> int:
    """The number of things of a section that need attention."""
    return section.urgent(project)


@register.simple_tag(takes_context=True)
def tabs(context: RequestContext, page: TabPage, *ids: object, query: str = "") -> SafeString:
    """`ids` and `query` complete the URLs. The view passes the current tab as `tab`."""
    request: ProjectRequest = context["request"]
    current = context.get("tab")
    links = []
    for tab in registry.entries(Tab):
        if tab.page != page or (tab.owners_only and not request.membership.is_owner):
            continue
        address = reverse(tab.url_name, args=[request.project.slug, *ids]) + query
        template = '<a href="{}" aria-current="page">{}</a>' if tab.name == current else '<a href="{}">{}</a>'
        links.append(format_html(template, address, tab.label))
    return format_html(
        '<nav class="tabs gap-below" aria-label="{}">{}</nav>',
        page.capitalize(),
        format_html_join("", "{}", ((link,) for link in links)),
    )
