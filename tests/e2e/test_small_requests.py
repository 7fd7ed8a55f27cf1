"""Many senders at once, each with a span or two: nobody waits for what another one holds."""

import json
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.conftest import database_copy
from tests.e2e import instance
from tests.e2e.instance import Instance

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

SENDERS, REQUESTS = 24, 96


def post(catalyst: Instance, number: int) -> int:
    """A request with one span; the status of the answer."""
    now = time.time_ns()
    span = {
        "traceId": f"{number + 1:032x}",
        "spanId": f"{number + 1:016x}",
        "name": "step",
        "startTimeUnixNano": str(now - 1_000_000),
        "endTimeUnixNano": str(now),
    }
    body = json.dumps({"resourceSpans": [{"scopeSpans": [{"spans": [span]}]}]}).encode()
    headers = {"Authorization": f"Bearer {catalyst.ingest_key}", "Content-Type": "application/json"}
    with urllib.request.urlopen(urllib.request.Request(f"{catalyst.url}/v1/traces", body, headers)) as answer:
        return int(answer.status)


def test_they_share_one_connection_to_the_database(tmp_path: Path) -> None:
    pool = {"CATALYST_DATABASE_POOL": "1"}
    with (
        database_copy("pool") as url,
        instance.started(tmp_path, DATABASE_URL=url, **pool) as catalyst,
        ThreadPoolExecutor(SENDERS) as senders,
    ):
        statuses = list(senders.map(lambda number: post(catalyst, number), range(REQUESTS)))
        assert statuses == [200] * REQUESTS
        assert catalyst.count("SELECT count(*) FROM traces_span") == REQUESTS
