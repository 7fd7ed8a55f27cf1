"""What makes failures the same, and where they begin."""

import pytest

from halo.analyst.advice import advice
from halo.analyst.failures import exception_in, mask, origins, signature_of, split
from tests.halo.analyst.runs import a_step, an_error
from traces.records import PayloadRecord


@pytest.mark.parametrize(
    ("message", "exception", "template"),
    [
        ("TimeoutError: no answer in 10 s", "TimeoutError", "no answer in … s"),
        ("openai.RateLimitError: Error code: 429 - too many", "RateLimitError", "Error code: 429 - too many"),
        ("KeyError: 'order_id'", "KeyError", "…"),
        ("ValueError", "ValueError", ""),
        ("Request failed: bad gateway", "", "Request failed: bad gateway"),
        ("Connection refused: http://10.0.0.1:80/x?y=1", "", "Connection refused: …"),
        ("User a.b@example.org can't book HAT001, HAT204", "", "User … can't book …"),
        ("File /usr/lib/x.py not found at line 12", "", "File … not found at line …"),
        ("No order 550e8400-e29b-41d4-a716-446655440000", "", "No order …"),
        ("Client error '404 Not Found' for '/a'", "", "Client error '404 Not Found' for …"),
        ("ValueError: bad\nTraceback (most recent call last)\n  File x", "ValueError", "bad"),
    ],
)
def test_a_message_is_split_and_masked(message: str, exception: str, template: str) -> None:
    name, rest = split(message)
    assert (name, mask(rest)) == (exception, template)


def test_names_of_steps_are_masked_too() -> None:
    one, other = (an_error(2, tool="", name=f"GET /users/{number}/orders") for number in (17, 18))
    assert signature_of(one) == signature_of(other)


def test_an_exception_comes_from_the_last_event() -> None:
    events = [{"name": "exception", "attributes": {"exception.type": f"app.{name}"}} for name in ("First", "Last")]
    assert exception_in(PayloadRecord(events=[*events, {"name": "log"}, {"name": "exception"}])) == ("Last", "")
    assert exception_in(PayloadRecord()) == ("", "")


class TestOrigins:
    """The deepest failed steps."""

    def test_ancestors_only_repeat_a_failure(self) -> None:
        steps = [an_error(1, None, kind="AGENT"), an_error(2, 1, kind="CHAIN"), an_error(3, 2), a_step(4, 2)]
        (origin,) = origins(steps, run_failed=True)
        assert (origin.step.span_id, origin.is_fatal, origin.path) == (3, True, ("agent", "chain"))

    def test_one_that_does_not_reach_the_root_is_absorbed(self) -> None:
        steps = [an_error(1, None, kind="AGENT"), a_step(2, 1, "CHAIN"), an_error(3, 2), an_error(4, 1)]
        assert {origin.step.span_id: origin.is_fatal for origin in origins(steps, run_failed=True)} == {
            3: False,
            4: True,
        }

    def test_nothing_is_fatal_in_a_run_that_ends_well(self) -> None:
        (origin,) = origins([a_step(1, None, "AGENT"), an_error(2)], run_failed=False)
        assert not origin.is_fatal

    def test_the_last_is_fatal_where_frameworks_mark_no_step_between(self) -> None:
        steps = [a_step(1, None, "AGENT"), an_error(2), an_error(3)]
        assert [origin.is_fatal for origin in origins(steps, run_failed=True)] == [False, True]

    def test_a_circle_of_parents_ends(self) -> None:
        assert origins([an_error(1, 2), an_error(2, 1)], run_failed=True)


@pytest.mark.parametrize(
    ("failure", "begins"),
    [
        ("TimeoutError no answer", "Give the call"),
        ("Error 429", "Retry with"),
        ("KeyError", "Check the arg"),
        ("x", "Open"),
    ],
)
def test_advice_goes_by_the_words(failure: str, begins: str) -> None:
    assert advice(failure).startswith(begins)
