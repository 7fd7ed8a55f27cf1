"""Filters of the lists of traces and sessions, from query strings."""

from urllib.parse import urlencode

import pytest
from django.db.models import Value
from django.http import QueryDict

from catalyst.core.models import Project
from tests.page import Page
from traces.filters import Filter
from traces.label_sources import Dimension
from traces.list_params import BreakdownForm, TraceFilterForm
from traces.models.trace import TraceFilter

DIMENSIONS = [
    Dimension(key, name, "trace", f"/{key}/", {}, Value("")) for key, name in (("1", "Mood"), ("2", "Refund"))
]


def of(query: str) -> TraceFilterForm:
    return TraceFilterForm(Project(pk=1), QueryDict(query))


def test_it_reads_a_filter_of_traces() -> None:
    form = of("q=+parcel+&agent=0&session=7&environment=+prod&status=error&min_tokens=5&attribute=a%3Db%3Dc")
    traffic = Filter.parse({"environment": "prod", "status": "error", "min_tokens": 5, "attributes": {"a": "b=c"}})
    assert form.trace_filter == TraceFilter(1, agent=0, session=7, text="parcel", traffic_filter=traffic)
    assert not form.errors
    assert of("range=7d&after=x").trace_filter == TraceFilter(1)


@pytest.mark.parametrize(
    ("query", "field"),
    [
        (f"q={'n' * 201}", "q"),
        ("agent=support-bot", "agent"),
        (f"session={'9' * 5000}", "session"),
        ("environment=a%00", "environment"),
        (f"model={'n' * 300}", "model"),
        ("status=late", "status"),
        ("min_duration_ms=-1", "min_duration_ms"),
        (f"max_tokens={'9' * 5000}", "max_tokens"),
        ("min_tokens=1.5", "min_tokens"),
        ("attribute=a%3D%00", "attribute"),
        ("service=a%00", "service"),
        ("attribute=input.value%3Da", "attribute"),
        (f"attribute=a%3D{'v' * 129}", "attribute"),
        ("attribute=tenant", "attribute"),
    ],
)
def test_an_invalid_filter_of_traces_filters_nothing(query: str, field: str) -> None:
    form = of(f"max_duration_ms=9&{query}")
    assert form.trace_filter == TraceFilter(1, traffic_filter=Filter(max_duration_ms=9))
    assert list(form.errors) == [field]


def test_a_maximum_below_the_minimum_is_wrong() -> None:
    form = of("min_tokens=5&max_tokens=4")
    assert form.trace_filter.traffic_filter == Filter(min_tokens=5)
    assert form.errors == {"max_tokens": ["Max must be at least min."]}


def test_it_shows_the_query_but_for_texts_that_are_added() -> None:
    form = of("q=parcel&environment=prod&attribute=a%3Db&min_tokens=many")
    assert form["environment"].value() == "prod"
    assert form["min_tokens"].value() == "many"
    assert (form["q"].value(), form["attribute"].value()) == (None, None)
    wrong = of("attribute=a%3Db&attribute=tenant")
    assert not wrong.is_valid()
    assert wrong["attribute"].value() == "tenant"


@pytest.mark.parametrize(
    ("key", "name"),
    [("service.name", "service"), ("deployment.environment", "environment"), (" service.name ", "service")],
)
def test_an_attribute_of_the_resource_is_told_its_filter(key: str, name: str) -> None:
    form = TraceFilterForm(Project(pk=1), QueryDict(urlencode({"attribute": f"{key}=shop", "user": "ann"})))
    assert form.trace_filter.traffic_filter == Filter(user=("ann",))
    said = f"{key.strip()} is an attribute of the resource, not of a span. Filter by {name} instead."
    assert form.errors == {"attribute": [said]}


def test_it_breaks_down_by_what_the_agent_has() -> None:
    form = BreakdownForm(QueryDict("by=2"), DIMENSIONS)
    assert form.dimension == DIMENSIONS[1]
    choice = Page(f'<label for="by">By</label>{form["by"]}').choice("By")
    assert choice.options == {"None": "", "Mood": "1", "Refund": "2"}
    assert choice.chosen == ["Refund"]
    assert BreakdownForm(QueryDict(""), DIMENSIONS).dimension is None


@pytest.mark.parametrize("query", ["by=3", "by=%00", f"by={'9' * 5000}"])
def test_an_unknown_breakdown_breaks_down_by_nothing(query: str) -> None:
    form = BreakdownForm(QueryDict(query), DIMENSIONS)
    assert form.dimension is None
    assert list(form.errors) == ["by"]
