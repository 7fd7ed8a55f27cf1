"""What a run of the torture found: figures to print, and what must not be."""

from dataclasses import dataclass, field


@dataclass(slots=True)
class Report:
    """Lines of a Markdown table, and failures in words; one without failures passes."""

    title: str
    figures: list[tuple[str, str]] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)

    def say(self, what: str, figure: object) -> None:
        """Note a figure."""
        self.figures.append((what, f"{figure:,}" if isinstance(figure, int) else str(figure)))

    def expect(self, what: str, wrong: int) -> None:
        """Note how many are wrong, which must be none."""
        self.say(what, wrong)
        if wrong:
            self.failures.append(f"{what}: {wrong:,}")

    def __str__(self) -> str:
        rows = [f"| {what} | {figure} |" for what, figure in self.figures]
        result = "FAILED: " + "; ".join(self.failures) if self.failures else "passed"
        return "\n".join([f"## {self.title}: {result}", "", "| what | figure |", "|---|---|", *rows, ""])
