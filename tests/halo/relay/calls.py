"""Calls as an engine makes them."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import httpx

from catalyst.llms.endpoints import ConnectedModel
from halo.relay import Api, Budget, Relay

# It has a public price.
MODEL = "gpt-4o-mini"
TOOLS = ("view_trace", "final_answer")


def call_body(api: Api = Api.RESPONSES, *, text: str = "Look.", tools: tuple[str, ...] = TOOLS, **about: Any) -> Any:
    """The body of a streamed call of an agent."""
    functions = [{"name": name, "parameters": {"type": "object"}} for name in tools]
    if api is Api.RESPONSES:
        listed: list[Any] = [{"type": "function", **function} for function in functions]
    else:
        listed = [{"type": "function", "function": function} for function in functions]
    body = {"model": "whatever", "stream": True, "parallel_tool_calls": True}
    body |= {"input" if api is Api.RESPONSES else "messages": [{"role": "user", "content": text}]}
    return body | ({"tools": listed} if listed else {}) | about


class Engine:
    """A client of a relay."""

    def __init__(self, relay: Relay, client: httpx.AsyncClient) -> None:
        self.relay = relay
        self.client = client

    async def post(self, body: Any = None, api: Api = Api.RESPONSES, *, token: str | None = None) -> httpx.Response:
        """Make a call and read the whole answer."""
        headers = {"Authorization": f"Bearer {self.relay.token if token is None else token}"}
        content = call_body(api) if body is None else body
        return await self.client.post(f"{self.relay.base_url}{api.path}", json=content, headers=headers)

    async def post_at_once(self, bodies: list[Any], api: Api = Api.RESPONSES) -> list[httpx.Response]:
        """Make several calls at once."""
        return await asyncio.gather(*(self.post(body, api) for body in bodies))


def with_relay[T](
    work: Callable[[Engine], Awaitable[T]],
    budget: Budget | None = None,
    model: ConnectedModel | None = None,
    **about: Any,
) -> T:
    """Run something against a relay."""

    async def run() -> T:
        async with (
            Relay(model or ConnectedModel(MODEL), budget or Budget(), **about) as relay,
            httpx.AsyncClient(timeout=20, trust_env=False) as client,
        ):
            return await work(Engine(relay, client))

    return asyncio.run(run())


def error_of(answer: httpx.Response) -> dict[str, Any]:
    """What an error says."""
    error: dict[str, Any] = answer.json()["error"]
    return error
