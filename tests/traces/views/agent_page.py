"""What an agent's page says, read from its HTML."""

import re
from html import unescape


def numbers(text: str) -> dict[str, str]:
    """Every number of the cards by its card and name, and what is said beside it under `… change` or `… title`."""
    found = {}
    for caption in re.findall(r"<figcaption>(.*?)</figcaption>", text, re.DOTALL):
        (name,) = re.findall(r'<span class="name">(.*?)</span>', caption)
        lead = caption.split('<span class="stat">')[1].split("<ul")[0]
        found[name] = re.findall(r"<b>(.*?)</b>", lead)[0]
        found[f"{name} note"] = " ".join(plain(part) for part in re.findall(r"<span>(.*?)</span>", lead))
        found[f"{name} change"] = " ".join(re.findall(r'<span class="delta [^>]*>(.*?)</span>', lead))
        found[f"{name} aside"] = " ".join(
            plain(part) for part in re.findall(r'<span class="push"[^>]*>(.*?)</span>', caption)
        )
        for title, part in re.findall(r'<li title="(.*?)">(.*?)</li>', caption, re.DOTALL):
            words = plain(part.split("<b>")[0])
            found[f"{name} {words}"] = re.findall(r"<b>(.*?)</b>", part)[0]
            found[f"{name} {words} title"] = title
    return found


def table(text: str, title: str) -> dict[str, list[str]]:
    """The rows under a heading: the first cell, and the others."""
    (body,) = re.findall(rf">{title}</h2>.*?<tbody>(.*?)</tbody>", text, re.DOTALL)
    rows = [re.findall(r"<td.*?</td>", row, re.DOTALL) for row in re.findall(r"<tr>(.*?)</tr>", body, re.DOTALL)]
    return {plain(first): [plain(cell) for cell in rest] for first, *rest in rows}


def plain(html: str) -> str:
    """HTML as it reads."""
    return " ".join(unescape(re.sub(r"<[^>]*>", " ", html)).split())
