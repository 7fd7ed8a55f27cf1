"""JSON as models write it."""

import json
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalyst.nearly_json import mend


def read(text: str) -> Any:
    """The value that is mended."""
    return json.loads(mend(text).text, strict=False)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('{"a": [1, 2,],}', {"a": [1, 2]}),
        ('{"a": 1, // one\n "b": /* two */ 2 # done\n}', {"a": 1, "b": 2}),
        ("{'a': True, 'b': None, 'c': 'it's'}", {"a": True, "b": None, "c": "it's"}),
        ("{'quote': 'he said \"hi\"'}", {"quote": 'he said "hi"'}),
        ("{a: yes, b_c: high severity, d: 007, e: 12%}", {"a": "yes", "b_c": "high severity", "d": "007", "e": "12%"}),
        ("{\u201ca\u201d: \u201cx \u2018y\u2019\u201d}", {"a": "x \u2018y\u2019"}),
        ('{"a": "he said "no" to it"}', {"a": 'he said "no" to it'}),
        ('{"a": "C:\\dir\\new", "b": "it\\\'s"}', {"a": "C:\\dir\new", "b": "it's"}),
        ('{"a": "x"\n "b": [{"c": 1} {"c": 2}]}', {"a": "x", "b": [{"c": 1}, {"c": 2}]}),
        ('{"a": [1, 2}', {"a": [1, 2]}),
        ('{"a": {"b": 1}]}', {"a": {"b": 1}}),
        ('{"a": "one\ntwo"}', {"a": "one\ntwo"}),
        ('{"u": "http://x.y/z", "n": -1.5e3}', {"u": "http://x.y/z", "n": -1500.0}),
        ("[]", []),
        ("[,,1,,]", [1]),
    ],
)
def test_it_reads_what_is_nearly_json(text: str, value: Any) -> None:
    assert read(text) == value
    assert not mend(text).is_cut


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('[{"a": 1}, {"a": 2}, {"a": "thr', [{"a": 1}, {"a": 2}]),
        ('{"f": [{"t": "A", "c": [{"x": 1}', {"f": [{"t": "A", "c": [{"x": 1}]}]}),
        ('{"f": [{"t": "A"}], "g": ', {"f": [{"t": "A"}]}),
    ],
)
def test_of_one_that_breaks_off_it_keeps_what_is_complete(text: str, value: Any) -> None:
    assert read(text) == value
    assert mend(text).is_cut


def test_it_says_where_it_ends() -> None:
    text = 'See {"a": [1,]} and {more}.'
    mended = mend(text, 4)
    assert (mended.text, text[mended.end :]) == ('{"a":[1]}', " and {more}.")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**9), 10**9) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(st.lists(JSON) | st.dictionaries(st.text(), JSON), st.sampled_from([None, 2]))
def test_it_leaves_json_as_it_is(value: Any, indent: int | None) -> None:
    assert read(json.dumps(value, indent=indent)) == value


@given(st.text("{}[]\"',:/*#\\ \n\u201cax1"), st.integers(0, 5))
def test_it_never_raises(text: str, position: int) -> None:
    assert 0 <= mend(text, position).end <= max(len(text), position)


@given(st.text("{}[]\"',:/*#\\ \n\u201cax1", min_size=1, max_size=6))
def test_it_takes_time_in_proportion(piece: str) -> None:
    started = time.process_time()
    mend("{" + piece * (100_000 // len(piece)))
    assert time.process_time() - started < 2
