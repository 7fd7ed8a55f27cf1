"""What it costs to evaluate a thousand alerts over two days, and how long a backtest of 30 days takes."""

from tests.bench import meters
from tests.bench.report import Table
from tests.e2e.instance import Instance

SIGNALS, ALERTS, MINUTES = 100, 1_000, 5
CPU_AIM_SECONDS, BACKTEST_AIM_MS = 5, 1_000
MADE = f"""
from datetime import timedelta
from django.utils import timezone
from catalyst.agents.models import Agent
from catalyst.core.models import Project
from signals import operations
from signals.definitions.definition import Definition
from signals.models import SignalVersion
now, project = timezone.now(), Project.objects.get(slug="default")
known = {{"name": "watched", "source": "agent_id", "first_seen_at": now - timedelta(days=90)}}
agent, _ = Agent.objects.get_or_create(project=project, identity="watched", defaults=known)
question = Definition(type="binary", prompt="Is it well?", sample_rate=100)
for number in range({SIGNALS}):
    signal = operations.create_signal(agent, name=f"Watched {{number}}", scope="trace", definition=question)
    operations.activate(signal, now - timedelta(days=60))
    SignalVersion.objects.filter(signal=signal).update(created_at=now - timedelta(days=60))
    print(signal.current_version_id)
"""
# The two days end tomorrow, as the worker of the instance evaluates until today.
SETTLED = """
    INSERT INTO signals_settledminute (version_id, minute, is_live, outcome, value, count, folded)
    SELECT v, minute, true, 'done', value, sum(n), true FROM (
        SELECT v, date_trunc('minute', now() + interval '1 day' - random() * interval '48 hours') AS minute,
            CASE WHEN random() < 0.2 THEN 'yes' ELSE 'no' END AS value, 1 AS n
        FROM unnest(%s::bigint[]) v, generate_series(1, %s)
    ) labels GROUP BY v, minute, value
"""
PAST = """
    INSERT INTO signals_settledminute (version_id, minute, is_live, outcome, value, count, folded)
    SELECT %s, date_trunc('minute', now()) - interval '1 day' - n * interval '1 minute', true, 'done', value,
        1 + (random() * %s)::int, true
    FROM generate_series(1, 33 * 1440) n, unnest('{yes,no}'::text[]) value
"""
EVALUATED = f"""
import time
from datetime import timedelta
from django.utils import timezone
from alerts import evaluation
from alerts.models import Alert, AlertState
from alerts.readings import COMMITTED_AFTER
from catalyst.timerange import MINUTE, floor
from signals.models import Signal
now = floor(timezone.now(), MINUTE)
start = now + timedelta(days=1)
windows = ("5m", "1h", "24h", "48h")
for signal in Signal.objects.filter(name__startswith="Watched"):
    for number in range({ALERTS // SIGNALS}):
        alert = Alert.objects.create(
            project_id=signal.project_id, signal=signal, agent_id=signal.agent_id, name=f"{{signal}} {{number}}",
            metric="true_rate", comparison="pct_change" if number % 2 else "absolute", operator="gte",
            threshold=50 if number % 2 else 0.5, window=windows[number % 4] if number < 4 else "48h",
            created_at=now, updated_at=now,
        )
        AlertState.objects.create(alert=alert, evaluated_until=start)
before = time.process_time()
moved = sum(evaluation.evaluate(start + minute * MINUTE + COMMITTED_AFTER) for minute in range(1, {MINUTES} + 1))
used = time.process_time() - before
assert moved == {MINUTES * ALERTS}, moved
Alert.objects.update(enabled=False)
print(used)
"""
BACKTESTED = """
import time
from django.utils import timezone
from alerts import backtest, counts
from alerts.models import Alert
from signals.models import SignalVersion
signal = SignalVersion.objects.get(pk={version}).signal
alert = Alert.objects.filter(signal=signal, comparison="pct_change", window="1h").first()
versions = list(SignalVersion.objects.filter(signal=signal).published())
before = time.perf_counter()
tested = backtest.run(counts.watched(alert, signal, versions), alert.rule, 30, timezone.now())
print(time.perf_counter() - before)
"""


def run(instance: Instance, table: Table, labels: int) -> None:
    """Store sums of so many labels of two days, and as many of one signal over the month before."""
    versions = list(map(int, instance.shell(MADE).split()))
    instance.execute(SETTLED, versions, labels // SIGNALS)
    instance.execute(PAST, versions[0], labels // (33 * 1440))
    instance.execute("VACUUM ANALYZE signals_settledminute")
    before = meters.cpu(instance.pids["up"])["postgres"]
    ours = float(instance.shell(EVALUATED))
    theirs = meters.cpu(instance.pids["up"])["postgres"] - before
    what = f"CPU a minute to evaluate {ALERTS:,} alerts, most over two days, at {labels / 1e6:.1f} M labels"
    table.below(what, CPU_AIM_SECONDS, (ours + theirs) / MINUTES, " s")
    seconds = float(instance.shell(BACKTESTED.format(version=versions[0])))
    table.below(f"backtest of 30 days at {labels / 1e6:.1f} M labels", BACKTEST_AIM_MS, 1000 * seconds, " ms")
