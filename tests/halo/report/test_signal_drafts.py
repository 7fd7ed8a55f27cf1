"""Drafts of signals in what a model wrote."""

import json
from typing import Any

import pytest

from halo.drafts import SignalDraft, SignalLabel
from halo.report.parsing import NO_LIST, parse
from halo.report.signal_drafts import MAX_DRAFTS, MAX_NAME, MAX_PROMPT

FINDING = {"title": "It fails", "severity": "high"}


def fenced(value: Any) -> str:
    return f"Add these.\n\n```json\n{json.dumps(value)}\n```"


def signals(*items: Any) -> tuple[SignalDraft, ...]:
    return parse(fenced({"signals": list(items)})).signals


def test_drafts_stand_beside_findings_or_alone() -> None:
    asked = {"name": "Refunds", "scope": "session", "prompt": "Is a refund promised?", "why": "It cost $80."}
    expected = SignalDraft(name="Refunds", scope="session", prompt="Is a refund promised?", why="It cost $80.")
    alone = parse(fenced({"signals": [asked]}))
    assert (alone.prose, alone.signals, alone.findings) == ("Add these.", (expected,), ())
    assert NO_LIST not in alone.problems
    beside = parse(fenced({"findings": [FINDING], "signals": [asked]}))
    assert (beside.signals, beside.findings[0].title) == ((expected,), "It fails")
    apart = parse(fenced({"findings": [FINDING]}) + "\n" + fenced({"signals": [asked]}))
    assert (apart.signals, len(apart.findings)) == ((expected,), 1)


@pytest.mark.parametrize(
    ("item", "expected"),
    [
        ({"Title": "A", "Question": "B?"}, SignalDraft(name="A", prompt="B?")),
        ({"prompt": "B?"}, SignalDraft(name="B?", prompt="B?")),
        ({"prompt": "B?", "scope": "LLM call"}, SignalDraft(name="B?", prompt="B?", scope="span")),
        ({"prompt": "B?", "labels": ["Yes", "no"]}, SignalDraft(name="B?", prompt="B?")),
        ({"prompt": "B?", "labels": ["only"]}, SignalDraft(name="B?", prompt="B?")),
        (
            {"prompt": "B?", "labels": ["calm", {"label": "angry", "sentiment": "negative"}, "Calm"]},
            SignalDraft(name="B?", prompt="B?", labels=(SignalLabel("calm"), SignalLabel("angry", is_bad=True))),
        ),
    ],
)
def test_names_and_kinds_are_read_as_models_write_them(item: Any, expected: SignalDraft) -> None:
    assert signals(item) == (expected,)


def test_what_asks_nothing_is_no_draft_and_long_ones_are_cut() -> None:
    assert signals("a text", {"name": "A"}, {"prompt": ""}, None, 7) == ()
    (draft,) = signals({"name": "n" * 500, "prompt": "p" * 5_000})
    assert (len(draft.name), len(draft.prompt)) == (MAX_NAME, MAX_PROMPT)
    assert len(signals(*({"prompt": f"{n}?"} for n in range(50)))) == MAX_DRAFTS


def test_a_report_without_drafts_has_none() -> None:
    assert parse(fenced({"findings": [FINDING]})).signals == ()
    assert parse("Add a signal on refunds.").signals == ()
