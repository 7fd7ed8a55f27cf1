"""How endpoints of judges behave, and what becomes of the label."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest

from catalyst.core.models import Project
from catalyst.env import env
from signals.judging.worker import run
from signals.models import Label
from tests.factories import make_agent, make_labels, make_signal
from tests.judge_server import Answer, Asked, JudgeServer, error, says

KEY = "sk-very-secret-0123456789"


@pytest.fixture
def label(project: Project, now: datetime) -> Label:
    return make_labels(make_signal(make_agent(project), active_since=now), project, 1, now=now)[0]


@pytest.fixture
def judge_once(label: Label, now: datetime) -> Callable[..., Label]:
    """Let the worker try, several times if told so."""

    def judge_once(times: int = 1) -> Label:
        for step in range(times):
            later = now + timedelta(hours=3, minutes=10 * step)
            run(lambda later=later: later)  # type: ignore[misc]
        label.refresh_from_db()
        return label

    return judge_once


type Judged = Callable[..., Label]


def within(body: object, status: int = 200) -> Answer:
    return Answer(body, status)


PASSING: dict[str, Answer] = {
    "429 in a 200": within({"error": {"code": 429, "message": "Rate limit exceeded"}}),
    "429 as text": within({"error": {"code": "429", "message": "Rate limit exceeded"}}),
    "code by name": within({"error": {"code": "rate_limit_exceeded", "message": "Slow down."}}),
    "type by name": within({"error": {"type": "overloaded_error", "message": "Overloaded"}}),
    "status in the error": within({"error": {"status": 503, "message": "Unavailable"}}),
    "Google's status": within([{"error": {"code": 503, "message": "Unavailable", "status": "UNAVAILABLE"}}]),
    "502 in a choice": within(
        {
            "choices": [
                {
                    "error": {"code": 502, "message": "Provider returned error"},
                    "finish_reason": "error",
                    "message": {"role": "assistant", "content": ""},
                }
            ]
        }
    ),
    "error as text": within({"error": "model is loading"}),
    "error beside no choices": within({"id": "x", "choices": [], "error": {"message": "Upstream.", "code": 524}}),
    "401": error(401, "Bad key."),
    "402": error(402, "Pay first."),
    "402 in a 200": within({"error": {"code": 402, "message": "Insufficient credits"}}),
    "401 in a 200": within({"error": {"code": 401, "message": "No auth credentials found"}}),
    "quota in a 429": error(429, "You exceeded your current quota."),
    "529": error(529, "Overloaded"),
    "520": error(520, "Web server returns an unknown error"),
    "504": within(b"<html>Gateway time-out</html>", 504),
}


@pytest.mark.parametrize("answer", PASSING.values(), ids=PASSING)
def test_passing_trouble_loses_no_try(judge: JudgeServer, judge_once: Judged, answer: Answer) -> None:
    judge.script = lambda _: answer
    waiting = judge_once(7)
    assert (waiting.status, waiting.attempts) == ("queued", 0)
    judge.script = lambda _: says("no")
    assert judge_once(9).value == "no"


LASTING: dict[str, Answer] = {
    "400": error(400, "This model's maximum context length is 8192 tokens."),
    "400 in a 200": within({"error": {"code": 400, "message": "maximum context length"}}),
    "404": error(404, "The model does not exist."),
    "403": error(403, "Not allowed."),
    "301": Answer(b"", 301, {"Location": "https://elsewhere.example/v1"}),
    "308": Answer(b"", 308, {"Location": "https://elsewhere.example/v1"}),
}


@pytest.mark.parametrize("answer", LASTING.values(), ids=LASTING)
def test_lasting_trouble_fails_at_once(judge: JudgeServer, judge_once: Judged, answer: Answer) -> None:
    judge.script = lambda _: answer
    failed = judge_once()
    assert (failed.status, failed.attempts) == ("failed", 1)
    if "Location" in answer.headers:
        assert "https://elsewhere.example/v1" in failed.error


@pytest.mark.parametrize("status", [400, 404, 405, 415, 422, 500, 501, 502, 503])
@pytest.mark.parametrize(
    "words",
    [
        'response_format type must be one of "text" or "json_object"',
        "json_schema is not implemented",
        "`response_format` is not supported with this model",
        "Unrecognized request argument supplied: response_format",
        "extra_forbidden: body.response_format",
        "structured outputs are not supported",
    ],
)
def test_an_endpoint_without_schemas_is_asked_without_one(
    judge: JudgeServer, judge_once: Judged, status: int, words: str
) -> None:
    judge.script = lambda asked: error(status, words) if "response_format" in asked.payload else says("no")
    assert judge_once().value == "no"
    assert "response_format" not in judge.asked[-1].payload


@pytest.mark.parametrize(
    "words",
    [
        "temperature is deprecated for this model",
        "Unsupported value: 'temperature' does not support 0",
        "temperature: Extra inputs are not permitted",
    ],
)
def test_an_endpoint_without_temperatures_is_asked_without_one(
    judge: JudgeServer, judge_once: Judged, words: str
) -> None:
    judge.script = lambda asked: error(400, words) if "temperature" in asked.payload else says("no")
    assert judge_once().value == "no"


def test_an_endpoint_with_neither_is_asked_without_both(judge: JudgeServer, judge_once: Judged) -> None:
    def picky(asked: Asked) -> Answer:
        for option in ("response_format", "temperature"):
            if option in asked.payload:
                return error(400, f"Unknown parameter: '{option}'.")
        return says("no")

    judge.script = picky
    assert judge_once().value == "no"


def test_an_error_within_a_200_may_name_an_option(judge: JudgeServer, judge_once: Judged) -> None:
    told = within({"error": {"code": 400, "message": "response_format is not supported"}})
    judge.script = lambda asked: told if "response_format" in asked.payload else says("no")
    assert judge_once().value == "no"


REPLIES: dict[str, Any] = {
    "content in parts": {"content": [{"type": "text", "text": '{"reason": "r", "label": "no"}'}]},
    "thinking beside it": {"content": '{"reason": "r", "label": "no"}', "reasoning_content": '{"label": "yes"}'},
    "reasoning beside it": {"content": '{"reason": "r", "label": "no"}', "reasoning": "Maybe yes."},
    "thinking part": {
        "content": [
            {"type": "thinking", "thinking": [{"type": "text", "text": '{"label": "yes"}'}]},
            {"type": "text", "text": '{"reason": "r", "label": "no"}'},
        ]
    },
    "parsed": {"content": '{"reason": "r", "label": "no"}', "parsed": {"label": "no"}, "tool_calls": []},
    "content as an object": {"content": {"reason": "r", "label": "no"}},
    "nulls": {"content": '{"reason": "r", "label": "no"}', "refusal": None, "tool_calls": None, "audio": None},
}


@pytest.mark.parametrize("message", REPLIES.values(), ids=REPLIES)
def test_it_reads_the_forms_of_a_reply(judge: JudgeServer, judge_once: Judged, message: dict[str, Any]) -> None:
    judge.script = lambda _: Answer({"choices": [{"index": 0, "message": {"role": "assistant", **message}}]})
    assert judge_once().value == "no"


@pytest.mark.parametrize("usage", [None, {}, {"prompt_tokens": "12"}, {"total_tokens": 3}, []])
def test_a_reply_needs_no_usage(judge: JudgeServer, judge_once: Judged, usage: Any) -> None:
    body = says("no").body
    assert isinstance(body, dict)
    judge.script = lambda _: Answer({**body, "usage": usage, "error": None, "model": None})
    assert judge_once().value == "no"


ADDRESSES: dict[str, tuple[str, str]] = {
    "plain": ("/v1", "/v1/chat/completions"),
    "slash at the end": ("/v1/", "/v1/chat/completions"),
    "two slashes": ("/v1//", "/v1/chat/completions"),
    "no path": ("", "/chat/completions"),
    "space around": (" /v1 ", "/v1/chat/completions"),
    "Azure": (
        "/openai/deployments/gpt-4o?api-version=2024-10-21",
        "/openai/deployments/gpt-4o/chat/completions?api-version=2024-10-21",
    ),
    "Azure with a slash": (
        "/openai/deployments/gpt-4o/?api-version=2024-10-21",
        "/openai/deployments/gpt-4o/chat/completions?api-version=2024-10-21",
    ),
    "two parameters": ("/v1?a=1&b=2", "/v1/chat/completions?a=1&b=2"),
    "the whole address": ("/v1/chat/completions", "/v1/chat/completions"),
    "the whole address of Azure": (
        "/openai/deployments/gpt-4o/chat/completions?api-version=2024-10-21",
        "/openai/deployments/gpt-4o/chat/completions?api-version=2024-10-21",
    ),
    "Gemini": ("/v1beta/openai/", "/v1beta/openai/chat/completions"),
}


@pytest.mark.parametrize(("written", "asked"), ADDRESSES.values(), ids=ADDRESSES)
def test_it_asks_at_the_right_address(
    judge: JudgeServer, judge_once: Judged, monkeypatch: pytest.MonkeyPatch, written: str, asked: str
) -> None:
    base = judge.url.removesuffix("/v1")
    monkeypatch.setattr(env, "judge_url", f" {base}{written.strip()} " if " " in written else base + written)
    monkeypatch.setattr(env, "judge_api_key", KEY)
    assert judge_once().status == "done"
    assert judge.asked[0].path == asked
    assert judge.asked[0].headers["authorization"] == f"Bearer {KEY}"
    assert (judge.asked[0].headers.get("api-key") == KEY) == ("deployments" in written)
