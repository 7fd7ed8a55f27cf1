"""What machines that watch ask: /healthz, /readyz, /metrics."""

from datetime import datetime, timedelta
from decimal import Decimal

import pytest
import time_machine
from django.db import connection
from django.test import Client
from django.utils import timezone
from prometheus_client.parser import text_string_to_metric_families
from pytest_django import Settings

from catalyst.core.key_use import UsageCounter
from catalyst.core.models import ApiKey, Project
from catalyst.llms.amounts import Account, Calls
from catalyst.llms.models import Budget
from catalyst.ops.models import Heartbeat
from catalyst.ops.monitoring import probes, snapshot
from signals import operations
from signals.models import Label
from signals.runs import backfill
from tests.factories import make_agent, make_labels, make_signal
from tests.processes import ROOT
from traces.store import partitions

HERE = {"host": "127.0.0.1:8799"}

type Key = tuple[str, frozenset[tuple[str, str]]]


def sample(name: str, /, **labels: str) -> Key:
    return f"catalyst_{name}", frozenset(labels.items())


def read(text: str) -> dict[Key, float]:
    """What Prometheus reads."""
    families = text_string_to_metric_families(text)
    return {(each.name, frozenset(each.labels.items())): each.value for family in families for each in family.samples}


@pytest.fixture
def days(db: None) -> None:
    partitions.ensure(timezone.now())


def test_it_is_alive_without_a_database(client: Client) -> None:
    response = client.get("/healthz")
    assert (response.status_code, response.text) == (200, "ok\n")


def test_it_is_ready_when_the_tables_are_those_of_this_version_and_of_today(client: Client, days: None) -> None:
    assert client.get("/readyz").text == "ready\n"
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM django_migrations WHERE app = 'traces' AND name = '0002_partitions'")
    response = client.get("/readyz")
    assert response.status_code == 503
    assert "traces.0002_partitions" in response.text


def test_it_is_not_ready_without_a_place_for_todays_spans(client: Client, days: None) -> None:
    with connection.cursor() as cursor:
        cursor.execute(f"DROP TABLE traces_span_{timezone.now():%Y%m%d}")
    response = client.get("/readyz")
    assert (response.status_code, "today's is missing" in response.text) == (503, True)


def test_it_is_not_ready_while_the_database_takes_no_writes(client: Client, days: None) -> None:
    with (
        connection.cursor() as cursor,
        time_machine.travel(timezone.now() + timedelta(seconds=10), tick=False) as clock,
    ):
        assert client.get("/readyz").text == "ready\n"
        cursor.execute("SET TRANSACTION READ ONLY")
        assert client.get("/readyz").text == "ready\n", "it tries at most once in five seconds"
        clock.shift(timedelta(seconds=5))
        response = client.get("/readyz")
    assert response.status_code == 503
    assert "Database writes: none are accepted: cannot execute" in response.text


def test_it_is_not_ready_while_the_disk_is_full(client: Client, days: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probes, "MIN_FREE_BYTES", 1 << 60)
    response = client.get("/readyz")
    assert (response.status_code, "are free in" in response.text) == (503, True)


@pytest.mark.parametrize(
    ("token", "headers", "address", "status"),
    [
        ("", HERE, "127.0.0.1", 200),
        ("", HERE | {"host": "[::1]:8799"}, "::1", 200),
        ("", HERE | {"host": "testserver"}, "127.0.0.1", 403),
        ("", HERE, "192.0.2.7", 403),
        ("secret", HERE, "127.0.0.1", 401),
        ("secret", {"Authorization": "Bearer wrong"}, "127.0.0.1", 401),
        ("secret", {"Authorization": "Bearer secret"}, "192.0.2.7", 200),
    ],
)
@pytest.mark.django_db
def test_it_tells_its_numbers_to_whom_they_are_for(
    client: Client, settings: Settings, token: str, headers: dict[str, str], address: str, status: int
) -> None:
    settings.METRICS_TOKEN = token
    assert client.get("/metrics", headers=headers, REMOTE_ADDR=address).status_code == status


def test_it_writes_what_prometheus_reads(client: Client, days: None, project: Project, now: datetime) -> None:
    key, _ = ApiKey.issue(project=project, name='a "quoted" \\ name\nof two lines', scopes=["ingest"])
    counter = UsageCounter()
    counter.count(key.pk, {"accepted": 2, "new": 12, "late": 1, "refused_429": 3}, now)
    counter.count(None, {"refused_401": 1}, now)
    counter.flush()
    Heartbeat.objects.beat(
        Heartbeat(name="web", host="one", pid=1, started_at=now, seen_at=timezone.now(), version="1")
    )
    response = client.get("/metrics", headers=HERE)
    assert response["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    samples = read(response.text)
    about = {"project": "default", "key": str(key.pk), "name": 'a "quoted" \\ name\nof two lines'}
    assert samples[sample("spans_total", **about, fate="new")] == 12
    assert samples[sample("requests_total", **about, status="429")] == 3
    assert samples[sample("requests_total", status="401")] == 1
    assert samples[sample("heartbeat_age_seconds", process="web", host="one")] < 60
    types = {family.name: family.type for family in text_string_to_metric_families(response.text)}
    assert types["catalyst_requests"] == "counter"
    assert types["catalyst_heartbeat_age_seconds"] == "gauge"


def test_it_counts_signals_their_labels_runs_and_costs(
    client: Client, days: None, project: Project, now: datetime
) -> None:
    with time_machine.travel(now, tick=False):
        partitions.ensure(now)
        signal = make_signal(make_agent(project), active_since=now - timedelta(days=1))
        done, failed, _ = make_labels(signal, project, 3, now=now - timedelta(hours=1))
        Label.objects.filter(pk=done.pk).update(status="done", value="yes", labelled_at=now)
        Label.objects.filter(pk=failed.pk).update(status="failed")
        make_signal(signal.agent, name="Draft")
        operations.archive(make_signal(signal.agent, name="Gone"), now)
        Budget.objects.charge({Account(project.pk, signal.pk): Calls(1, Decimal("0.25"))}, now.date())
        backfill.start(signal, start=now - timedelta(days=2), end=now, sample_rate=10, now=now)
        samples = read(client.get("/metrics", headers=HERE).text)
    about = {"project": "default", "signal": str(signal.pk), "name": "Refund wanted"}
    for state, count in {"waiting": 1, "done": 1, "failed": 1, "skipped": 0}.items():
        assert samples[sample("signal_labels", **about, state=state)] == count
    expected = {
        sample("signals", state="active"): 1,
        sample("signals", state="draft"): 1,
        sample("signals", state="disabled"): 0,
        sample("signals_stopped"): 0,
        sample("labels_failed"): 1,
        sample("runs_open", state="collecting"): 1,
        sample("judge_spent_usd", project="default"): 0.25,
    }
    assert samples | expected == samples


@pytest.mark.django_db
def test_it_documents_every_metric() -> None:
    page = (ROOT / "docs" / "reference" / "metrics.md").read_text()
    metrics = snapshot.collect(timezone.now()).metrics()
    rows = {f"| `{metric.name}` | {metric.type} | {metric.help} |" for metric in metrics}
    documented = {line for line in page.splitlines() if line.startswith("| `catalyst_")}
    assert rows == documented
