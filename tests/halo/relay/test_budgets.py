"""The budget of a run: its end is asked for in time, and nothing beyond it."""

import asyncio
import threading
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import httpx
import pytest

from halo.relay import Api, Budget
from halo.relay.bodies import ANSWER_WITH_TEXT, ANSWER_WITH_TOOL
from tests.halo.relay.calls import TOOLS, Engine, call_body, error_of, with_relay
from tests.halo.relay.model_server import Asked, ModelServer, Talk, chat_completion, said_by_chat, said_by_responses


def using(api: Api, tokens: int) -> Any:
    """A script that uses so many tokens in each call."""
    said = said_by_responses if api is Api.RESPONSES else said_by_chat
    return lambda talk: talk.stream(said("Fine.", input_tokens=tokens - 10, output_tokens=10))


def said_last(asked: Asked, api: Api) -> dict[str, Any]:
    """The last message."""
    last: dict[str, Any] = asked.body[api.history][-1]
    return last


async def post_until_refused(engine: Engine, api: Api, body: Any) -> list[httpx.Response]:
    """The answers of calls, one after the other."""
    answers = [await engine.post(body, api)]
    while answers[-1].status_code == 200:
        answers.append(await engine.post(body, api))
    return answers


@pytest.mark.parametrize("api", Api)
def test_it_asks_for_the_end_before_the_budget_ends(server: ModelServer, api: Api) -> None:
    server.script = using(api, 17_000)

    async def work(engine: Engine) -> tuple[list[httpx.Response], str, bool]:
        answers = await post_until_refused(engine, api, call_body(api))
        return answers, engine.relay.exhausted, engine.relay.is_finishing

    answers, exhausted, is_finishing = with_relay(work, Budget(tokens=100_000))
    assert [answer.status_code for answer in answers] == [200] * 6 + [403]
    assert [asked.tools for asked in server.asked] == [[*TOOLS]] * 5 + [["final_answer"]]
    assert said_last(server.asked[4], api)["content"] == "Look."
    assert said_last(server.asked[5], api) == {"role": "user", "content": ANSWER_WITH_TOOL}
    assert "parallel_tool_calls" not in server.asked[5].body
    assert error_of(answers[-1])["code"] == "budget_exhausted"
    assert error_of(answers[-1])["message"] == "The budget of 100,000 tokens is used up."
    assert (exhausted, is_finishing) == ("100,000 tokens", True)


@pytest.mark.parametrize("api", Api)
def test_a_helper_ends_without_tools(server: ModelServer, api: Api) -> None:
    server.script = using(api, 85_000)

    async def work(engine: Engine) -> None:
        for _ in range(2):
            await engine.post(call_body(api, tools=("view_trace",)), api)

    with_relay(work, Budget(tokens=100_000))
    assert [asked.tools for asked in server.asked] == [["view_trace"], []]
    assert "tools" not in server.asked[1].body
    assert said_last(server.asked[1], api) == {"role": "user", "content": ANSWER_WITH_TEXT}


def test_a_question_as_a_text_becomes_a_message(server: ModelServer) -> None:
    with_relay(lambda engine: engine.post(call_body(input="Look.")), Budget(tokens=2_100))
    assert server.asked[0].body["input"] == [
        {"role": "user", "content": "Look."},
        {"role": "user", "content": ANSWER_WITH_TOOL},
    ]


def test_only_what_can_end_the_run_may_cross_the_limit(server: ModelServer) -> None:
    server.script = using(Api.RESPONSES, 90_000)
    long = "x" * 80_000  # 20,000 tokens

    async def work(engine: Engine) -> list[int]:
        bodies = [call_body(), call_body(text=long, tools=("view_trace",)), call_body(text=long)]
        return [(await engine.post(body)).status_code for body in bodies]

    assert with_relay(work, Budget(tokens=100_000)) == [200, 403, 200]


