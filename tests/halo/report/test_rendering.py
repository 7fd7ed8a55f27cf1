"""What people see of what a model wrote."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import html

from catalyst.core.models import Project
from halo.report import citations, rendering
from halo.report.mentions import find
from tests.halo.report.stored import OTHER, TOOL, TRACE, UNKNOWN, store_trace

DAY = timedelta(days=1)
PAGE = f"/p/default/traces/{TRACE}/"


@pytest.fixture
def shown(project: Project, now: datetime) -> Any:
    """`shown(text)`: the text as a page, checked for a report about the last day."""
    store_trace(project, TRACE, start=now - timedelta(hours=1))
    store_trace(project, OTHER, start=now - 3 * DAY)

    def show(text: str) -> html.HtmlElement:
        checked = citations.check(project, now - DAY, now, find(text))
        page = rendering.to_html(text, checked.citations, rendering.address_in(project))
        return html.fragment_fromstring(page, create_parent="div")

    return show


@pytest.fixture
def downloaded(project: Project, now: datetime) -> Any:
    """`downloaded(text)`: the text as Markdown."""
    store_trace(project, TRACE, start=now - timedelta(hours=1))
    store_trace(project, OTHER, start=now - 3 * DAY)

    def download(text: str) -> str:
        checked = citations.check(project, now - DAY, now, find(text))
        return rendering.to_markdown(text, checked.citations, rendering.address_in(project))

    return download


def chips(page: html.HtmlElement) -> list[tuple[str, str, str | None]]:
    """The tag, the label and the address of each chip."""
    found = page.xpath(".//*[contains(concat(' ', @class, ' '), ' cite ')]")
    return [(each.tag, each.text, each.get("href")) for each in found]


def test_a_citation_leads_to_its_span(shown: Any) -> None:
    page = shown(f"It fails [span:{TRACE}:{TOOL}], as `{TRACE}` shows.")
    assert chips(page) == [("a", "4bf92f35:00f0", f"{PAGE}?span={TOOL}"), ("a", "4bf92f35", PAGE)]
    assert page.xpath(".//a/@title") == ["Verified", "Verified"]
    assert "[span" not in page.text_content()
    assert page.xpath(".//code") == []


def test_one_that_is_made_up_is_struck_out(shown: Any) -> None:
    page = shown(f"It fails [trace:{UNKNOWN}] and [trace:made-up].")
    assert chips(page) == [("s", UNKNOWN, None), ("s", "trace:made-up", None)]
    assert "There is no such trace or span" in page.text_content()


def test_it_says_what_is_wrong_with_a_citation(shown: Any) -> None:
    page = shown(f'Long ago [trace:{OTHER}]. It says "never said that" [trace:{TRACE}].')
    assert page.xpath(".//a/@title") == [
        "Outside the window of the report",
        "Verified; the quoted text is not in it",
    ]
    assert page.xpath("count(.//a[contains(@class, 'misquoted')])") == 1


def test_citations_in_tables_and_lists(shown: Any) -> None:
    page = shown(f"| Trace | Why |\n|---|---|\n| {TRACE} | slow |\n\n- **{TRACE}**\n- `trace_id={TRACE}`")
    assert len(chips(page)) == 3
    assert page.xpath("count(.//td/a)") == 1
    assert page.xpath("string(.//code)").startswith("trace_id=4bf92f35")


def test_code_stays_as_it_is(shown: Any) -> None:
    page = shown(f"```\n{TRACE} [a](http://x.example)\n```")
    assert (chips(page), page.xpath("string(.//code)").strip()) == ([], f"{TRACE} [a](http://x.example)")


@pytest.mark.parametrize(
    "text",
    [
        "<script>alert(1)</script>",
        "<img src=x onerror=alert(1)>",
        "<a href='https://evil.example'>x</a>",
        "[click](https://evil.example)",
        "[click](javascript:alert(1))",
        "[click][1]\n\n[1]: https://evil.example",
        "<https://evil.example>",
        "![x](https://evil.example/x.png)",
        "[![x](https://evil.example/x.png)](https://evil.example)",
        '<a class="cite" href="/admin/">Verified</a>',
        '<s class="cite">x</s>',
        "\ue0000\ue001 \ue0007\ue001",
        '[trace:"><script>alert(1)</script>]',
        "[trace:<b>x</b>]",
    ],
)
def test_what_a_model_writes_is_text(shown: Any, text: str) -> None:
    page = shown(f"{text}\n\n{TRACE}")
    assert [each.get("href") for each in page.iter("a")] == [PAGE]
    assert not [each for each in page.iter() if each.tag in {"script", "img", "b"}]
    assert not [name for each in page.iter() for name in each.attrib if name.startswith("on") or name == "style"]


def test_a_link_is_shown_as_text_with_its_address(shown: Any) -> None:
    page = shown(f"[the docs](https://docs.example/x) and [this run](/p/default/traces/{TRACE}/)")
    assert page.text_content().startswith("the docs (https://docs.example/x) and this run 4bf92f35")
    assert [each.get("href") for each in page.iter("a")] == [PAGE]


def test_a_very_long_text_is_shown_as_it_is_with_its_citations(shown: Any) -> None:
    page = shown(f"[trace:{TRACE}] {'long ' * 20_000}")
    assert chips(page) == [("a", "4bf92f35", PAGE)]


def test_the_download_is_markdown(downloaded: Any) -> None:
    text = f"# Why\n\nA [span:{TRACE}:{TOOL}], `{OTHER}`, [trace:{UNKNOWN}], [trace:no]. <b>x</b>"
    assert downloaded(text) == (
        f"# Why\n\nA [4bf92f35:00f0]({PAGE}?span={TOOL}), "
        f"[a90c1e6f](/p/default/traces/{OTHER}/) (Outside the window of the report), "
        f"~~{UNKNOWN}~~ (There is no such trace or span), ~~trace:no~~ (There is no such trace or span). <b>x</b>"
    )


@given(
    st.text()
    | st.lists(st.sampled_from(["[a](", ")", "![", "](x)", TRACE, "\ue000", "0", "\ue001", "`", "<"])).map("".join)
)
def test_any_text_can_be_shown(text: str) -> None:
    page = rendering.to_html(text, [], lambda *_: "/")
    assert "href" not in page
