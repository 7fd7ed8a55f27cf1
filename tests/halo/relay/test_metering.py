"""The meter of a relay, which says what the server says."""

from datetime import datetime
from decimal import Decimal

import pytest

from catalyst.core.models import Project
from catalyst.env import env
from catalyst.ip_ranges import AllowedTargets
from catalyst.llms.endpoints import ConnectedModel
from halo.relay import Api, Meter
from tests.factories import make_connection
from tests.halo.relay.calls import Engine, call_body, with_relay
from tests.halo.relay.model_server import ModelServer, Talk, chat_completion, event, said_by_chat, said_by_responses


async def meter_of(engine: Engine, api: Api = Api.RESPONSES) -> Meter:
    """The meter after one call."""
    assert (await engine.post(None, api)).status_code == 200
    return engine.relay.meter


def test_it_counts_what_a_stream_of_responses_reports(server: ModelServer) -> None:
    server.script = lambda talk: talk.stream(
        said_by_responses("Fine.", input_tokens=1_000, output_tokens=200, cached=600, thought=150)
    )
    meter = with_relay(meter_of)
    assert (meter.calls, meter.input_tokens, meter.cached_tokens) == (1, 1_000, 600)
    assert (meter.output_tokens, meter.reasoning_tokens, meter.is_estimated) == (200, 150, False)
    # The public prices of gpt-4o-mini: $0.15, $0.075 and $0.60 per million.
    assert meter.cost == (Decimal("0.15") * 400 + Decimal("0.075") * 600 + Decimal("0.60") * 200) / 1_000_000


def test_it_asks_for_the_tokens_of_a_streamed_chat(server: ModelServer) -> None:
    server.script = lambda talk: talk.stream(said_by_chat("Fine.", input_tokens=70, output_tokens=7))
    meter = with_relay(lambda engine: meter_of(engine, Api.CHAT_COMPLETIONS))
    assert server.asked[0].body["stream_options"] == {"include_usage": True}
    assert (meter.input_tokens, meter.output_tokens, meter.is_estimated) == (70, 7, False)


def test_it_counts_a_chat_that_is_not_streamed(server: ModelServer) -> None:
    server.script = lambda talk: talk.json(chat_completion("Fine.", input_tokens=70, output_tokens=7))

    async def work(engine: Engine) -> Meter:
        await engine.post(call_body(Api.CHAT_COMPLETIONS, stream=False), Api.CHAT_COMPLETIONS)
        return engine.relay.meter

    meter = with_relay(work)
    assert "stream_options" not in server.asked[0].body
    assert (meter.input_tokens, meter.output_tokens, meter.is_estimated) == (70, 7, False)


@pytest.mark.parametrize("api", Api)
def test_it_estimates_where_the_server_reports_nothing(server: ModelServer, api: Api) -> None:
    words = "word " * 100

    def script(talk: Talk) -> None:
        parts = said_by_chat(words, input_tokens=None)
        if api is Api.RESPONSES:
            parts = [*said_by_responses(words)[:-1], event({"type": "response.completed", "response": {}})]
        talk.stream(parts)

    server.script = script
    meter = with_relay(lambda engine: meter_of(engine, api))
    sent = int(server.asked[0].headers["content-length"])
    assert (meter.input_tokens, meter.output_tokens, meter.is_estimated) == (-(-sent // 4), 125, True)


@pytest.mark.parametrize(
    "usage", [None, [], "many", {"input_tokens": -1}, {"prompt_tokens": "7"}, {"input_tokens": 1 << 40}]
)
def test_a_report_of_nonsense_is_no_report(server: ModelServer, usage: object) -> None:
    server.script = lambda talk: talk.json(chat_completion("Fine.") | {"usage": usage})
    assert with_relay(lambda engine: meter_of(engine, Api.CHAT_COMPLETIONS)).is_estimated


def test_it_counts_calls_at_once_and_tells_of_each(server: ModelServer) -> None:
    told: list[Meter] = []

    async def work(engine: Engine) -> Meter:
        await engine.post_at_once([call_body(text=f"Number {number}") for number in range(12)])
        return engine.relay.meter

    meter = with_relay(work, on_change=told.append)
    assert (meter.calls, meter.input_tokens, meter.output_tokens) == (12, 1_200, 120)
    assert [each.calls for each in told] == [*range(1, 13)]
    assert told[-1] == meter


def test_the_cost_is_unknown_without_a_price(server: ModelServer) -> None:
    assert with_relay(meter_of, model=ConnectedModel("homegrown")).cost is None


def test_it_takes_the_price_that_an_owner_entered(
    server: ModelServer, project: Project, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(env, "allowed_private_targets", AllowedTargets.parse(["127.0.0.0/8"]))
    connection = make_connection(project, now=now, url=server.url, model="homegrown", prices={"homegrown": ("2", "8")})
    meter = with_relay(meter_of, model=ConnectedModel("homegrown", connection))
    assert meter.cost == (Decimal(2) * 100 + Decimal(8) * 10) / 1_000_000


def test_a_call_that_failed_costs_nothing(server: ModelServer) -> None:
    server.script = lambda talk: talk.error(500)

    async def work(engine: Engine) -> Meter:
        await engine.post()
        return engine.relay.meter

    assert with_relay(work) == Meter(failed_calls=1)