@pytest.mark.parametrize("api", Api)
def test_it_counts_what_is_under_way(server: ModelServer, api: Api) -> None:
    """Ten calls at once of 2,000 expected tokens each: the budget has room for five."""
    answer_all, arrived = threading.Event(), threading.Semaphore(0)
    said = said_by_responses if api is Api.RESPONSES else said_by_chat

    def script(talk: Talk) -> None:
        arrived.release()
        assert answer_all.wait(10)
        talk.stream(said("Fine.", input_tokens=50, output_tokens=50))

    async def work(engine: Engine) -> tuple[list[int], int]:
        body = call_body(api, tools=("view_trace",), max_output_tokens=1_900)
        calls = [asyncio.create_task(engine.post(body, api)) for _ in range(10)]
        while sum(call.done() for call in calls) + len(server.asked) < 10:
            await asyncio.sleep(0.01)
        answer_all.set()
        answers = await asyncio.gather(*calls)
        after = await engine.post(body, api)
        return sorted(answer.status_code for answer in (*answers, after)), engine.relay.meter.total_tokens

    server.script = script
    statuses, tokens = with_relay(work, Budget(tokens=10_000))
    assert statuses == [200] * 6 + [403] * 5
    assert tokens == 600
    assert sorted(asked.tools for asked in server.asked[:5]) == [[]] + [["view_trace"]] * 4
    assert server.asked[5].tools == ["view_trace"]


def test_a_budget_of_dollars(server: ModelServer) -> None:
    server.script = using(Api.RESPONSES, 1_000_000)  # $0.15

    async def work(engine: Engine) -> list[httpx.Response]:
        return await post_until_refused(engine, Api.RESPONSES, call_body())

    answers = with_relay(work, Budget(dollars=Decimal("0.17")))
    assert [asked.tools for asked in server.asked] == [[*TOOLS], ["final_answer"]]
    assert error_of(answers[-1])["message"] == "The budget of $0.17 is used up."


def test_a_budget_of_minutes(server: ModelServer) -> None:
    moments = [datetime(2026, 11, 20, 12, tzinfo=UTC)]

    async def work(engine: Engine) -> httpx.Response:
        for minutes in (0, 8, 9, 10):
            moments[0] = datetime(2026, 11, 20, 12, tzinfo=UTC) + timedelta(minutes=minutes)
            answer = await engine.post()
        return answer

    answer = with_relay(work, Budget(minutes=10), clock=lambda: moments[0])
    assert [asked.tools for asked in server.asked] == [[*TOOLS], [*TOOLS], ["final_answer"]]
    assert (answer.status_code, error_of(answer)["message"]) == (403, "The budget of 10 minutes is used up.")


def test_a_call_under_way_ends_with_the_minutes(server: ModelServer) -> None:
    first, second, *_ = said_by_responses("One two")

    def script(talk: Talk) -> None:
        talk.begin()
        talk.part(first + second)
        talk.exchange.hang()

    async def work(engine: Engine) -> tuple[str, str]:
        return (await engine.post()).text, engine.relay.exhausted

    server.script = script
    text, exhausted = with_relay(work, Budget(minutes=0.005))
    assert text.startswith((first + second).decode())
    assert '"code":"budget_exhausted"' in text
    assert exhausted == "0.005 minutes"


def test_a_budget_of_nothing_allows_nothing(server: ModelServer) -> None:
    assert with_relay(lambda engine: engine.post(), Budget(tokens=0)).status_code == 403
    assert server.asked == []


def test_no_budget_never_ends(server: ModelServer) -> None:
    server.script = lambda talk: talk.json(chat_completion("Fine.", input_tokens=2_000_000_000))

    async def work(engine: Engine) -> int:
        for _ in range(3):
            await engine.post()
        return engine.relay.meter.input_tokens

    assert with_relay(work) == 6_000_000_000
    assert [asked.tools for asked in server.asked] == [[*TOOLS]] * 3
