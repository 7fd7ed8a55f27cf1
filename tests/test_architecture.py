"""Bans that no linter knows."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
APPS = ("catalyst", "traces", "signals")
SOURCES = sorted(path for app in APPS for path in (ROOT / app).rglob("*.py") if "migrations" not in path.parts)
TEMPLATES = sorted((ROOT / "templates").rglob("*.html"))
SCRIPTS = sorted((ROOT / "static" / "js").glob("*.js"))
TESTS = sorted((ROOT / "tests").rglob("test_*.py"))
ASSERTING_CALLS = {"raises", "warns", "expect"}
OLD_ROWS_SAVED = re.compile(r"\.save\(\s*\)")
DRAWERS = {"utils", "helpers", "services", "common", "misc"}


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("path", SOURCES, ids=name_of)
def test_it_says_which_columns_it_saves(path: Path) -> None:
    assert not OLD_ROWS_SAVED.search(path.read_text()), "use save(update_fields=[...]) or .update(...)"


STORE_ONLY = re.compile(
    r"\b(Span|Payload)\.objects|traces_(span|payload)\b|traces\.store\.(?!reads\b|postgres\.Postgres)\w"
)


@pytest.mark.parametrize("path", SOURCES, ids=name_of)
def test_it_reaches_spans_through_the_store(path: Path) -> None:
    owners = ("traces/store/", "traces/models/span.py")
    found = STORE_ONLY.search(path.read_text())
    assert not found or name_of(path).startswith(owners), "use traces.span_store.span_store()"


def test_it_has_no_drawers() -> None:
    assert not [name_of(path) for path in SOURCES if path.stem in DRAWERS]


@pytest.mark.parametrize("path", TEMPLATES, ids=name_of)
def test_it_writes_templates_that_a_strict_policy_allows(path: Path) -> None:
    text = path.read_text()
    assert not re.search(r"\|\s*safe\b|\bautoescape off\b", text), "hostile text must stay escaped"
    assert not re.search(r"<script(?![^>]*\bsrc=)[^>]*>", text), "scripts live in static/js"
    assert not re.search(r"<style\b|\sstyle\s*=", text), "styles live in static/css"
    assert not re.search(r"\son[a-z]+\s*=|\shx-on|javascript:|['\"]js:", text), "no inline handlers"
    assert not re.search(r"(?:src|href)\s*=\s*[\"'](?:https?:)?//[^\"']+\.(?:js|css|woff2?|png|svg)\b", text), "no CDN"


@pytest.mark.parametrize("path", TEMPLATES, ids=name_of)
def test_it_gives_every_form_that_posts_a_token(path: Path) -> None:
    forms = re.findall(r"<form\b.*?</form>", path.read_text(), re.DOTALL)
    posts = [form for form in forms if re.match(r"<form[^>]*method=\"post\"", form)]
    assert not [form for form in posts if "csrf_token" not in form], "without it the server answers 403"


@pytest.mark.parametrize("path", TEMPLATES, ids=name_of)
def test_it_ends_comments_on_their_line(path: Path) -> None:
    assert not re.search(r"\{#(?!.*#\})", path.read_text()), "Django shows a comment of several lines"


@pytest.mark.parametrize("path", SCRIPTS, ids=name_of)
def test_it_writes_scripts_that_a_strict_policy_allows(path: Path) -> None:
    assert not re.search(r"\beval\(|new Function\(|https?://(?!www\.w3\.org/)", path.read_text())


def asserts(test: ast.FunctionDef) -> bool:
    """Whether a test asserts something, itself or by calling a function named `assert_…`."""
    return any(isinstance(node, ast.Assert) or asserting_call(node) for node in ast.walk(test))


def asserting_call(node: ast.AST) -> bool:
    """Whether a node calls pytest.raises, pytest.warns, Playwright's expect, or a function named `assert_…`."""
    if not isinstance(node, ast.Call):
        return False
    name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
    return name in ASSERTING_CALLS or name.startswith("assert_")


@pytest.mark.parametrize("path", TESTS, ids=name_of)
def test_it_asserts_something_in_every_test(path: Path) -> None:
    functions = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.FunctionDef)]
    tests = [function for function in functions if function.name.startswith("test_")]
    assert [test.name for test in tests if not asserts(test)] == []
