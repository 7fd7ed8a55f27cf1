"""Filters of the lists of signals and labels, from query strings."""

import pytest
from django.http import QueryDict

from signals.filters import ComparisonForm, LabelFilter, LabelFilterForm, SignalFilter, SignalFilterForm
from tests.page import Page

HUGE = "9" * 5000


def test_it_reads_a_filter_of_signals() -> None:
    form = SignalFilterForm(QueryDict("q=+refund+&state=active&scope=trace&agent=7&sort=cost&range=7d"))
    assert form.signal_filter == SignalFilter("refund", "active", "trace", 7, "cost")
    assert SignalFilterForm(QueryDict("")).signal_filter == SignalFilter()
    assert not SignalFilterForm(QueryDict("sort=cost")).signal_filter.narrows
    assert SignalFilterForm(QueryDict("agent=7")).signal_filter.narrows


@pytest.mark.parametrize(
    ("query", "field"),
    [
        (f"q={'n' * 101}", "q"),
        ("state=late", "state"),
        ("scope=turn", "scope"),
        ("agent=support-bot", "agent"),
        (f"agent={HUGE}", "agent"),
        ("sort=size", "sort"),
    ],
)
def test_an_invalid_filter_of_signals_filters_nothing(query: str, field: str) -> None:
    form = SignalFilterForm(QueryDict(query))
    assert form.signal_filter == SignalFilter()
    assert list(form.errors) == [field]


def test_it_reads_a_filter_of_labels() -> None:
    form = LabelFilterForm(QueryDict("label=+yes&status=waiting&version=2&run=3&q=+why+"))
    assert form.label_filter == LabelFilter(" yes", "waiting", 2, 3, "why")
    assert LabelFilterForm({}).label_filter == LabelFilter()
    # One that does not exist matches nothing, as any other that no label has.
    assert LabelFilterForm(QueryDict("version=99")).label_filter == LabelFilter(version=99)


@pytest.mark.parametrize(
    ("query", "field"),
    [
        (f"label={'n' * 61}", "label"),
        ("status=late", "status"),
        ("version=v2", "version"),
        ("version=999999999", "version"),
        (f"run={HUGE}", "run"),
        (f"q={'n' * 201}", "q"),
    ],
)
def test_an_invalid_filter_of_labels_filters_nothing(query: str, field: str) -> None:
    form = LabelFilterForm(QueryDict(query))
    assert form.label_filter == LabelFilter()
    assert list(form.errors) == [field]


def test_null_characters_are_ignored() -> None:
    assert SignalFilterForm(QueryDict("q=%00a")).signal_filter == SignalFilter("a")
    assert LabelFilterForm(QueryDict("label=%00b&q=a%00")).label_filter == LabelFilter("b", text="a")


def test_it_offers_versions_and_runs() -> None:
    form = LabelFilterForm(QueryDict("version=2&run=8"))
    form.offer(versions=[2, 1], runs=[9])
    page = Page(str(form["version"]) + str(form["run"]))
    assert page.choice("Version").options == {
        "Newest label of each target": "",
        "v2": "2",
        "v1": "1",
        "All versions, pooled": "all",
    }
    assert page.choice("Version").chosen == ["v2"]
    assert page.choice("Run").options == {"Live and backfills": "", "Backfill 9": "9"}
    assert page.choice("Run").chosen == []


@pytest.mark.parametrize(
    ("query", "versions"),
    [
        ("", (2, 3)),
        ("b=2", (1, 2)),
        ("a=1", (1, 3)),
        ("a=3&b=1", (3, 1)),
        ("a=x&b=%00", (2, 3)),
        (f"a={HUGE}", (2, 3)),
        ("a=99", (99, 3)),
    ],
)
def test_it_compares_the_current_version_with_the_one_before_by_default(query: str, versions: tuple[int, int]) -> None:
    form = ComparisonForm(QueryDict(query), numbers=[3, 2, 1], current=3)
    assert form.versions == versions
    chosen = [Page(f'<label for="{name}">{name}</label>{form[name]}').choice(name).chosen for name in "ab"]
    assert chosen == [[f"v{number}"] if number < 4 else [] for number in versions]


def test_a_move_has_two_labels() -> None:
    moves = [
        ComparisonForm(QueryDict(query), [2, 1], 2).move
        for query in ("was=yes&became=no", "was=yes", "was=yes&became=%00", f"was=yes&became={'n' * 61}")
    ]
    assert moves == [("yes", "no"), None, None, None]
