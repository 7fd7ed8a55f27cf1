"""A signal whose targets settle and are judged minute by minute, as live traffic makes it."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from alerts import evaluation
from alerts.models import Alert, AlertEvent, AlertState
from alerts.readings import COMMITTED_AFTER
from catalyst.core.models import Project
from catalyst.timerange import HOUR, MINUTE, floor
from signals import operations
from signals.definitions.definition import Definition
from signals.judging import claims, worker
from signals.judging.calls import CallResult
from signals.models import Label, SignalRun, SignalVersion
from signals.models.label_queue import LabelRequest
from signals.models.label_states import Status
from tests.factories import make_agent, make_signal

LEASE = timedelta(minutes=10)


class History:
    """`now` moves by `minute`, which evaluates the alerts as the clock does."""

    def __init__(self, project: Project, now: datetime, *, labels: Sequence[str] = ()) -> None:
        self.now = floor(now, MINUTE)
        self.signal = make_signal(make_agent(project), labels=labels, active_since=self.now - 90 * 24 * HOUR)
        # As if it had been published long ago: creation is stamped with the machine's time.
        self.signal.versions.update(created_at=self.now - 90 * 24 * HOUR)
        self.targets = 0

    @property
    def seen(self) -> datetime:
        """When the window that ends now is evaluated."""
        return self.now + COMMITTED_AFTER

    @property
    def version(self) -> SignalVersion:
        self.signal.refresh_from_db()
        assert self.signal.current_version is not None
        return self.signal.current_version

    def alert(self, *, name: str = "Spike", evaluated_until: datetime | None = None, **about: Any) -> Alert:
        columns = {"metric": "true_rate", "comparison": "absolute", "operator": "gte", "threshold": 0.5, "window": "5m"}
        alert = Alert.objects.create(
            project=self.signal.project,
            signal=self.signal,
            agent=self.signal.agent,
            name=name,
            created_at=self.now,
            updated_at=self.now,
            **columns | about,
        )
        AlertState.objects.create(alert=alert, evaluated_until=evaluated_until or self.now)
        return alert

    def settle(self, count: int, *, run: SignalRun | None = None) -> None:
        """So many new targets settle now, and wait for the judge."""
        version, signal = self.version, self.signal
        requests = []
        for _ in range(count):
            self.targets += 1
            target = UUID(int=self.targets)
            about = (version.pk, signal.pk, signal.project_id, "trace", target.hex, target, None, "")
            requests.append(LabelRequest(*about, self.now - HOUR, 1, run.pk if run else None))
        Label.objects.enqueue(requests, self.now)

    def judge(self, values: Sequence[str], *, status: Status = Status.DONE) -> None:
        """Judge as many waiting labels as there are values, those that settled first."""
        claimed = sorted(claims.claim(len(values), LEASE, self.now), key=lambda label: label.target_key)
        assert len(claimed) == len(values)
        done = status == Status.DONE
        results = [
            CallResult(label, status, label.wanted_revision, value if done else "")
            for label, value in zip(claimed, values, strict=True)
        ]
        worker.finish(results, self.now)

    def label(self, yes: int, no: int = 0) -> None:
        """So many targets settle now and are judged at once."""
        self.settle(yes + no)
        self.judge(["yes"] * yes + ["no"] * no)

    def minute(self, minutes: int = 1, *, evaluate: bool = True) -> None:
        for _ in range(minutes):
            self.now += MINUTE
            if evaluate:
                evaluation.evaluate(self.seen)

    def publish(self, prompt: str = "Another question?") -> None:
        operations.publish_version(self.signal, Definition("binary", prompt, 100))
        SignalVersion.objects.filter(pk=self.version.pk).update(created_at=self.now)


def events(alert: Alert) -> list[str]:
    """Each event as its kind and the time of day of its window's end, the oldest first."""
    rows = AlertEvent.objects.filter(alert=alert).order_by("window_end", "pk")
    return [f"{row.kind} {row.window_end:%H:%M}" for row in rows]
