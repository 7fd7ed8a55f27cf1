"""Hostile content in pages."""

import json
from html.parser import HTMLParser

import pytest
from django.utils.html import escape

from catalyst.core.templatetags import content, pages
from catalyst.formats import Plain


class Elements(HTMLParser):
    """The elements of a piece of HTML, as a browser would read them."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[tuple[str, dict[str, str]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, {name: value or "" for name, value in attrs}))


@pytest.mark.parametrize(
    "text",
    [
        "<script>alert(1)</script>",
        "[click](javascript:alert(1))",
        '<img src=x onerror="alert(1)">',
        "![x](https://tracker.example/pixel.png)",
        '<a href="https://x" style="position:fixed" onclick="x()">a</a>',
        "[a](data:text/html;base64,PHNjcmlwdD4=)",
        "<iframe src=https://x></iframe><style>*{}</style>",
    ],
)
def test_it_shows_no_active_content(text: str) -> None:
    found = Elements()
    found.feed(content.markdown(text))
    assert {tag for tag, _ in found.seen} <= {"p", "a"}
    assert {name for _, attributes in found.seen for name in attributes} <= {"href", "rel"}
    assert all(attributes["href"].startswith("https://") for tag, attributes in found.seen if tag == "a")


def test_it_renders_markdown() -> None:
    html = content.markdown(
        "**Bold** and\n\n- one\n- two\n\n| a | b |\n|---|---|\n| 1 | 2 |\n\n[site](https://example.org)"
    )
    assert "<strong>Bold</strong>" in html
    assert html.count("<li>") == 2
    assert "<table>" in html
    assert '<a href="https://example.org" rel="noopener noreferrer nofollow">' in html


def test_it_shows_very_long_text_as_it_is() -> None:
    html = content.markdown("**x** <b>" * 10_000)
    assert "<strong>" not in html
    assert "<b>" not in html


def test_it_prints_json_with_indents() -> None:
    assert content.pretty('{"a":[1]}') == '{\n  "a": [\n    1\n  ]\n}'
    assert content.pretty({"ü": None}) == '{\n  "ü": null\n}'
    assert content.pretty("plain {text") == "plain {text"


def test_it_survives_json_that_is_a_bomb() -> None:
    bomb = "[" * 200_000 + "]" * 200_000
    assert content.pretty(bomb) == bomb[: content.MAX_SHOWN_CHARACTERS]


def test_it_marks_json_and_escapes_what_is_in_it() -> None:
    html = content.highlighted(json.dumps({"<k>": "</pre><script>", "n": -1.5, "b": True}, indent=2))
    assert '<span class="k">"&lt;k&gt;"</span>' in html
    assert '<span class="s">"&lt;/pre&gt;&lt;script&gt;"</span>' in html
    assert '<span class="n">-1.5</span>' in html
    assert '<span class="b">true</span>' in html


@pytest.mark.parametrize(
    ("text", "line"),
    [('{"a": "x", "b": 2}', 'a: "x", b: 2'), ("two\nlines", "two lines"), (None, ""), ("x" * 300, "x" * 159 + "…")],
)
def test_it_says_arguments_on_one_line(text: str | None, line: str) -> None:
    assert content.one_line(text) == line


def test_it_marks_only_what_is_json() -> None:
    assert '<span class="k">' in content.highlighted('{"a": "b"}')
    assert "<span" not in content.highlighted("{" + '"a" 1 \\"' * 20 + "}")


@pytest.mark.parametrize("text", ["**bold** <b>", '{"a": 1}'])
def test_it_shows_plain_text_as_it_is(text: str) -> None:
    plain = Plain(text)
    assert content.markdown(plain) == f'<div class="plain-text">{escape(text)}</div>'
    assert not content.is_json(plain)
    assert content.highlighted(content.pretty(plain)) == escape(text)


def test_it_lets_no_name_in_a_chart_end_its_script() -> None:
    figure = {"data": [{"name": "</script><b>&amp;", "customdata": ["?label=a&from=b"], "y": [1, None, 2.5]}]}
    script = pages.figure_script(figure, "labels")
    start, end = '<script id="labels" type="application/json">', "</script>"
    assert script.startswith(start)
    data = script.removeprefix(start).removesuffix(end)
    assert "<" not in data
    assert json.loads(data) == figure
