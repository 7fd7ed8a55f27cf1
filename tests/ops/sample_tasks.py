"""Tasks that leave a trace, for tests with real workers."""

from django.tasks import task

from catalyst.core.models import Project
from catalyst.ops.models import PeriodicRun
from tests.processes import eventually


@task
def note(text: str, times: int = 1) -> None:
    """Leave a project of that name."""
    Project.objects.create(name=text * times, slug=text)


@task(queue_name="judge")
def note_in_judge(text: str) -> None:
    """The same in the judge's queue."""
    Project.objects.create(name=text, slug=text)


@task
def note_periodically() -> None:
    """Leave one more project."""
    Project.objects.create(name="periodic", slug=f"periodic-{Project.objects.count()}")


@task
def fail() -> None:
    """Raise ValueError."""
    raise ValueError("no such luck")


@task
def run_until_touched() -> None:
    """Go on until another connection has noted that this goes on."""
    first = PeriodicRun.objects.get(kind="long").seen_at
    eventually(lambda: PeriodicRun.objects.get(kind="long").seen_at != first)
