"""Bans that no linter knows."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
APPS = ("catalyst", "traces", "signals", "halo", "alerts")
SOURCES = sorted(path for app in APPS for path in (ROOT / app).rglob("*.py") if "migrations" not in path.parts)
TEMPLATES = sorted((ROOT / "templates").rglob("*.html"))
SCRIPTS = sorted((ROOT / "static" / "js").glob("*.js"))
TESTS = sorted((ROOT / "tests").rglob("test_*.py"))
ASSERTING_CALLS = {"raises", "warns", "expect"}
DRAWERS = {"utils", "helpers", "services", "common", "misc"}


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


def matches(rule: str, paths: list[Path], flags: re.RegexFlag = re.NOFLAG) -> list[str]:
    """Each file that matches the rule, with its first match."""
    found = ((path, re.search(rule, path.read_text(), flags)) for path in paths)
    return [f"{name_of(path)}: {match[0]}" for path, match in found if match]


def test_it_finds_files_of_each_kind() -> None:
    assert all((SOURCES, TEMPLATES, SCRIPTS, TESTS))


def test_it_says_which_columns_it_saves() -> None:
    assert matches(r"\.save\(\s*\)", SOURCES) == [], "use save(update_fields=[...]) or .update(...)"


STORE_ONLY = r"\b(Span|Payload)\.objects|traces_(span|payload)\b|traces\.store\.(?!reads\b|postgres\.Postgres)\w"


def test_it_reaches_spans_through_the_store() -> None:
    owners = ("traces/store/", "traces/models/span.py")
    others = [path for path in SOURCES if not name_of(path).startswith(owners)]
    assert matches(STORE_ONLY, others) == [], "use traces.span_store.span_store()"


def test_it_has_no_drawers() -> None:
    assert not [name_of(path) for path in SOURCES if path.stem in DRAWERS]


@pytest.mark.parametrize(
    ("rule", "reason"),
    [
        (r"\|\s*safe\b|\bautoescape off\b", "hostile text must stay escaped"),
        (r"<script(?![^>]*\bsrc=)[^>]*>", "scripts live in static/js"),
        (r"<style\b|\sstyle\s*=", "styles live in static/css"),
        (r"\son(?!ly=)[a-z]+\s*=|\shx-on|javascript:|['\"]js:", "no inline handlers"),
        (r"(?:src|href)\s*=\s*[\"'](?:https?:)?//[^\"']+\.(?:js|css|woff2?|png|svg)\b", "no CDN"),
        (r"\{#(?!.*#\})", "Django shows a comment of several lines"),
    ],
)
def test_no_template_breaks_a_rule(rule: str, reason: str) -> None:
    assert matches(rule, TEMPLATES) == [], reason


def test_it_gives_every_form_that_posts_a_token() -> None:
    rule = r"<form\b[^>]*method=\"post\"(?:(?!csrf_token|</form>).)*</form>"
    assert matches(rule, TEMPLATES, re.DOTALL) == [], "without it the server answers 403"


# Where text becomes markup, and how often: after nh3, and the JSON of figures.
MARKED_SAFE = {"catalyst/core/templatetags/content.py": 2, "catalyst/core/templatetags/pages.py": 1}
MAKES_SAFE = r"\b(?:mark_safe|SafeString|SafeText|SafeData)\(|__html__|is_safe=True|autoescape=False|html_safe\b"


def test_it_marks_text_as_safe_in_few_places() -> None:
    found = {name_of(path): len(re.findall(MAKES_SAFE, path.read_text())) for path in SOURCES}
    assert {name: count for name, count in found.items() if count} == MARKED_SAFE


def made_formats(path: Path) -> list[str]:
    """Calls of format_html whose format is put together, so that it may hold what somebody wrote."""
    calls = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)]
    formats = [
        node.args[1 if node.func.id == "format_html_join" else 0]
        for node in calls
        if isinstance(node.func, ast.Name) and node.func.id in {"format_html", "format_html_join"}
    ]
    return [
        f"{name_of(path)}: {ast.unparse(each)}" for each in formats if not isinstance(each, ast.Constant | ast.Name)
    ]


def test_it_gives_format_html_what_it_escapes() -> None:
    assert [made for path in SOURCES for made in made_formats(path)] == []


def test_it_writes_scripts_that_a_strict_policy_allows() -> None:
    assert matches(r"\beval\(|new Function\(|https?://(?!www\.w3\.org/)", SCRIPTS) == []


def asserts(test: ast.FunctionDef) -> bool:
    """Whether a test asserts something, itself or by calling a function named `assert_…`."""
    return any(isinstance(node, ast.Assert) or asserting_call(node) for node in ast.walk(test))


def asserting_call(node: ast.AST) -> bool:
    """Whether a node calls pytest.raises, pytest.warns, Playwright's expect, or a function named `assert_…`."""
    if not isinstance(node, ast.Call):
        return False
    name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
    return name in ASSERTING_CALLS or name.startswith("assert_")


def silent_tests(path: Path) -> list[str]:
    """The tests of a file that assert nothing."""
    functions = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.FunctionDef)]
    tests = [function for function in functions if function.name.startswith("test_")]
    return [f"{name_of(path)}: {test.name}" for test in tests if not asserts(test)]


def test_it_asserts_something_in_every_test() -> None:
    assert [test for path in TESTS for test in silent_tests(path)] == []
