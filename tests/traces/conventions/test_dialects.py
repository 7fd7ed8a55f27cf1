"""The list of dialects, and its page in the documentation."""

from tests.processes import ROOT
from traces.conventions.dialects import DIALECTS, NAMES, as_table


def test_the_documentation_has_the_list() -> None:
    page = (ROOT / "docs" / "reference" / "dialects.md").read_text()
    assert page.endswith(as_table()), "write as_table() to the end of docs/reference/dialects.md"


def test_no_name_means_two_columns() -> None:
    names = [name for own in NAMES.values() for name in own]
    assert len(names) == len(set(names))


def test_every_dialect_names_something() -> None:
    assert all(dialect.names or dialect.late_names for dialect in DIALECTS)
    assert len({dialect.name for dialect in DIALECTS}) == len(DIALECTS)
