"""Lines of CSV that no spreadsheet takes for formulas."""

import csv
import io
from collections.abc import Iterable


def csv_line(cells: Iterable[object]) -> str:
    line = io.StringIO()
    csv.writer(line).writerow(_safe(cell) for cell in cells)
    return line.getvalue()


def _safe(cell: object) -> object:
    """Text that a spreadsheet would read as a formula, marked as text."""
    if not isinstance(cell, str):
        return cell
    is_risky = cell.lstrip()[:1] in {"=", "+", "-", "@"} or cell[:1] in {"\t", "\r"}
    return f"'{cell}" if is_risky else cell
