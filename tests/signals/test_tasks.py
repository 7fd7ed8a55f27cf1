"""What the clock wakes workers for."""

from django.utils import timezone

from catalyst.core.models import Project
from signals import tasks
from signals.definitions.templates import TEMPLATES
from signals.models import Label
from tests.factories import make_agent, make_signal, make_trace
from traces.models import Unsettled


def test_waking_both_takes_traffic_to_its_labels(project: Project) -> None:
    now = timezone.now()
    make_signal(make_agent(project), prompt=TEMPLATES["laziness"].prompt, active_since=now)
    make_trace(project, now=now)
    Unsettled.objects.update(due_at=now)
    tasks.settle.call()
    assert Label.objects.get().status == "queued"
    tasks.judge.call()
    assert Label.objects.get().status == "done"
    assert tasks.judge.queue_name == "judge"
