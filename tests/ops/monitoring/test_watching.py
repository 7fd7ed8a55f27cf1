"""What machines that watch ask: /healthz, /readyz, /metrics."""

import re
from datetime import datetime, timedelta
from decimal import Decimal

import pytest
import time_machine
from django.db import connection
from django.test import Client
from django.utils import timezone
from pytest_django import Settings

from catalyst.core.key_use import EVER, KeyUse
from catalyst.core.models import ApiKey, Project
from catalyst.llms.amounts import Account, Calls
from catalyst.llms.models import Budget
from catalyst.ops.models import Heartbeat
from catalyst.ops.monitoring import metrics, snapshot
from signals import operations
from signals.models import Label
from signals.runs import backfill
from tests.factories import make_agent, make_labels, make_signal
from tests.processes import ROOT
from traces.store import partitions

HERE = {"host": "127.0.0.1:8799"}
SAMPLE = re.compile(r'[a-z_]+(\{[a-z]+="([^"\\\n]|\\.)*"(,[a-z]+="([^"\\\n]|\\.)*")*\})? -?[0-9.e+-]+')


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
    use = KeyUse()
    use.count(key.pk, {"accepted": 2, "new": 12, "late": 1, "refused_429": 3}, now)
    use.count(None, {"refused_401": 1}, now)
    use.flush()
    Heartbeat.objects.beat(
        Heartbeat(name="web", host="one", pid=1, started_at=now, seen_at=timezone.now(), version="1")
    )
    response = client.get("/metrics", headers=HERE)
    assert response["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    lines = response.text.splitlines()
    assert [line for line in lines if not line.startswith("# ") and not SAMPLE.fullmatch(line)] == []
    labels = f'project="default",key="{key.pk}",name="a \\"quoted\\" \\\\ name\\nof two lines"'
    assert f'catalyst_spans_total{{{labels},fate="new"}} 12' in lines
    assert f'catalyst_requests_total{{{labels},status="429"}} 3' in lines
    assert 'catalyst_requests_total{status="401"} 1' in lines
    assert any(line.startswith('catalyst_heartbeat_age_seconds{process="web",host="one"} ') for line in lines)


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
        lines = client.get("/metrics", headers=HERE).text.splitlines()
    about = f'project="default",signal="{signal.pk}",name="Refund wanted"'
    assert {line for line in lines if line.startswith("catalyst_signal_labels{") and about in line} == {
        f'catalyst_signal_labels{{{about},state="{state}"}} {count}'
        for state, count in {"waiting": 1, "done": 1, "failed": 1, "skipped": 0}.items()
    }
    assert {
        'catalyst_signals{state="active"} 1',
        'catalyst_signals{state="draft"} 1',
        'catalyst_signals{state="disabled"} 0',
        "catalyst_signals_stopped 0",
        "catalyst_labels_failed 1",
        'catalyst_runs_open{state="collecting"} 1',
        'catalyst_judge_spent_usd{project="default"} 0.25',
    } <= set(lines)


@pytest.mark.django_db
def test_it_documents_every_metric() -> None:
    page = (ROOT / "docs" / "reference" / "metrics.md").read_text()
    found = metrics.every(snapshot.take(timezone.now()), snapshot.key_uses(EVER))
    rows = {f"| `{metric.name}` | {metric.kind} | {metric.help} |" for metric in found}
    documented = {line for line in page.splitlines() if line.startswith("| `catalyst_")}
    assert rows == documented
