"""The real halo-engine through the relay: both meters agree, and a budget ends a run with what was written."""

import asyncio
from collections.abc import Iterator

import pytest

from catalyst.env import env
from catalyst.llms.endpoints import ConnectedModel
from halo.engine_process import Answer, Ending, Failed
from halo.relay import Api, Budget, Relay
from tests.halo.engine_runs import TRACE, EngineRuns
from tests.halo.model_server import Asked, Call, ModelServer, Reply, analyst

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("halo engine")]

OVERVIEW = Call("get_dataset_overview", {"filters": {}})
WORK = analyst("# Done", OVERVIEW, Call("synthesize_traces", {"trace_ids": [TRACE], "focus": "errors"}))
NOTED = "Refunds fail."


def finishes(asked: Asked) -> Reply:
    """A model that looks on and on, until nothing but the end is left to ask for."""
    if asked.tools == {"final_answer"}:
        return Reply([Call("final_answer", {"answer": "# As far as I got"})])
    return Reply([NOTED, OVERVIEW])


def looks_on(_asked: Asked) -> Reply:
    """A model that does not hear that it should finish."""
    return Reply([NOTED, OVERVIEW])


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModelServer]:
    """The model that the environment's endpoint leads to."""
    with ModelServer(WORK) as server:
        monkeypatch.setattr(env, "judge_url", server.url)
        monkeypatch.setattr(env, "judge_api_key", "sk-of-the-instance")
        yield server


def run(engine: EngineRuns, budget: Budget, api: Api = Api.RESPONSES) -> tuple[Ending, Relay]:
    async def through() -> tuple[Ending, Relay]:
        async with Relay(ConnectedModel("gpt-4o-mini"), budget) as relay:
            ending = await engine.start(relay.base_url, api=api, api_key=relay.token, max_turns=50, max_failures=3)
        return ending, relay

    return asyncio.run(through())


@pytest.mark.parametrize("api", Api)
def test_both_count_the_same_tokens(engine: EngineRuns, server: ModelServer, api: Api) -> None:
    ending, relay = run(engine, Budget(), api)
    assert ending == Answer(text="# Done")
    streamed = sum(asked.is_stream for asked in server.asked)
    summaries = len(server.asked) - streamed
    assert (streamed, summaries) == (3, 1)
    assert relay.meter.calls == len(server.asked)
    assert relay.meter.input_tokens == 1_000 * streamed + 50 * summaries
    assert relay.meter.output_tokens == 20 * streamed + 10 * summaries
    assert not relay.meter.is_estimated
    assert {asked.headers["Authorization"] for asked in server.asked} == {"Bearer sk-of-the-instance"}


@pytest.mark.parametrize("api", Api)
def test_it_finishes_within_its_budget(engine: EngineRuns, server: ModelServer, api: Api) -> None:
    server.script = finishes
    ending, relay = run(engine, Budget(tokens=30_000), api)
    assert ending == Answer(text="# As far as I got")
    assert relay.meter.total_tokens <= 30_000
    assert relay.exhausted == ""


def test_it_ends_at_its_budget_and_keeps_what_was_written(engine: EngineRuns, server: ModelServer) -> None:
    server.script = looks_on
    ending, relay = run(engine, Budget(tokens=30_000))
    assert isinstance(ending, Failed)
    assert (ending.reason, ending.text) == ("forbidden", NOTED)
    assert relay.exhausted == "30,000 tokens"
    last_call = 1_020
    assert relay.meter.total_tokens - last_call <= 30_000
