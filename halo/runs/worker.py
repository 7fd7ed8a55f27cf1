"""The worker of runs: claims them and brings each to its end.

A run is read, analyzed and stored by one thread. Whatever goes wrong ends that run alone, with a sentence for people.
"""

import logging
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import suppress
from datetime import datetime

from django.db import close_old_connections, connection, transaction

from halo import focus
from halo.analyst.reading import Interrupted, read
from halo.analyst.report import report_on
from halo.choices import RunStatus
from halo.models import Run
from halo.runs import claims, modelled, storing, words
from halo.runs.claims import Claim, Clock, Lost, Watch

logger = logging.getLogger(__name__)

AT_ONCE = 4
POLL_SECONDS = 0.2


def has_work(now: datetime) -> bool:
    return Run.objects.due(now).exists()


def work(clock: Clock, until: Callable[[], bool] = lambda: False) -> int:
    """Work on due runs, several at once, and end when nothing is due. After `until` none is begun. Return how many."""
    count = 0
    running: set[Future[None]] = set()
    with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="halo") as pool:
        while True:
            while len(running) < AT_ONCE and not until() and (claim := claims.claim(clock())):
                running.add(pool.submit(_work_on, claim, clock))
                count += 1
            if not running:
                return count
            _, running = wait(running, timeout=POLL_SECONDS, return_when=FIRST_COMPLETED)


def _work_on(claim: Claim, clock: Clock) -> None:
    close_old_connections()
    try:
        with Watch(claim, clock) as watch:
            _run(claim, watch, clock)
    except (Lost, Interrupted):
        logger.info("Run %s was cancelled, or another worker took it", claim.run.pk)
    except Exception as error:  # a mistake of ours must not end other runs
        logger.exception("Run %s failed", claim.run.pk)
        with suppress(Lost):
            text = f"Catalyst failed: {type(error).__name__}. The log of the worker has more."
            claim.end(RunStatus.FAILED, clock(), error=text)
    finally:
        connection.close()


def _run(claim: Claim, watch: Watch, clock: Clock) -> None:
    run = claim.run
    volume = focus.volume_of(focus.traces_of(run))
    counts = {"trace_count": volume.trace_count, "span_count": volume.span_count, "error_count": volume.failed_count}
    claim.update(clock(), **counts)
    if not run.trace_count:
        claim.end(RunStatus.NO_TRACES, clock(), error=f"{run.agent} has no traces in this window that match.")
    elif run.by_rules:
        _analyze(claim, watch, clock)
    else:
        modelled.work_on(claim, watch, clock)


def _analyze(claim: Claim, watch: Watch, clock: Clock) -> None:
    run = claim.run
    claim.update(clock(), status=RunStatus.RUNNING)
    reading = read(run, clock(), watch.is_lost)
    traces = len(reading.window.runs)
    claim.tell(clock(), words.reading(traces, run.trace_count or 0))
    draft = report_on(reading)
    with transaction.atomic():
        claim.update(clock(), read_trace_count=traces, read_span_count=reading.read_span_count)
        storing.store(claim, draft, traces, clock())
