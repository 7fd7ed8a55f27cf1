"""Figures and SVG geometry."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import plotly.graph_objects as go
import pytest
from django.core.serializers.json import DjangoJSONEncoder

from catalyst import figures, timerange
from catalyst.figures import Mark, Series

STARTS = [datetime(2026, 11, 20, hour, tzinfo=UTC) for hour in range(4)]


def test_it_builds_stacked_bars_without_colours() -> None:
    figure = figures.stacked_bars(STARTS, [Series("failed", [1, 2, None, 0], "negative")], ["a", "b", "c", "d"])
    (bars,) = figure["data"]
    assert bars["type"] == "bar"
    assert bars["meta"] == {"tone": "negative"}
    assert bars["customdata"] == ["a", "b", "c", "d"]
    assert "marker" not in bars
    assert "template" not in figure["layout"]
    assert figure["layout"]["barmode"] == "stack"


def test_it_keeps_a_gap_where_there_is_no_data() -> None:
    (line,) = figures.lines(STARTS, [Series("rate", [1, None, 3, 4])])["data"]
    assert line["y"] == [1, None, 3, 4]
    assert line["connectgaps"] is False


def test_it_makes_figures_that_json_can_carry() -> None:
    figure = figures.stacked_bars(STARTS, [Series("<b>%{x}</b>", [1, 2, 3, 4])])
    carried = json.loads(json.dumps(figure, cls=DjangoJSONEncoder))
    assert carried["data"][0]["x"][0] == "2026-11-20T00:00:00Z"
    assert "%{x}" not in carried["data"][0]["hovertemplate"]


@pytest.mark.parametrize("draw", [figures.stacked_bars, figures.lines])
def test_names_are_text_and_no_markup(draw: Callable[..., dict[str, Any]]) -> None:
    figure = draw(STARTS, [Series("<b>L1</b> & <a href='https://evil.example'>x</a>", [1, 2, 3, 4])])
    assert figure["data"][0]["name"] == "&lt;b&gt;L1&lt;/b&gt; &amp; &lt;a href='https://evil.example'&gt;x&lt;/a&gt;"


@pytest.mark.parametrize("draw", [figures.stacked_bars, figures.lines])
@pytest.mark.parametrize("count", [0, 1, 4])
def test_it_makes_figures_that_plotly_accepts(draw: Callable[..., dict[str, Any]], count: int) -> None:
    series = [Series("ok", [1.5] * count, "quiet"), Series("error", [None] * count, "negative")]
    figure = draw(STARTS[:count], series, ["?a=b"] * count, figures.Unit("%{y:.1f}%", suffix="%"))
    assert len(go.Figure(figure).data) == 2


def test_it_puts_errors_at_the_base_of_the_strip() -> None:
    strip = figures.volume_strip(STARTS, [3, 0, 0, 8], [1, 0, 0, 0], ["q"] * 4)
    assert strip.errors == "M2.5 90.00h20.0v10.00h-20.0z"
    assert strip.ok == "M2.5 60.00h20.0v30.00h-20.0zM77.5 20.00h20.0v80.00h-20.0z"
    assert strip.y_labels == [10, 5, 0]
    assert strip.hits[0].title == "20 Nov 00:00 UTC: 4 traces, 1 with errors"


@pytest.mark.parametrize(("value", "top"), [(0, 1), (1, 1), (2, 2), (3, 4), (5, 6), (7, 10), (11, 20), (5976, 6000)])
def test_it_ends_the_axis_at_a_round_number(value: int, top: int) -> None:
    assert figures.nice_ceiling(value) == top


def test_the_strip_says_where_its_bars_are() -> None:
    strip = figures.volume_strip(STARTS, [3, 0, 0, 8], [1, 0, 0, 0], ["q"] * 4)
    assert strip.axis is not None
    assert (strip.axis.start, strip.axis.end) == ("2026-11-20T00:00:00Z", "2026-11-20T04:00:00Z")
    assert (strip.axis.step, strip.axis.zone) == (3600, "UTC")
    assert [tick.text for tick in strip.axis.ticks][:2] == ["20 Nov", "00:30"]
    days = [STARTS[0] + timedelta(days=day) for day in range(3)]
    strip = figures.volume_strip(days, [1, 1, 1], [0, 0, 0], ["q"] * 3)
    assert strip.axis is not None
    assert (strip.axis.step, strip.axis.zone) == (86400, "UTC day")
    assert strip.hits[1].title == "21 Nov, UTC day: 1 trace, 0 with errors"
    weeks = [STARTS[0] + timedelta(days=7 * week) for week in range(3)]
    strip = figures.volume_strip(weeks, [1, 1, 1], [0, 0, 0], ["q"] * 3)
    assert strip.hits[1].title == "7 UTC days from 27 Nov: 1 trace, 0 with errors"


@pytest.mark.parametrize("key", timerange.RANGES)
def test_the_times_below_a_strip_are_round_and_equally_far_from_each_other(key: str) -> None:
    starts = timerange.named(key, datetime(2026, 11, 29, 15, 47, tzinfo=UTC)).buckets()
    ticks = figures.time_axis(starts, starts[-1] + (starts[1] - starts[0])).ticks
    assert 3 <= len(ticks) <= 9
    gaps = {round(later.x - earlier.x, 1) for earlier, later in pairwise(ticks)}
    assert max(gaps) - min(gaps) < 0.2
    minutes = {tick.text.partition(":")[2][:2] for tick in ticks}
    assert all(not minute or int(minute) % 5 == 0 for minute in minutes)


def test_it_breaks_a_sparkline_at_a_gap() -> None:
    assert figures.sparkline([1, 3, None, 2]) == ["0.0,21.0 32.0,1.0", "96.0,11.0 96.0,11.0"]
    assert figures.sparkline([None, None]) == []


def test_it_divides_a_bar() -> None:
    yes, no = figures.stackbar([("yes", 1, "negative"), ("never", 0, "neutral"), ("no", 3, "neutral")])
    assert (yes.x, yes.width, yes.title) == (0, 24.6, "yes: 1")
    assert (no.x, no.width) == (25, 75)
    assert figures.stackbar([("yes", 0, "negative")]) == []


def test_marks_are_lines_with_words_where_there_is_room() -> None:
    hours = [STARTS[0] + timedelta(hours=hour) for hour in range(24)]
    plain = figures.lines(hours, [Series("runs", [1.0] * 24)])
    named = {2: "1.0 <b>", 10: "1.1", 11: "1.2", 20: "2026.11.30-rc.3"}
    marks = [Mark(hours[hour], text) for hour, text in named.items()]
    marked = figures.mark(plain, marks)
    go.Figure(marked)
    assert len(marked["layout"]["shapes"]) == 4
    words = [note["text"] for note in marked["layout"]["annotations"]]
    assert words == ["1.0 &lt;b&gt;", "1.2", "2026.11.3…"]
    assert "shapes" not in plain["layout"]


def test_a_limit_and_bands_stand_beside_marks() -> None:
    plain = figures.lines(STARTS, [Series("share", [1.0, 2.0, 3.0, 4.0])])
    drawn = figures.mark(figures.limit(plain, 2.5, "negative"), [Mark(STARTS[1], "fired")])
    drawn = figures.shade(drawn, [(STARTS[1], STARTS[2])])
    go.Figure(drawn)
    line, mark, band = drawn["layout"]["shapes"]
    assert (line["y0"], line["y1"], line["xref"], line["name"]) == (2.5, 2.5, "paper", "negative")
    assert (mark["yref"], band["type"], band["layer"]) == ("paper", "rect", "below")
    assert (band["x0"], band["x1"]) == ("2026-11-20T01:00:00Z", "2026-11-20T02:00:00Z")
    assert "shapes" not in plain["layout"]


def test_a_sparkline_with_a_limit_shows_both_on_one_scale() -> None:
    lines, limit = figures.limited_sparkline([0, 10, None, 20], 40)
    assert limit == "0.0,1.0 96.0,1.0"
    assert lines == ["0.0,21.0 32.0,16.0", "96.0,11.0 96.0,11.0"]
    lines, limit = figures.limited_sparkline([-20, 0], -40)
    assert limit == "0.0,21.0 96.0,21.0"
    assert lines == ["0.0,11.0 96.0,1.0"]
