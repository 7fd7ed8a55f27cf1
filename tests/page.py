"""A page as its readers find things on it: by heading, by label, by the words of a link or button.

Whitespace is folded in every text, and a text has only the markup that the page escaped. What is not on the page
fails the test with the names that are there.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from lxml import etree, html

type Element = Any

HEADINGS = ("h1", "h2", "h3", "h4", "caption", "legend", "summary")


def words(element: Element) -> str:
    """The text of an element and of all that it contains."""
    return " ".join(element.text_content().split())


@dataclass(frozen=True)
class Part:
    """A part of a page."""

    element: Element

    @property
    def text(self) -> str:
        """All words of this part."""
        return words(self.element)

    def all(self, path: str) -> list["Part"]:
        """The elements at an XPath below this part."""
        return [Part(found) for found in self.element.xpath(path)]

    def attribute(self, name: str) -> str:
        """An attribute; fails if there is none."""
        value = self.element.get(name)
        assert value is not None, f"no {name} on {html.tostring(self.element, encoding='unicode')[:200]}"
        return str(value)

    @property
    def headings(self) -> list[str]:
        """The headings, captions and legends of this part."""
        return [words(found) for found in self.element.iter(*HEADINGS)]

    @property
    def links(self) -> list[tuple[str, str]]:
        """The words or the label of each link, and its address. A count in a link is a word of its own."""
        return [(_link_words(link), link.get("href")) for link in self.element.iter("a") if link.get("href")]

    def link(self, text: str) -> str:
        """The address of the only link with these words or this label."""
        found = {address for name, address in self.links if name == text}
        assert len(found) == 1, f"{len(found)} links {text!r} among {[name for name, _ in self.links]}"
        return found.pop()

    def has_link(self, text: str) -> bool:
        """Whether a link has these words."""
        return any(name == text for name, _ in self.links)

    @property
    def current(self) -> list[str]:
        """The words of the links that are marked as the current ones."""
        return [_link_words(link) for link in self.element.iter("a") if link.get("aria-current")]

    @property
    def buttons(self) -> list[str]:
        """The words of each button."""
        return [words(button) for button in self.element.iter("button")]

    @property
    def facts(self) -> dict[str, str]:
        """The lists of terms: each term with its description."""
        pairs = (pair for terms in self.element.iter("dl") for pair in _pairs(terms))
        return {words(term): words(description) for term, description in pairs}

    @property
    def errors(self) -> list[str]:
        """The errors of fields and forms."""
        return [words(found) for found in self.element.xpath(".//*[contains(@class, 'wrong')]")]

    @property
    def ids(self) -> set[str]:
        """The ids of the elements."""
        return set(self.element.xpath(".//@id"))

    @property
    def labels(self) -> list[str]:
        """The labels of regions, pictures and fields."""
        return [" ".join(label.split()) for label in self.element.xpath(".//@aria-label")]

    @property
    def polls(self) -> list[str]:
        """How often parts load themselves again, such as `5s`."""
        triggers = self.element.xpath(".//@hx-trigger[starts-with(., 'every ')]")
        return [trigger.split()[1] for trigger in triggers]

    @property
    def requests(self) -> list[str]:
        """The addresses that parts load by htmx."""
        return [str(address) for address in self.element.xpath(".//@hx-get")]

    @property
    def items(self) -> list[str]:
        """The words of each list item."""
        return [words(item) for item in self.element.iter("li")]

    def part(self, key: str) -> "Part":
        """The part with this id."""
        found = self.element.xpath(".//*[@id=$key]", key=key)
        assert len(found) == 1, f"{len(found)} parts {key!r} among {sorted(self.ids)}"
        return Part(found[0])

    def region(self, name: str) -> "Part":
        """The part with this label, or labelled by the element with these words."""
        parts = [(_region_name(part), part) for part in self.element.xpath(".//*[@aria-label or @aria-labelledby]")]
        found = [part for label, part in parts if label == name]
        assert len(found) == 1, f"{len(found)} regions {name!r} among {[label for label, _ in parts]}"
        return Part(found[0])

    def choice(self, label: str) -> "Choice":
        """The select field with this label."""
        fields = {_label(self.element, field): field for field in self.element.iter("select")}
        assert label in fields, f"no choice {label!r} among {list(fields)}"
        return Choice(fields[label])

    def field(self, label: str) -> "Field":
        """The field with this label."""
        fields = {_label(self.element, field): field for field in self.element.iter("input", "select", "textarea")}
        assert label in fields, f"no field {label!r} among {list(fields)}"
        return Field(fields[label])

    @property
    def forms(self) -> list["Form"]:
        """All forms."""
        return [Form(found) for found in self.element.iter("form")]

    @property
    def searches(self) -> list["Form"]:
        """The forms that search or filter a list."""
        return [form for form in self.forms if form.element.get("role") == "search"]

    def form(self, action: str) -> "Form":
        """The only form whose address ends so."""
        found = [form for form in self.forms if form.action.endswith(action)]
        assert len(found) == 1, f"{len(found)} forms {action!r} among {[form.action for form in self.forms]}"
        return found[0]

    @property
    def rows(self) -> list["Row"]:
        """The rows of all tables or parts of tables, without heads and without the row that loads more."""
        found = self.element.xpath("descendant-or-self::tr[not(ancestor::thead) and not(contains(@class, 'more'))]")
        tables = [next(row.iterancestors("table"), row) for row in found]
        columns = {table: _columns(table) for table in set(tables)}
        return [Row(row, columns[table]) for row, table in zip(found, tables, strict=True)]

    def table(self, name: str = "") -> "Table":
        """The table with this caption or label, or below this heading; without a name the only table."""
        tables = [Table(found) for found in self.element.iter("table")]
        found = [table for table in tables if name in {"", table.name}]
        assert len(found) == 1, f"{len(found)} tables {name!r} among {[table.name for table in tables]}"
        return found[0]


@dataclass(frozen=True)
class Field(Part):
    """A field of a form."""

    @property
    def value(self) -> str:
        """What it holds. The parser keeps the line break that browsers drop from the beginning of a text."""
        value = str(self.element.value or "")
        return value.removeprefix("\n") if self.element.tag == "textarea" else value

    @property
    def errors(self) -> list[str]:
        """The errors that describe it."""
        ids = (self.element.get("aria-describedby") or "").split()
        found = (self.element.getroottree().xpath("//*[@id=$key][contains(@class, 'wrong')]", key=key) for key in ids)
        return [words(error) for errors in found for error in errors]


@dataclass(frozen=True)
class Choice(Part):
    """A select field."""

    @property
    def options(self) -> dict[str, str]:
        """The value of each option, by its words."""
        return {words(option): option.get("value", words(option)) for option in self.element.iter("option")}

    @property
    def chosen(self) -> list[str]:
        """The words of the options that are selected."""
        return [words(option) for option in self.element.iter("option") if option.get("selected") is not None]


@dataclass(frozen=True)
class Form(Part):
    """A form."""

    @property
    def action(self) -> str:
        """The address that it is sent to; empty for that of the page."""
        return str(self.element.get("action") or "")

    @property
    def is_post(self) -> bool:
        """Whether it is sent by POST."""
        return str(self.element.get("method", "")).lower() == "post"

    @property
    def names(self) -> set[str]:
        """The names of its fields, disabled ones too."""
        return set(self.element.xpath(".//*/@name"))

    @property
    def fields(self) -> dict[str, list[str]]:
        """The values that the form would send as it is, by name."""
        sent: dict[str, list[str]] = {}
        for name, value in self.element.form_values():
            sent.setdefault(name, []).append(str(value).removeprefix("\n"))
        return sent

    @property
    def filled(self) -> dict[str, str]:
        """The last of the values that the form would send as it is, by name."""
        return {name: values[-1] for name, values in self.fields.items()}


@dataclass(frozen=True)
class Table(Part):
    """A table."""

    @property
    def name(self) -> str:
        """Its caption or label, or the heading before it."""
        for caption in self.element.iter("caption"):
            return words(caption)
        if label := self.element.get("aria-label"):
            return str(label)
        headings = self.element.xpath("preceding::*[self::h1 or self::h2 or self::h3][1]")
        return words(headings[0]) if headings else ""

    @property
    def columns(self) -> list[str]:
        """The heads of the columns."""
        return _columns(self.element)

    def row(self, which: int | str) -> "Row":
        """A row by its number from 1, or by the words of one of its cells."""
        if isinstance(which, int):
            return self.rows[which - 1]
        found = [row for row in self.rows if which in row.cells]
        assert len(found) == 1, f"{len(found)} rows {which!r} among {[row.cells for row in self.rows]}"
        return found[0]


@dataclass(frozen=True)
class Row(Part):
    """A row of a table."""

    columns: list[str]

    @property
    def cells(self) -> list[str]:
        """The words of each cell."""
        return [words(cell) for cell in self.element.xpath("./td | ./th")]

    def __getitem__(self, column: str) -> str:
        return self.cells[self.columns.index(column)]


class Page(Part):
    """A whole page, or a fragment that htmx puts into one. `figures`: the figures of charts, by name."""

    def __init__(self, source: str) -> None:
        page = html.document_fromstring(source or "<p>")
        scripts = page.xpath("//script[@type='application/json'][@id]")
        object.__setattr__(self, "figures", {script.get("id"): json.loads(script.text) for script in scripts})
        # No reader sees their text.
        etree.strip_elements(page, "script", "style", with_tail=False)
        super().__init__(page)
        object.__setattr__(self, "is_whole", bool(re.search(r"<html\b", source)))

    figures: dict[str, Any]

    is_whole: bool
    """Return True for a whole page and False for a fragment."""

    @property
    def main(self) -> Part:
        """The page without its frame: no navigation, no menus."""
        return self.part("main")


def _columns(table: Element) -> list[str]:
    """The heads of the columns of a table; none of a row without one."""
    return [words(head) for head in table.xpath("(.//thead//tr)[1]/*")]


def _link_words(link: Element) -> str:
    """The words of a link, else its label. A count in it is a word of its own."""
    return " ".join(" ".join(link.itertext()).split()) or str(link.get("aria-label") or "")


def _region_name(part: Element) -> str:
    """The label of a part of a page."""
    if label := part.get("aria-label"):
        return " ".join(label.split())
    labels = part.getroottree().xpath("//*[@id=$id]", id=part.get("aria-labelledby"))
    return words(labels[0]) if labels else ""


def _pairs(terms: Element) -> Iterator[tuple[Element, Element]]:
    """Each term of a list with the description after it."""
    for term in terms.iter("dt"):
        for description in term.xpath("following-sibling::*[1][self::dd]"):
            yield term, description


def _label(root: Element, field: Element) -> str:
    """The label of a field."""
    if label := field.get("aria-label"):
        return str(label)
    around = field.xpath("ancestor::label[1]/text()[1] | ancestor::label[1]/span[1]")
    named = root.xpath("//label[@for=$id]", id=field.get("id") or "")
    for label in (*named, *around):
        text = label if isinstance(label, str) else words(label)
        if text.strip():
            return str(text).strip()
    return str(field.get("name") or "")
