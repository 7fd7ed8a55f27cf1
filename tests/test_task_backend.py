"""Django tasks run in the django-q2 cluster of their queue."""

import psutil
import pytest
from django.db import transaction
from django.tasks import task
from django.tasks.exceptions import InvalidTask

from catalyst import task_backend
from catalyst.core.models import Project
from tests.ops import sample_tasks
from tests.processes import DEADLINE, eventually, running


@pytest.mark.django_db
def test_it_enqueues_with_the_transaction() -> None:
    with pytest.raises(RuntimeError), transaction.atomic():
        sample_tasks.note.enqueue("lost")
        raise RuntimeError
    assert task_backend.count_unfinished("default") == 0
    with transaction.atomic():
        sample_tasks.note.enqueue("kept")
    assert task_backend.count_unfinished("default") == 1


@pytest.mark.django_db
def test_it_chooses_the_queue() -> None:
    sample_tasks.note_in_judge.enqueue("one")
    sample_tasks.note.using(queue_name="judge").enqueue("two")
    assert (task_backend.count_unfinished("judge"), task_backend.count_unfinished("default")) == (2, 0)


@pytest.mark.django_db
def test_it_refuses_arguments_that_are_not_json(project: Project) -> None:
    with pytest.raises(TypeError):
        sample_tasks.note.enqueue(project)  # type: ignore[arg-type]
    assert task_backend.count_unfinished("default") == 0


def test_it_refuses_tasks_that_want_their_context() -> None:
    with pytest.raises(InvalidTask):
        task(takes_context=True)(sample_tasks.note.func)


def test_it_calls_the_task_by_its_path(db: None) -> None:
    task_backend.run("tests.ops.sample_tasks.note", ["ab"], {"times": 2})
    assert Project.objects.get().name == "abab"


@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
def test_it_runs_in_the_cluster_of_its_queue() -> None:
    sample_tasks.note_in_judge.enqueue("judged")
    sample_tasks.fail.enqueue()
    sample_tasks.note.enqueue("done", times=3)
    with running("worker", "default"):
        eventually(lambda: task_backend.count_unfinished("default") == 0)
        assert Project.objects.get().name == "donedonedone"
        assert task_backend.count_unfinished("judge") == 1
    with running("worker", "judge"):
        eventually(lambda: task_backend.count_unfinished("judge") == 0)
    assert Project.objects.filter(slug="judged").exists()


@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
def test_it_ends_when_one_of_its_processes_is_killed() -> None:
    sample_tasks.note.enqueue("done")
    with running("worker", "default") as worker:
        eventually(lambda: task_backend.count_unfinished("default") == 0)
        (sentinel,) = psutil.Process(worker.pid).children()
        others = sentinel.children()
        others[0].kill()
        assert worker.wait(timeout=DEADLINE) == 1
        eventually(lambda: not any(process.is_running() for process in others))
