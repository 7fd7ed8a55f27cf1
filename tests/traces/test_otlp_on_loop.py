"""POST /v1/traces as the web process answers it: on the event loop, with threads for the database alone."""

import asyncio
import gzip
import json
from collections.abc import Awaitable, Callable, Hashable, Iterator
from datetime import datetime
from typing import Any

import pytest
from django.conf import settings
from django.db import connection

from catalyst.core import api_keys
from catalyst.core.models import ApiKey, Project
from catalyst.fairness import FairShare
from catalyst.server.bodies import Message, Scope
from catalyst.server.handler import ThreadHandler
from catalyst.server.threads import in_thread
from tests.traces.sent import nanoseconds
from traces import api, stray_requests
from traces.ingest.group_commit import GroupCommit
from traces.models import Span

pytestmark = [pytest.mark.slow, pytest.mark.django_db(transaction=True)]

THREADS = 2
POISON = """
    CREATE FUNCTION poison() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN RAISE EXCEPTION 'a value it can''t take' USING ERRCODE = '22003'; END $$;
    CREATE TRIGGER poison BEFORE INSERT ON traces_span FOR EACH ROW WHEN (new.name = 'poison') EXECUTE FUNCTION poison()
"""

type Answer = tuple[int, dict[str, str], Any]


@pytest.fixture(autouse=True)
def _left_clean(db: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Threads keep no connection, as with the pool of the web process; pytest does not empty partitions."""
    monkeypatch.setitem(connection.settings_dict, "CONN_MAX_AGE", 0)
    yield
    with connection.cursor() as cursor:
        cursor.execute("TRUNCATE traces_span, traces_payload")


@pytest.fixture
def _poison() -> Iterator[None]:
    """The database refuses spans with this name."""
    with connection.cursor() as cursor:
        cursor.execute(POISON)
        yield
        cursor.execute("DROP FUNCTION poison CASCADE")


class Web:
    """The application, and a key to send with."""

    def __init__(self, key: str, now: datetime) -> None:
        self.key, self.now = key, now
        self.memory = FairShare[Hashable](settings.BODY_MEMORY_BYTES)
        paths = [f"/{path}" for path in (*settings.OTLP_PATHS, *settings.OTLP_METRICS_PATHS)]
        self.application = ThreadHandler(THREADS, self.memory, lambda _: False, paths, stray_requests.view_of)
        self.received: list[int] = []

    def body(self, number: int, name: str = "s", spans: int = 1) -> bytes:
        """Spans of a trace of their own."""
        start = nanoseconds(self.now)
        made = [
            {"traceId": f"{number:032x}", "spanId": f"{each:016x}", "name": name, "startTimeUnixNano": str(start)}
            for each in range(1, spans + 1)
        ]
        return json.dumps({"resourceSpans": [{"scopeSpans": [{"spans": made}]}]}).encode()

    async def post(self, body: bytes, *, path: str = "/v1/traces", method: str = "POST", **headers: str) -> Answer:
        """The status, the headers and the JSON of the answer."""
        arriving: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]
        sent: list[Message] = []

        async def receive() -> Message:
            self.received.append(len(body))
            return arriving.pop() if arriving else {"type": "http.disconnect"}

        async def send(message: Message) -> None:
            sent.append(message)

        named = {"host": "elsewhere", "content_type": "application/json", "x_api_key": self.key, **headers}
        scope: Scope = {
            "type": "http",
            "method": method,
            "path": path,
            "query_string": b"",
            "headers": [(name.replace("_", "-").encode(), value.encode()) for name, value in named.items()],
        }
        await asyncio.wait_for(self.application(scope, receive, send), 30)
        start, end = sent
        text = end["body"].decode(errors="replace")
        found = {name.decode(): value.decode() for name, value in start["headers"]}
        assert int(found["Content-Length"]) == len(end["body"])
        return start["status"], found, json.loads(text) if text.startswith("{") else text


@pytest.fixture
def web(project: Project, now: datetime) -> Web:
    return Web(ApiKey.issue(project=project, name="sdk", scopes=["ingest"])[1], now)


async def together(*requests: Awaitable[Answer]) -> list[Answer]:
    return list(await asyncio.gather(*requests))


def at_once(*requests: Awaitable[Answer]) -> list[Answer]:
    """The answers to requests that come at the same time."""
    return asyncio.run(together(*requests))


def stored() -> list[int]:
    """The traces of the project's spans, by number."""
    spans = Span.objects.filter(project_id=Project.objects.get().pk)
    return sorted(trace_id.int for trace_id in spans.values_list("trace_id", flat=True))


@pytest.mark.parametrize("path", [f"/{path}" for path in settings.OTLP_PATHS])
def test_it_answers_after_the_commit(web: Web, path: str) -> None:
    ((status, headers, said),) = at_once(web.post(web.body(1), path=path))
    assert (status, headers["Content-Type"], said) == (200, "application/json", {})
    assert stored() == [1]


def test_it_answers_many_more_than_it_has_threads_and_shares_commits(web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    groups: list[int] = []

    async def write(arrivals: Any) -> Any:
        groups.append(len(arrivals))
        return await api.write(arrivals)

    monkeypatch.setattr(api, "writer", GroupCommit(write, 1_000))
    answers = at_once(*(web.post(web.body(number)) for number in range(1, 41)))
    assert [status for status, _, _ in answers] == [200] * 40
    assert len(stored()) == sum(groups) == 40
    assert len(groups) < 40


@pytest.mark.usefixtures("_poison")
def test_it_fails_only_who_sent_the_poison(web: Web) -> None:
    names = ["s", "s", "poison", "s"]
    answers = at_once(*(web.post(web.body(number, name)) for number, name in enumerate(names, 1)))
    assert [status for status, _, _ in answers] == [200, 200, 400, 200]
    assert stored() == [1, 2, 4]


def test_it_stores_nothing_of_what_finds_no_room(web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api, "writer", GroupCommit(api.write, 5))
    answers = at_once(*(web.post(web.body(number, spans=3)) for number in (1, 2)))
    (refused,) = [(headers, said) for status, headers, said in answers if status == 503]
    assert refused[0]["Retry-After"] == "5"
    assert "nothing of this request was stored" in refused[1]["message"]
    assert len(stored()) == 3


def test_it_stores_for_a_client_that_is_gone(web: Web) -> None:
    async def leave() -> None:
        await web.post(web.body(1))  # so that the key is known
        request = asyncio.create_task(web.post(web.body(2)))
        while not api.writer.waiting_spans:
            await asyncio.sleep(0)
        request.cancel()
        await web.post(web.body(3))

    asyncio.run(leave())
    assert stored() == [1, 2, 3]


def test_it_reads_large_bodies_too(web: Web) -> None:
    large = web.body(1, name="x" * 2_000, spans=300)
    assert len(gzip.compress(large)) < api.SMALL_BODY_BYTES < len(large)
    answers = at_once(web.post(large), web.post(gzip.compress(web.body(2, "x" * 2_000, 300)), content_encoding="gzip"))
    assert [status for status, _, _ in answers] == [200, 200]
    assert len(stored()) == 600


def test_it_looks_a_key_up_once_for_all_who_ask_and_takes_a_revoked_one_no_more(web: Web, now: datetime) -> None:
    async def ask() -> list[str]:
        found = await asyncio.gather(*(api_keys.key_cache.afind(web.key, now) for _ in range(5)))
        await in_thread(ApiKey.objects.revoke, now)
        known = await api_keys.key_cache.afind(web.key, now + api_keys.CACHE_LIFETIME)
        gone = await api_keys.key_cache.afind(web.key, now + 1.5 * api_keys.CACHE_LIFETIME)
        return [str(each and each.name) for each in (*found, known, gone)]

    api_keys.key_cache.clear()
    assert asyncio.run(ask()) == ["sdk"] * 6 + ["None"]


def test_it_keeps_no_key_that_was_revoked_while_it_was_looked_up(web: Web, now: datetime) -> None:
    async def ask() -> bool:
        asked = asyncio.create_task(api_keys.key_cache.afind(web.key, now))
        await asyncio.sleep(0)
        api_keys.key_cache.clear()
        await in_thread(ApiKey.objects.revoke, now)
        await asked
        return await api_keys.key_cache.afind(web.key, now) is None

    api_keys.key_cache.clear()
    assert asyncio.run(ask())


def test_it_refuses_as_it_does_elsewhere(web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings, "MAX_BODY_BYTES", 10_000)
    answers: list[Callable[[], Awaitable[Answer]]] = [
        lambda: web.post(web.body(1), x_api_key="wrong"),
        lambda: web.post(b"{"),
        lambda: web.post(b"a=b", content_type="text/plain"),
        lambda: web.post(b"x" * 10_001),
        lambda: web.post(b"", method="GET"),
    ]
    found = at_once(*(ask() for ask in answers))
    assert [status for status, _, _ in found] == [401, 400, 415, 413, 405]
    assert found[0][1]["WWW-Authenticate"] == "Bearer"
    assert stored() == []


def test_it_reads_no_body_before_it_knows_the_key(web: Web) -> None:
    at_once(web.post(web.body(1), x_api_key="wrong"))
    assert web.received == []


def test_it_reads_no_metrics(web: Web) -> None:
    ((status, _, said),) = at_once(web.post(b"x" * 10_000_000, path="/v1/metrics"))
    assert status == 200
    assert "stores traces only" in said["partialSuccess"]["errorMessage"]
    assert web.received == []


def test_bodies_share_memory_until_their_spans_are_stored(web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    held: list[int] = []

    async def write(arrivals: Any) -> Any:
        held.append(web.memory.sum)
        return await api.write(arrivals)

    monkeypatch.setattr(api, "writer", GroupCommit(write, 1_000))
    body = web.body(1, "x" * 1_000, 300)
    at_once(web.post(gzip.compress(body), content_encoding="gzip"))
    assert held == [len(gzip.compress(body)) + len(body)]
    assert web.memory.sum == 0


def test_a_request_without_memory_is_to_be_sent_again(web: Web) -> None:
    web.memory = FairShare(1_000)
    web.application = ThreadHandler(THREADS, web.memory, lambda _: False, on_loop=["/v1/traces"])
    ((status, headers, said),) = at_once(web.post(web.body(1, spans=20)))
    assert (status, headers["Retry-After"]) == (503, "5")
    assert "nothing of it was stored" in said["message"]
    assert stored() == []


@pytest.mark.parametrize("path", ["/v1/traces/", "//v1/traces", "/v1//traces//", "/otel/v1/traces/"])
def test_it_takes_slashes_too_many(web: Web, path: str) -> None:
    assert at_once(web.post(web.body(1), path=path))[0][::2] == (200, {})
    assert stored() == [1]


@pytest.mark.parametrize("path", ["/api/public/otel/v1/traces", "/catalyst/v1/traces/", "/p/default/traces/v1/traces"])
def test_it_takes_the_path_of_another_product_and_names_its_own_once_an_hour(web: Web, path: str) -> None:
    async def ask() -> list[Answer]:
        return [await web.post(web.body(number), path=path) for number in (1, 2)]

    (status, _, said), (again, _, said_again) = asyncio.run(ask())
    assert (status, again, said_again) == (200, 200, {})
    assert (
        said["partialSuccess"]["errorMessage"] == f"Stored, but {path} is not Catalyst's own path, which is /v1/traces"
    )
    assert stored() == [1, 2]


@pytest.mark.parametrize("path", ["/v1/metrics/", "/api/public/otel/v1/metrics", "/api/public/otel/v1/logs"])
def test_it_drops_metrics_and_logs_wherever_they_come(web: Web, path: str) -> None:
    ((status, _, said),) = at_once(web.post(b"unread", path=path))
    assert status == 200
    assert "stores traces only" in said["partialSuccess"]["errorMessage"]


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("/v1/traces/v1/traces", "Set the endpoint of the SDK without /v1/traces"),
        ("/otel/v1/traces/v1/metrics", "Set the endpoint of the SDK without /v1/traces"),
        ("/", "/ is not a path that takes traces. Send them to /v1/traces."),
        ("/v1/trace", "Send them to /v1/traces."),
        ("/api/v2/spans", "Send them to /v1/traces."),
        ("/p/default/traces/", "Send them to /v1/traces."),
        ("/login/", "Send them to /v1/traces."),
    ],
)
@pytest.mark.parametrize("content_type", ["application/json", "application/json; charset=utf-8"])
def test_it_names_the_path_to_who_sends_to_another(web: Web, path: str, words: str, content_type: str) -> None:
    ((status, headers, said),) = at_once(web.post(web.body(1), path=path, content_type=content_type, accept="*/*"))
    assert (status, headers["Content-Type"], said["code"]) == (404, "application/json", 5)
    assert words in said["message"]
    assert web.received == []


def test_it_names_the_path_in_protobuf(web: Web) -> None:
    ((status, headers, said),) = at_once(web.post(b"", path="/", content_type="application/x-protobuf"))
    assert (status, headers["Content-Type"]) == (404, "application/x-protobuf")
    assert "Send them to /v1/traces." in said


@pytest.mark.parametrize(
    ("path", "headers", "expected"),
    [
        ("/nowhere", {"content_type": "application/x-www-form-urlencoded"}, 404),
        ("/nowhere", {"accept": "text/html,*/*"}, 404),
    ],
)
def test_it_answers_people_with_a_page(web: Web, path: str, headers: dict[str, str], expected: int) -> None:
    ((status, found, said),) = at_once(web.post(b"", path=path, host="localhost", **headers))
    assert (status, found["Content-Type"]) == (expected, "text/html; charset=utf-8")
    assert said.lstrip().startswith("<!doctype html>")


def test_it_opens_no_page_as_a_sender(web: Web) -> None:
    ((status, found, _),) = at_once(web.post(b"", path="/v1/traces/", method="GET", host="localhost"))
    assert (status, found["Content-Type"]) == (404, "text/html; charset=utf-8")
