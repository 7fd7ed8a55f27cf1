"""`manage.py signals`."""

import json
import os
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from shutil import get_terminal_size
from typing import Any

from django.core.exceptions import NON_FIELD_ERRORS, ValidationError
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import transaction
from django.utils import timezone

from catalyst import timerange
from catalyst.agents.models import Agent
from catalyst.core.models import Project
from catalyst.llms.amounts import Account
from catalyst.llms.budgets import spent_today
from catalyst.package import command
from catalyst.terminal import plain
from catalyst.timerange import TimeRange
from signals import operations, serializers
from signals.definitions.definition import Definition
from signals.definitions.templates import TEMPLATES
from signals.filters import LabelFilter, SignalFilter
from signals.management import arguments, output
from signals.management.arguments import OPTIONS, USAGE
from signals.management.output import Lines
from signals.models import Signal, SignalRun, SignalTest, SignalTestItem, SignalVersion
from signals.results import labels, rows, summaries
from signals.results.labels import Page
from signals.results.rollups import sums
from signals.results.summaries import Summary
from signals.runs import backfill, estimates, signal_tests
from signals.runs.signal_tests import Results
from signals.serializers import Record

PAGE = 1_000
MAX_NAMED = 20
POLL_SECONDS = 0.5


class Command(BaseCommand):
    """Everything that operators do with signals, by the same rules as the pages."""

    help = "List, show, make and change signals, judge what is stored, and read labels."
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        """Arguments."""
        arguments.add(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        self.given = options
        self.now = timezone.now()
        self.project = self._project()
        try:
            getattr(self, f"do_{options['command']}")()
        except BrokenPipeError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # who reads has read enough

    def do_list(self) -> None:
        """Signals with their labels."""
        signals = Signal.objects.for_project(self.project)
        agent = self._agent() if self.given["agent"] else None
        wanted = SignalFilter(
            text=self.given["search"],
            state=self.given["state"] or "",
            scope=self.given["scope"] or "",
            agent=agent.pk if agent else None,
        )
        shown = signals if self.given["include_archived"] else signals.unarchived()
        found = list(shown.matching(wanted).for_list())
        listed = summaries.ordered(summaries.listed(found, self._range(), self.now), self.given["sort"])
        self._print([serializers.of_summary(each) for each in listed], partial(output.signals, listed, self.now))

    def do_show(self) -> None:
        """One signal."""
        signal, time_range = self._signal(), self._range()
        today = spent_today(Account(self.project.pk, signal.pk), self.now)
        shown = self._summary(signal, time_range)
        self._print(self._record(signal, shown), partial(output.signal, shown, time_range, today, self.now))

    def do_create(self) -> None:
        """A new signal."""
        agent, template = self._agent(), TEMPLATES.get(self.given["template"] or "")
        question = arguments.question(self.given, arguments.blank(self.given))
        name, scope = (template.name, template.scope) if template else ("", "")
        with _refused("The signal was not made"), transaction.atomic():
            signal = operations.create_signal(
                agent,
                name=name if self.given["name"] is None else self.given["name"],
                scope=self.given["scope"] or scope,
                question=question,
                template=template.key if template else "",
            )
            if self.given["activate"]:
                operations.activate(signal, self.now)
        self._tell(signal)

    def do_edit(self) -> None:
        """A new version."""
        signal = self._signal()
        question, number = self._changed(signal), _asked(signal).number
        with _refused(f"Signal {signal.pk} is as it was"), transaction.atomic():
            operations.publish_version(signal, question, based_on=number)
            if self.given["name"] is not None:
                operations.rename(signal, self.given["name"])
        self._tell(signal)

    def do_test(self) -> None:
        """Recent targets judged by what is asked or would be; kept for a day, never as labels."""
        signal, size, end = self._signal(), self.given["sample_size"], self.given["end"] or self.now
        if size > signal_tests.MAX_TARGETS:
            raise CommandError(
                f"--sample-size: a test takes 1 to {signal_tests.MAX_TARGETS} targets.", returncode=USAGE
            )
        with _refused("Nothing was tested"):
            version = operations.draft_version(self._changed(signal), signal.agent, signal.scope, signal)
        sample = signal_tests.newest(version, size, self.given["start"] or end - signal_tests.WEEK, end)
        if sample.shortfall:
            self.stderr.write(plain(sample.shortfall), str)
        found = self._wait_for(signal_tests.start_test(version, sample, self.now))
        self._print(serializers.of_test(found), partial(output.test, found))
        if found.test.error:
            raise CommandError(found.test.error)

    def _wait_for(self, test: SignalTest) -> Results:
        """Show what a test finds as it comes, until it has ended; Ctrl-C cancels it."""
        shown: set[SignalTestItem] = set()
        try:
            while True:
                found = signal_tests.results_of(signal_tests.find_test(self.project, test.pk))
                new = [item for item in found.ended if item not in shown]
                shown.update(new)
                if not self.given["json"]:
                    self._write(output.test_items(rows.load_rows(self.project, test.scope, new), self._width))
                if not found.test.is_running:
                    return found
                time.sleep(POLL_SECONDS)
        except KeyboardInterrupt:
            signal_tests.cancel_test(test, timezone.now())
            raise

    def do_activate(self) -> None:
        """Judge what arrives."""
        signal = self._signal()
        with _refused(f"Signal {signal.pk} is as it was"):
            operations.activate(signal, self.now)
        self._tell(signal)

    def do_disable(self) -> None:
        """Stop judging."""
        signal = self._signal()
        operations.disable(signal, timezone.now())
        self._tell(signal)

    def do_archive(self) -> None:
        """Stop it and put it away."""
        signal = self._signal()
        operations.archive(signal, self.now)
        self._tell(signal)

    def do_unarchive(self) -> None:
        """Put it back."""
        signal = self._signal()
        operations.unarchive(signal)
        self._tell(signal)

    def do_backfill(self) -> None:
        """A manual run, with its price first."""
        as_json, is_preview, is_sure = (self.given[name] for name in ("json", "preview", "yes"))
        if as_json and not (is_sure or is_preview):
            raise CommandError("--json asks nothing: add --yes to start, or --preview.", returncode=USAGE)
        signal = self._signal()
        version = _asked(signal)
        start, end, rate = self.given["start"], self.given["end"] or self.now, self.given["sample_rate"]
        with _refused("Nothing was started"):
            backfill.check(start, end, rate, self.now)
        if is_preview or not as_json:
            found = backfill.preview(version, start, end, rate)
            estimate = estimates.of_calls(version, found.to_judge, found.examples, self.now)
            self._print(serializers.of_preview(found, estimate), partial(output.preview, found, estimate))
        if is_preview:
            return
        if not is_sure and not self._agrees():
            raise CommandError("Nothing was started. Answer y, or give --yes.")
        with _refused("Nothing was started"):
            run = backfill.start(signal, start=start, end=end, sample_rate=rate, now=self.now)
        self._tell_run(run)

    def do_runs(self) -> None:
        """Manual runs; one of them may be cancelled."""
        known, pk = SignalRun.objects.for_project(self.project), self.given["cancel"]
        if self.given["signal"] is not None:
            known = SignalRun.objects.for_signal(self._signal())
        if pk is None:
            found = backfill.progress(known[: self.given["limit"]], self.now)
            self._print([serializers.of_run(each) for each in found], partial(output.runs, found))
            return
        run = known.filter(pk=pk).first()
        if run is None:
            raise CommandError(f"There is no such run {pk}. See {command('signals runs')}.")
        backfill.cancel(run, self.now)
        self._tell_run(run)

    def do_labels(self) -> None:
        """Labels; of all of them never more than one page is in memory."""
        signal, count, more = self._signal(), 0, None
        for page in self._pages(signal):
            count, more = count + len(page.labels), page.more
            if self.given["json"]:
                self._write(json.dumps(serializers.of_label(label)) for label in page.labels)
            elif page.labels:
                self._write(output.labels(rows.load_rows(self.project, signal.scope, page.labels), self._width))
        if not (count or self.given["json"]):
            self._write(["No labels."])
        if more is not None:
            self.stderr.write(f"There are more: --after {more}", str)

    def do_distribution(self) -> None:
        """Labels over time."""
        signal, step = self._signal(), arguments.BUCKETS[self.given["bucket"]]
        start, end = self.given["start"], self.given["end"] or self.now
        if start >= end:
            raise CommandError("--from: the time must begin before it ends.", returncode=USAGE)
        wanted = LabelFilter(version=self.given["signal_version"])
        time_range = TimeRange(timerange.CUSTOM, timerange.floor(start, step), timerange.ceil(end, step), step)
        counts = sums(signal=signal).matching(wanted).over_time(time_range)[signal.pk]
        versions = summaries.versions(signal)
        given = Counter(value for _, value in counts)
        values = [outcome.value for outcome in summaries.outcomes(signal, summaries.sentiments_of(versions), given)]
        record = serializers.of_distribution(counts, versions)
        self._print(record, partial(output.distribution, counts, values, step))

    def _project(self) -> Project:
        slug, projects = self.given["project"], Project.objects.order_by("slug")
        found = list(projects.filter(slug=slug) if slug else projects[:2])
        if len(found) == 1:
            return found[0]
        known = ", ".join(projects.values_list("slug", flat=True)[:MAX_NAMED]) or "none yet"
        said = f"There is no project {slug}." if slug else "Say which project."
        raise CommandError(f"{said} --project takes one of: {known}.", returncode=USAGE)

    def _agent(self) -> Agent:
        agents = self.project.agents.order_by("identity")
        agent = agents.filter(identity=self.given["agent"]).first()
        if agent is None:
            known = ", ".join(agents.values_list("identity", flat=True)[:MAX_NAMED]) or "none yet"
            said = f"The project {self.project.slug} has no agent {self.given['agent']}. --agent takes one of: {known}."
            raise CommandError(plain(said))
        return agent

    def _signal(self) -> Signal:
        pk = self.given["signal"]
        signal = Signal.objects.for_project(self.project).for_list().filter(pk=pk).first()
        if signal is None:
            raise CommandError(f"The project {self.project.slug} has no signal {pk}. See {command('signals list')}.")
        return signal

    def _changed(self, signal: Signal) -> Definition:
        """What it asks, with what is given in its place."""
        if self.given["scope"] not in {None, signal.scope}:
            said = f"--scope: {signal.name} is about {signal.scope}s for life. Make another signal with create."
            raise CommandError(plain(said))
        return arguments.question(self.given, _asked(signal).definition)

    def _range(self) -> TimeRange:
        return timerange.named(self.given.get("range", timerange.DEFAULT), self.now)

    def _summary(self, signal: Signal, time_range: TimeRange) -> Summary:
        return summaries.listed([signal], time_range, self.now)[0]

    def _record(self, signal: Signal, summary: Summary) -> Record:
        today = spent_today(Account(self.project.pk, signal.pk), self.now)
        version = serializers.of_version(signal.current_version)
        return {
            "signal": serializers.of_summary(summary),
            "currentVersion": version,
            "spending": serializers.of_today(today),
        }

    def _pages(self, signal: Signal) -> Iterator[Page]:
        wanted, window = arguments.wanted_labels(self.given, signal), arguments.window(self.given, self.now)
        after, left = arguments.behind(self.given), self.given["limit"]
        while left is None or left > 0:
            page = labels.page(signal, wanted, window, after, min(PAGE, left or PAGE))
            yield page
            if page.more is None:
                return
            after = page.more
            left = None if left is None else left - len(page.labels)

    def _agrees(self) -> bool:
        self.stdout.write("Start it? [y/N]", ending=" ")
        self.stdout.flush()
        try:
            return input().strip().lower() in {"y", "yes"}
        except EOFError:
            return False

    def _tell(self, signal: Signal) -> None:
        number = signal.current_version.number if signal.current_version else 0
        state = "archived" if signal.archived_at else signal.state
        words = f"Signal {signal.pk}, {plain(signal.name)}, is {state}; it asks version {number}."
        self._print(self._record(signal, self._summary(signal, self._range())), lambda _: [words])

    def _tell_run(self, run: SignalRun) -> None:
        found = backfill.progress([run], self.now)
        self._print(serializers.of_run(found[0]), partial(output.runs, found))

    @property
    def _width(self) -> int | None:
        return get_terminal_size().columns if self.stdout.isatty() else None

    def _print(self, record: object, lines: Callable[[int | None], Lines]) -> None:
        """Print the one for machines or the other for people."""
        if self.given["json"]:
            self._write([json.dumps(record, indent=2)])
        else:
            self._write(lines(self._width))

    def _write(self, lines: Iterable[str]) -> None:
        for line in lines:
            self.stdout.write(line)


def _asked(signal: Signal) -> SignalVersion:
    if signal.current_version is None:
        raise CommandError(f"Signal {signal.pk} asks nothing yet. Make another one with {command('signals create')}.")
    return signal.current_version


@contextmanager
def _refused(outcome: str) -> Iterator[None]:
    """Say what the rules refuse, and at which option."""
    try:
        yield
    except ValidationError as error:
        fields = error.update_error_dict({})
        said = [
            ("" if field == NON_FIELD_ERRORS else f"{OPTIONS.get(field, '--' + field)}: ") + message
            for field, errors in fields.items()
            for message in ValidationError(errors).messages
        ]
        raise CommandError(f"{outcome}. {' '.join(said)}") from error
