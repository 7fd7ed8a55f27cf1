"""The pictures of a signal."""

import json
from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest
from django.core.serializers.json import DjangoJSONEncoder

from catalyst import timerange
from signals.results import charts, summaries

NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
TASK = {"completed": "positive", "partial": "neutral", "failed": "negative", "abandoned": "negative"}


def test_it_colours_a_binary_by_its_bad_answer_only() -> None:
    moods = [each.color_class for each in charts.outcomes({"yes": "negative", "no": "positive"}, {})]
    assert moods == ["negative", "neutral"]
    moods = [each.color_class for each in charts.outcomes({"yes": "positive", "no": "negative"}, {})]
    assert moods == ["positive", "negative"]


def test_it_keeps_labels_of_one_sentiment_apart() -> None:
    tones = [each.tone for each in charts.outcomes(TASK, {})]
    assert tones == ["positive", "cat-2", "negative", "negative-2"]
    topics = charts.outcomes(dict.fromkeys(("refund", "exchange", "other"), "neutral"), {})
    assert [each.tone for each in topics] == ["cat-2", "cat-1", "cat-3"]
    moods = charts.outcomes({"good": "positive", "neutral": "neutral", "bad": "negative"}, {})
    assert [each.tone for each in moods] == ["positive", "neutral", "negative"]
    many = charts.outcomes({"good": "positive"} | {f"bad {n}": "negative" for n in range(9)}, {})
    assert len({each.tone for each in many}) == 10


def test_a_label_has_the_same_color_by_itself_as_in_charts() -> None:
    for sentiments in (TASK, {"yes": "negative", "no": "positive"}, dict.fromkeys(("refund", "other"), "neutral")):
        tones = {each.value: each.tone for each in charts.outcomes(sentiments, {})}
        assert {value: charts.color_of(value, list(sentiments), sentiments) for value in tones} == tones
    assert charts.color_of("of another version", list(TASK), TASK) == "neutral"


def test_it_counts_shares_of_all_labels() -> None:
    found = charts.outcomes(TASK, {"completed": 6, "failed": 2})
    assert [(each.value, each.count, each.share) for each in found] == [
        ("completed", 6, 75),
        ("partial", 0, 0),
        ("failed", 2, 25),
        ("abandoned", 0, 0),
    ]
    assert found[2].interval == pytest.approx((7.15, 59.07), abs=0.01)


def test_it_names_the_most_frequent_bad_label_beside_a_bar() -> None:
    found = charts.outcomes(TASK, {"completed": 6, "failed": 1, "abandoned": 2})
    best = charts.headline(found)
    assert best is not None
    assert best.value == "abandoned"
    good = charts.headline(charts.outcomes({"a": "positive", "b": "neutral"}, {"b": 2}))
    assert good is not None
    assert good.value == "b"
    assert charts.headline([]) is None


def test_it_puts_bad_labels_at_the_edge_of_the_bar() -> None:
    bars = charts.breakdown(charts.outcomes(TASK, {"completed": 2, "partial": 1, "failed": 1}))
    assert [(bar.tone, bar.x) for bar in bars] == [("negative", 0), ("cat-2", 25), ("positive", 50)]


def test_it_stacks_labels_over_time_and_leaves_gaps() -> None:
    time_range = timerange.between(NOW - timedelta(minutes=3), NOW)
    first, _, third = time_range.buckets()
    counts = {(first, "completed"): 2, (first, "failed"): 1, (third, "failed"): 4}
    figure = charts.over_time(charts.outcomes(TASK, {}), counts, time_range)
    assert figure["layout"]["barmode"] == "stack"
    assert [(trace["name"], trace["meta"]["tone"], list(trace["y"])) for trace in figure["data"]] == [
        ("failed", "negative", [1, None, 4]),
        ("abandoned", "negative-2", [0, None, 0]),
        ("partial", "cat-2", [0, None, 0]),
        ("completed", "positive", [2, None, 0]),
    ]
    assert figure["data"][0]["customdata"][0] == "status=labelled&from=2026-11-20T11%3A57&to=2026-11-20T11%3A58"
    assert "marker" not in figure["data"][0]
    json.dumps(figure, cls=DjangoJSONEncoder)


def test_a_share_is_of_its_own_bar() -> None:
    starts = [NOW + timedelta(hours=number) for number in range(3)]
    counts = Counter({(starts[0], "yes"): 1, (starts[0], "no"): 1, (starts[2], "yes"): 3, (starts[2], "no"): 1})
    shares = summaries.shares_by_start(counts, starts)
    assert [shares(value) for value in ("yes", "no", "else")] == [[50, None, 75], [50, None, 25], [0, None, 0]]
