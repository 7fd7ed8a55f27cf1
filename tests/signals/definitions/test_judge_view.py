"""What a version shows its judge."""

from datetime import datetime
from typing import Any

import pytest

from catalyst.core.models import Project
from catalyst.json_value import InvalidValue
from signals.definitions.judge_view import EVERYTHING, JudgeView
from signals.judging.calls import NO_CONTENT
from signals.judging.worker import run
from signals.models import Label
from tests.factories import LATER, make_agent, make_signal, messages, settle_all
from tests.judge_server import JudgeServer
from tests.traces.sent import sent_span
from traces.conventions.message_formats import Message, ToolCall
from traces.ingest import pipeline
from traces.transcripts.transcript import Transcript

CALL = ToolCall("lookup", "{}", "found", error="Slow.")
SAID = (
    Message("system", "Be kind."),
    Message("user", "Where is it?"),
    Message("assistant", "I look.", tool_calls=(CALL,)),
    Message("assistant", tool_calls=(CALL,)),
    Message("tool", tool_calls=(CALL,)),
    Message("assistant", error="Broke."),
    Message("assistant", "Here.", error="Late."),
)


def shown(view: JudgeView) -> list[tuple[str, str, int, str]]:
    messages = view.narrowed(Transcript(SAID)).messages
    return [(said.role, said.text, len(said.tool_calls), said.error) for said in messages]


def test_it_shows_everything_by_default() -> None:
    assert EVERYTHING.narrowed(Transcript(SAID)).messages == SAID
    assert (EVERYTHING.dump(), EVERYTHING.text) == ({}, "the whole transcript")


def test_it_leaves_out_tool_calls() -> None:
    assert shown(JudgeView(tool_calls=False)) == [
        ("system", "Be kind.", 0, ""),
        ("user", "Where is it?", 0, ""),
        ("assistant", "I look.", 0, ""),
        ("assistant", "", 0, "Broke."),
        ("assistant", "Here.", 0, "Late."),
    ]


def test_it_shows_messages_only() -> None:
    assert shown(JudgeView(messages_only=True, tool_calls=False)) == [
        ("user", "Where is it?", 0, ""),
        ("assistant", "I look.", 0, ""),
        ("assistant", "Here.", 0, ""),
    ]
    assert [calls for _, _, calls, _ in shown(JudgeView(messages_only=True))] == [0, 1, 1, 1, 0]


def test_it_says_what_it_shows_in_words() -> None:
    view = JudgeView.parse(
        {"messages_only": True, "tool_calls": False, "kinds": ["TOOL", "LLM", "LLM"], "names": ["plan"],
         "budget_tokens": 2000}
    )  # fmt: skip
    assert view.text == (
        "what user and assistant said, without tool calls, only spans of kind LLM or TOOL, only spans named plan, "
        "at most 2,000 tokens"
    )
    assert JudgeView.parse(view.dump()) == view


@pytest.mark.parametrize(
    ("data", "field", "says"),
    [
        ({"color": True}, "color", "no such field"),
        ({"kinds": ["LLM", "CALL"]}, "kinds", "There is no kind CALL."),
        ({"names": ["n"] * 21}, "names", "At most 20"),
        ({"names": ["a\0"]}, "names", "null character"),
        ({"names": ["n" * 513]}, "names", "At most 512"),
        ({"budget_tokens": 499}, "budget_tokens", "at least 500"),
        ({"budget_tokens": "lots"}, "budget_tokens", "whole number"),
        ("all", "", "agreed form"),
    ],
)
def test_it_says_by_field_what_is_wrong(data: object, field: str, says: str) -> None:
    with pytest.raises(InvalidValue) as refused:
        JudgeView.parse(data)
    assert list(refused.value.errors) == [field]
    assert says in refused.value.errors[field]


def test_it_shows_at_most_what_the_instance_does() -> None:
    assert (EVERYTHING.tokens(24_000), JudgeView(budget_tokens=800).tokens(24_000)) == (24_000, 800)
    assert JudgeView(budget_tokens=50_000).tokens(24_000) == 24_000


def recording(project: Project, now: datetime, judge: JudgeServer, scope: str, view: JudgeView) -> str:
    """What a judge is shown of a run that plans, looks something up and answers; empty if it is not asked."""
    make_signal(make_agent(project), scope=scope, view=view, active_since=now)
    llm: dict[str, Any] = {"openinference__span__kind": "LLM", "trace": 1, "start": now}
    asked = messages("input", ("system", "Be kind."), ("user", "Where is it?"))
    pipeline.store(
        project.pk,
        [
            sent_span(1, start=now, agent__name="support-bot", session__id="chat"),
            sent_span(2, 1, name="plan", output__value="Look it up.", **llm),
            sent_span(
                3, 1, start=now, openinference__span__kind="TOOL", tool__name="lookup", output__value="On its way.",
            ),
            sent_span(4, 1, name="answer", **asked, **messages("output", ("assistant", "It" + " is" * 2000)), **llm),
        ],
        now,
    )  # fmt: skip
    settle_all(now)
    run(lambda: now + LATER)
    return "".join(asked.recording for asked in judge.asked)


@pytest.mark.parametrize("scope", ["trace", "session"])
@pytest.mark.parametrize(
    ("view", "there", "missing"),
    [
        (EVERYTHING, ["Be kind.", "Where is it?", "Look it up.", "On its way.", " is is"], []),
        (JudgeView(tool_calls=False), ["Be kind.", "Where is it?"], ["On its way."]),
        (JudgeView(messages_only=True), ["Where is it?", "On its way."], ["Be kind."]),
        (JudgeView(names=("plan",)), ["Look it up."], ["Where is it?", "On its way."]),
        (JudgeView(kinds=("TOOL",)), ["On its way."], ["Look it up.", "Where is it?"]),
        (JudgeView(kinds=("TOOL",), names=("plan",)), [], ["Look it up.", "On its way."]),
        (JudgeView(budget_tokens=500), ["Where is it?", "cut from about"], [" is" * 1500]),
    ],
)
def test_the_judge_sees_what_the_version_shows(
    project: Project,
    now: datetime,
    judge: JudgeServer,
    scope: str,
    view: JudgeView,
    there: list[str],
    missing: list[str],
) -> None:
    text = recording(project, now, judge, scope, view)
    assert [part for part in there if part not in text] == []
    assert [part for part in missing if part in text] == []
    if not there:
        assert (Label.objects.get().status, Label.objects.get().error) == ("skipped", NO_CONTENT)


def test_it_narrows_what_is_shown_of_a_span(project: Project, now: datetime, judge: JudgeServer) -> None:
    text = recording(project, now, judge, "span", JudgeView(messages_only=True))
    assert "Where is it?" in text
    assert "Be kind." not in text
