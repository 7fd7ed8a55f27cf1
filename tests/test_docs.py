"""What the documents name exists, and what exists is documented."""

import re
from pathlib import Path

import pytest
from django.core.management import get_commands

from catalyst.env import Env
from tests.processes import ROOT

PAGES = sorted((*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")))
SETTINGS = (ROOT / "docs" / "reference" / "settings.md").read_text()


def variables(field: str) -> list[str]:
    """The environment variables of one field, in the order in which they are looked at."""
    alias = Env.model_fields[field].validation_alias
    choices = getattr(alias, "choices", [f"CATALYST_{field.upper()}"])
    return [str(choice) for choice in choices if str(choice).isupper()]


@pytest.mark.parametrize("field", sorted(Env.model_fields))
def test_it_documents_every_setting(field: str) -> None:
    row = next(line for line in SETTINGS.splitlines() if f"| `{variables(field)[0]}`" in line)
    assert all(f"`{name}`" in row for name in variables(field))
    assert str(Env.model_fields[field].description) in row


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_it_names_only_settings_commands_and_files_that_exist(page: Path) -> None:
    text = page.read_text()
    known = {name for field in Env.model_fields for name in variables(field)}
    assert set(re.findall(r"\bCATALYST_[A-Z_]+[A-Z]\b", text)) - {"CATALYST_SHARED"} <= known
    assert set(re.findall(r"manage\.py ([a-z_]+)", text)) <= set(get_commands())
    targets = set(re.findall(r"^([a-z0-9]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert set(re.findall(r"`make ([a-z]+)`|^make ([a-z]+)$", text, re.MULTILINE)) <= {
        pair for target in targets for pair in ((target, ""), ("", target))
    }
    for places in re.findall(r"""\]\((?!https?:|#)([^)#]+)|src(?:set)?="([^"]+)\"""", text):
        assert (page.parent / "".join(places)).exists(), places
