"""Results of operations as text for a terminal.

Untrusted text is never read as markup, and control characters are removed.
"""

import io
from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from decimal import Decimal
from typing import Any

from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

from catalyst.formats import usd
from catalyst.operations import Page

# Columns where nobody measures the terminal, such as in a pipe.
UNLIMITED = 10_000


def draw(result: object, width: int | None = None) -> list[str]:
    """Return lines of up to `width` columns, if ids fit. None is unlimited."""
    if isinstance(result, Page):
        return _lines([_table(result.items)], width)
    values = _values(result)
    facts = {name: value for name, value in values.items() if not _is_part(value)}
    parts = [part for value in values.values() if _is_part(value) for part in _parts(value)]
    if any(value is not None for value in facts.values()):
        parts.insert(0, _facts(facts))
    return _lines(parts or [_table([])], width)


def _is_part(value: object) -> bool:
    return is_dataclass(value) or _is_rows(value)


def _parts(value: Any) -> list[RenderableType]:
    # Rows are a table, or shown in full if their class says so.
    if is_dataclass(value):
        return [_facts(_values(value))]
    if value and getattr(value[0], "IN_FULL", False):
        return [_facts(_values(row)) for row in value]
    return [_table(value)] if value else []


def plain(text: str) -> str:
    """Return one line without control characters."""
    characters = (char if char.isprintable() else " " for char in text)
    return " ".join("".join(characters).split())


def _is_rows(value: object) -> bool:
    return isinstance(value, list) and all(is_dataclass(item) for item in value)


def _values(row: Any) -> dict[str, Any]:
    return {field.name: getattr(row, field.name) for field in fields(row)}


def _table(rows: Sequence[Any]) -> RenderableType:
    if not rows:
        return Text("None.")
    columns: Mapping[str, str] = getattr(rows[0], "COLUMNS", {})
    if not columns:
        columns = {field.name.replace("_", " ").upper(): field.name for field in fields(rows[0])}
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="")
    for heading, name in columns.items():
        _add_column(table, heading, name, [getattr(row, name) for row in rows])
    for row in rows:
        table.add_row(*[_cell(getattr(row, name)) for name in columns.values()])
    return table


def _add_column(table: Table, heading: str, name: str, values: Sequence[object]) -> None:
    is_number = all(isinstance(value, int | float | Decimal | None) for value in values)
    is_id = name == "id" or name.endswith("_id")
    min_width = None
    if is_id:
        # A truncated id is useless.
        min_width = max(len(_text(value)) for value in values)
    table.add_column(Text(heading), justify="right" if is_number else "left", min_width=min_width)


def _cell(value: object) -> Text:
    return Text(_text(value), no_wrap=True, overflow="ellipsis")


def _facts(values: Mapping[str, Any]) -> RenderableType:
    # Empty values are left out.
    grid = Table.grid(padding=(0, 2, 0, 0))
    grid.add_column(no_wrap=True)
    grid.add_column(overflow="fold")
    for name, value in values.items():
        heading = name.replace("_", " ").capitalize()
        text = _lines_of(value) if isinstance(value, str) else _text(value)
        if text:
            grid.add_row(Text(heading), Text(text))
    return grid


def _lines_of(text: str) -> str:
    return "\n".join(plain(line) for line in text.splitlines())


def _text(value: object) -> str:
    if is_dataclass(value):
        value = _values(value)
    if isinstance(value, Mapping):
        return ", ".join(f"{plain(str(key))} {_text(item)}" for key, item in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(_text(item) for item in value)
    return _scalar(value)


def _scalar(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    return usd(value) if isinstance(value, Decimal) else plain(str(value))


def _lines(parts: Sequence[RenderableType], width: int | None) -> list[str]:
    output = io.StringIO()
    console = Console(
        file=output, width=width or UNLIMITED, color_system=None, markup=False, emoji=False, highlight=False
    )
    for number, part in enumerate(parts):
        if number:
            console.print()
        console.print(part)
    return [line.rstrip() for line in output.getvalue().splitlines()]
