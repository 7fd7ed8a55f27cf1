"""Which API an endpoint speaks."""

import asyncio
from contextlib import aclosing
from typing import cast

import httpx

from catalyst.llm import Endpoint, LLMError
from catalyst.llms.endpoints import ConnectedModel, endpoint_of
from catalyst.net import NetError
from halo.relay import bodies
from halo.relay.bodies import Api, Json
from halo.relay.metering import AnswerReader

MAX_SECONDS = 30.0
MAX_BYTES = 64 << 10
# About the key or the account rather than the path, so that the other API would answer alike.
SAME_FOR_BOTH = frozenset({401, 402, 429})
QUESTION = "Answer with the word ok."

# By address and model; learned once per process.
_known: dict[tuple[str, str], Api] = {}


async def probe(model: ConnectedModel) -> Api:
    """Find out which API to use, by one or two short streamed calls. Raises LLMError, which says if none answers."""
    endpoint = endpoint_of(model.connection)
    key = (endpoint.base_url, model.name)
    if key in _known:
        return _known[key]
    refusals: list[LLMError] = []
    for api in Api:
        refusal = await _refusal(endpoint, api, model.name)
        if refusal is None:
            # After passing trouble with the first, the second is only the choice for now.
            if all(each.permanent for each in refusals):
                _known[key] = api
            return api
        refusals.append(refusal)
    text = f"{endpoint.host} answers neither the Responses API nor chat completions. {' '.join(map(str, refusals))}"
    raise LLMError(text, permanent=all(each.permanent for each in refusals))


async def _refusal(endpoint: Endpoint, api: Api, model: str) -> LLMError | None:
    """Why an API does not answer. Raises LLMError if the other one can't either."""
    request = endpoint.request(bodies.encoded(_question(api, model)), api.path)
    transport = endpoint.transport()
    try:
        async with (
            asyncio.timeout(MAX_SECONDS),
            aclosing(transport),
            aclosing(await transport.handle_async_request(request)) as response,
        ):
            content = await _beginning(response)
    except TimeoutError as late:
        raise LLMError(f"{endpoint.host} did not answer within {MAX_SECONDS:g} seconds.", suspect=True) from late
    except (NetError, httpx.HTTPError, httpx.InvalidURL) as broken:
        raise endpoint.trouble(broken) from broken
    status = response.status_code
    if status == 200:
        if _speaks(api, content):
            return None
        return LLMError(f"{endpoint.host} answers {api.path} with something else.", permanent=True)
    error = endpoint.error(status, response.headers, content)
    if status in SAME_FOR_BOTH or 300 <= status < 400:
        raise error
    return error


def _question(api: Api, model: str) -> Json:
    said = [{"role": "user", "content": QUESTION}]
    return {"model": model, api.history: said, "stream": True}


async def _beginning(response: httpx.Response) -> bytes:
    content = b""
    async for chunk in cast(httpx.AsyncByteStream, response.stream):
        content += chunk
        if len(content) > MAX_BYTES:
            break
    return content


def _speaks(api: Api, content: bytes) -> bool:
    reader = AnswerReader()
    reader.read_lines(content)
    names = b'"type"' in content and b'"response.' in content
    return not reader.is_no_answer and names == (api is Api.RESPONSES)
