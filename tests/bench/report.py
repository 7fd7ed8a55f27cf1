"""The table that a run of the benchmarks prints."""

from collections.abc import Sequence
from dataclasses import dataclass, field


@dataclass(slots=True)
class Table:
    """Rows of aim, measured and ratio; `print` as Markdown."""

    rows: list[tuple[str, str, str, str]] = field(default_factory=list)

    def at_least(self, what: str, aim: float, measured: float, unit: str = "") -> None:
        """A figure that should reach its aim; the ratio is measured to aim."""
        self.rows.append((what, f"≥ {_number(aim)}{unit}", f"{_number(measured)}{unit}", f"{measured / aim:.2f}"))

    def below(self, what: str, aim: float, measured: float, unit: str = "") -> None:
        """A figure that should stay under its aim; the ratio is measured to aim."""
        self.rows.append((what, f"< {_number(aim)}{unit}", f"{_number(measured)}{unit}", f"{measured / aim:.2f}"))

    def say(self, what: str, measured: str) -> None:
        """A figure without an aim."""
        self.rows.append((what, "", measured, ""))

    def __str__(self) -> str:
        head = ["| what | aim | measured | of the aim |", "|---|---|---|---|"]
        return "\n".join([*head, *(f"| {' | '.join(row)} |" for row in self.rows)])


def quantile(values: Sequence[float], share: float) -> float:
    """The value that this share of them does not exceed; 0 for none."""
    return sorted(values)[min(len(values) - 1, int(len(values) * share))] if values else 0


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
