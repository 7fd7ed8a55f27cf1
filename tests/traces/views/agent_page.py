"""The numbers on an agent's page."""

from tests.page import Page, Part


def numbers(page: Page) -> dict[str, str]:
    """Every number of the cards by the names of its card and itself.

    The words beside a number have its name with `note`, `change`, `tone` (the color of the change), `aside` or `title`.
    """
    found: dict[str, str] = {}
    for caption in page.all("//figure/figcaption[span[@class='stat']]"):
        name = _only(caption, "span[@class='name']").text
        lead = _only(caption, "span[@class='stat']")
        found[name] = _only(lead, "b").text
        found[f"{name} note"] = " ".join(note.text for note in lead.all("span[not(@class)]"))
        found |= _change(name, lead)
        found[f"{name} aside"] = " ".join(aside.text for aside in caption.all("span[contains(@class, 'push')]"))
        for part in caption.all(".//li"):
            found |= _part(name, part)
    return found


def _part(card: str, part: Part) -> dict[str, str]:
    name = f"{card} {' '.join(part.element.xpath('text()')).strip()}"
    return {name: _only(part, "b").text, f"{name} title": part.attribute("title"), **_change(name, part)}


def _change(name: str, part: Part) -> dict[str, str]:
    changes = part.all("span[contains(@class, 'delta')]")
    words = " ".join(change.text for change in changes)
    tones = [change.attribute("class").removeprefix("delta").strip() for change in changes]
    return {f"{name} change": words, f"{name} tone": " ".join(tones)}


def _only(part: Part, path: str) -> Part:
    (found,) = part.all(path)
    return found


def table(page: Page, title: str) -> dict[str, list[str]]:
    """The rows of the table in a section: the first cell, and the others."""
    return {row.cells[0]: row.cells[1:] for row in page.region(title).table().rows}
