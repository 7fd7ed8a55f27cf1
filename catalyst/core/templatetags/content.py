"""Filters that make untrusted text safe to show.

Only this module uses `mark_safe` on content, and only on the output of nh3.
"""

import json
import re
from collections.abc import Sequence, Set
from functools import cache
from typing import Any

import nh3
from django import template
from django.utils.html import conditional_escape, escape, format_html
from django.utils.safestring import SafeString, mark_safe
from markdown_it import MarkdownIt

from catalyst.formats import Plain

register = template.Library()

# Longer text is shown as it is, because parsing would be slow.
MAX_MARKDOWN_CHARACTERS = 50_000
MAX_HIGHLIGHTED_CHARACTERS = 30_000
MAX_SHOWN_CHARACTERS = 500_000
FOLD_ABOVE = 1_500
PREVIEW = 600
PREVIEW_LINES = 10
SHORT_LINES = 24
TAGS = {
    *("p", "br", "hr", "h1", "h2", "h3", "h4", "h5", "h6", "strong", "em", "s", "code", "pre", "blockquote"),
    *("ul", "ol", "li", "table", "thead", "tbody", "tr", "th", "td", "a"),
}
STRING = r"&quot;(?:\\&quot;|\\.|(?!&quot;)[^\\])*+&quot;"
# Tokens of JSON that was escaped for HTML. Other text may take very long.
TOKEN = re.compile(rf"(?P<k>{STRING})(?=:)|(?P<s>{STRING})|(?P<b>\b(?:true|false|null)\b)|(?P<n>-?\d[\d.eE+-]*)")
# Stand in a text for HTML of ours. No text has them: they are taken out before.
_MARKS = re.compile("[\ue000\ue001]")
_PLACE = re.compile("\ue000([0-9]+)\ue001")


@cache
def _parser() -> MarkdownIt:
    return MarkdownIt("commonmark", {"html": False, "breaks": True}).enable(["table", "strikethrough"]).disable("image")


@register.filter
def markdown(text: str) -> SafeString:
    """Render without raw HTML or images. Links are http(s) or mailto, without a referrer."""
    return _rendered(text, TAGS, ())


def markdown_with(pieces: Sequence[tuple[str, SafeString | str]]) -> SafeString:
    """Render pieces of Markdown as one text, each followed by HTML of ours or nothing. Links of the text are text."""
    parts = [
        f"{_MARKS.sub('', piece)}\ue000{number}\ue001" if html else _MARKS.sub("", piece)
        for number, (piece, html) in enumerate(pieces)
    ]
    return _rendered("".join(parts), TAGS - {"a"}, [html for _, html in pieces])


def _rendered(text: str, tags: Set[str], inserted: Sequence[SafeString | str]) -> SafeString:
    if isinstance(text, Plain) or len(text) > MAX_MARKDOWN_CHARACTERS:
        html: str = format_html('<div class="plain-text">{}</div>', text[:MAX_SHOWN_CHARACTERS])
    else:
        html = nh3.clean(
            _parser().render(text),
            tags=set(tags),
            attributes={"ol": {"start"}} | ({"a": {"href", "title"}} if "a" in tags else {}),
            url_schemes={"http", "https", "mailto"},
            link_rel="noopener noreferrer nofollow",
        )
    if inserted:
        html = _PLACE.sub(lambda place: conditional_escape(inserted[int(place[1])]), html)
    return mark_safe(html)


@register.filter
def pretty(value: Any) -> str:
    """Indent JSON. Other text stays."""
    if isinstance(value, Plain):
        return Plain(value[:MAX_SHOWN_CHARACTERS])
    if isinstance(value, str):
        parsed = parse_json(value)
        if parsed is None:
            return value[:MAX_SHOWN_CHARACTERS]
        value = parsed
    return json.dumps(value, indent=2, ensure_ascii=False, default=str)[:MAX_SHOWN_CHARACTERS]


@register.filter
def highlighted(text: str) -> SafeString:
    escaped = escape(text)
    if len(text) > MAX_HIGHLIGHTED_CHARACTERS or parse_json(text) is None:
        return escaped
    marked = TOKEN.sub(lambda token: f'<span class="{token.lastgroup}">{token.group()}</span>', escaped)
    return mark_safe(nh3.clean(marked, tags={"span"}, attributes={"span": {"class"}}))


@register.filter
def one_line(text: str | None) -> str:
    """Return up to 160 characters."""
    parsed = parse_json(text or "")
    # Objects become `name: value, name: value`.
    if isinstance(parsed, dict):
        line = ", ".join(f"{key}: {json.dumps(value, ensure_ascii=False)}" for key, value in list(parsed.items())[:12])
    else:
        line = " ".join((text or "")[:400].split())
    return f"{line[:159]}…" if len(line) > 160 else line


@register.filter
def is_json(text: str | None) -> bool:
    return parse_json(text or "") is not None


@register.filter
def is_long(text: str) -> bool:
    # Folded in a conversation.
    return len(text) > FOLD_ABOVE


@register.filter
def is_tall(text: str) -> bool:
    # Pretty JSON that starts closed.
    return text.count("\n") > SHORT_LINES


@register.filter
def preview(text: str) -> str:
    return "\n".join(text[:PREVIEW].splitlines()[:PREVIEW_LINES]).rsplit(" ", 1)[0] + "…"


def looks_like_json(text: str) -> bool:
    stripped = text.strip()
    return bool(stripped) and (stripped[0] + stripped[-1]) in ("{}", "[]")


def parse_json(text: str) -> Any:
    """Return an object or list, or None for other or `Plain` text."""
    if isinstance(text, Plain) or len(text) > MAX_SHOWN_CHARACTERS or not looks_like_json(text):
        return None
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None
