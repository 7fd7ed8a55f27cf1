"""Sessions as targets."""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import override

from django.conf import settings
from django.db.models import Exists, OuterRef, Q
from django.db.models.lookups import GreaterThanOrEqual
from django.urls import reverse

from catalyst.core.models import Project
from catalyst.pagination import Cursor
from signals.definitions.choices import Scope
from signals.definitions.judge_view import JudgeView
from signals.models import Job, Label
from signals.models.label import LabelQuerySet
from signals.targets import inputs
from signals.targets.base import Chunk, Link, SettledTarget, Targets, cursor_of
from signals.targets.inputs import JudgeInput, Part, Texts
from signals.targets.pause import Pause
from signals.targets.target import Target, of_session
from traces.facts import facts_of_sessions
from traces.filters import Filter
from traces.models import Session, Trace, Unsettled
from traces.models.trace import SessionQuerySet, of_sessions
from traces.records import SpanRecord
from traces.store.reads import spans_of
from traces.transcripts.transcript import session_transcript, trace_transcript

MAX_TURNS = 200


@dataclass(frozen=True, slots=True)
class _Turns:
    count: int = 0
    read: Sequence[Trace] = ()


class SessionTargets(Targets):
    __slots__ = ()
    scope = Scope.SESSION
    settling = Session

    @override
    def count(self) -> int:
        return self._sessions().count()

    @override
    def newest(self, limit: int) -> list[Target]:
        return [of_session(session) for session in self._sessions().newest()[:limit]]

    @override
    def _with_keys(self, keys: Sequence[str]) -> Iterator[Target]:
        # PostgreSQL takes no NUL, so no session has it in its key.
        yield from map(of_session, self._sessions().filter(key__in=[key for key in keys if "\0" not in key]))

    @override
    def _next_chunk(self, after: Cursor | None) -> Chunk | None:
        # By primary key: the times of a session change while it goes on.
        behind = self._sessions().filter(pk__lt=after.id) if after else self._sessions()
        sessions = list(behind.order_by("-pk")[: self.rows_at_once])
        return Chunk(list(map(of_session, sessions)), cursor_of(sessions[-1])) if sessions else None

    def _sessions(self) -> SessionQuerySet:
        project_id = self.agent.project_id
        of_agent = Session.objects.filter(project_id=project_id, agent=self.agent).with_traces()
        began = of_agent.filter(start_time__gte=self.start, start_time__lt=self.end, end_time__gte=self.start)
        return began.filter(of_sessions(project_id, self.traffic_filter), self._not_live())

    @override
    @classmethod
    def settled(cls, rows: Sequence[Unsettled], filters: Collection[Filter]) -> Iterator[SettledTarget]:
        waiting = {row.target_id: row for row in rows if row.scope == Scope.SESSION}
        sessions = list(Session.objects.filter(id__in=waiting))
        facts = facts_of_sessions(sessions, filters)
        for session in sessions:
            pause = Pause(session, waiting[session.pk])
            yield SettledTarget(
                of_session(session), session.agent_id, session.last_received_at, facts[session.pk], pause
            )

    @override
    @classmethod
    def unsettled(cls, quiet: timedelta | None) -> Q:
        # As `Pause` has it, in one semi-join, which reads the queue instead of all sessions.
        quiet = quiet or settings.SETTLE_SESSION
        received_at = OuterRef("last_received_at")
        later = Q(looked_at__lt=received_at + quiet) & Q(GreaterThanOrEqual(OuterRef("end_time"), received_at - quiet))
        rows = Unsettled.objects.filter(Q(looked_at=None) | later, scope=cls.scope, target_id=OuterRef("pk"))
        return Q(Exists(rows))

    @override
    @classmethod
    def passing(cls, labels: Sequence[Label], wanted: Filter) -> set[str]:
        project_id = labels[0].project_id
        sessions = Session.objects.filter(project_id=project_id, key__in=[label.session_key for label in labels])
        return set(sessions.filter(of_sessions(project_id, wanted)).values_list("key", flat=True))

    @override
    @classmethod
    def load(cls, jobs: Sequence[Job]) -> Iterator[tuple[Job, Callable[[], JudgeInput | None]]]:
        sessions = inputs.sessions_of(jobs)
        turns = _turns_of(sessions.values())
        spans = spans_of([trace for of_session in turns.values() for trace in of_session.read])
        for job in jobs:
            session = sessions.get((job.project_id, job.session_key))
            if session is None:
                yield job, inputs.not_stored
            else:
                yield job, partial(_input, session, turns[session.pk], spans, job.version.judge_view)

    @override
    @classmethod
    def links(cls, project: Project, jobs: Sequence[Job]) -> Mapping[str, Link]:
        stored = project.sessions.filter(key__in={job.session_key for job in jobs}).for_list(project.traces.all())
        rows = stored.values_list("key", "pk", "opening")  # type: ignore[misc]
        return {
            key: Link(opening or "", reverse("traces:session-detail", args=[project.slug, pk]))
            for key, pk, opening in rows
        }

    @override
    @classmethod
    def id_of(cls, job: Job) -> str:
        return job.session_key

    @override
    @classmethod
    def labels_about(cls, project: Project, target: Target) -> LabelQuerySet:
        return Label.objects.for_sessions(project, [target.session_key])

    @override
    @classmethod
    def of_outer_trace(cls, labels: LabelQuerySet) -> LabelQuerySet:
        return _with_key(labels, "session__key")

    @override
    @classmethod
    def conditions(cls, project_id: int, labels: LabelQuerySet) -> tuple[Q, Q]:
        sessions = Q(Exists(_with_key(labels, "key")))
        return Q(session__in=Session.objects.filter(sessions, project=project_id)), sessions


def _with_key(labels: LabelQuerySet, outer: str) -> LabelQuerySet:
    # The index on session keys leaves out the empty ones.
    of_sessions = labels.exclude(session_key="")
    return of_sessions.filter(project_id=OuterRef("project_id"), session_key=OuterRef(outer))


def _turns_of(sessions: Iterable[Session]) -> dict[int, _Turns]:
    by_session: dict[int, list[Trace]] = {session.pk: [] for session in sessions}
    for trace in Trace.objects.filter(session_id__in=by_session).in_order() if by_session else ():
        by_session[trace.session_id or 0].append(trace)
    return {pk: _Turns(len(traces), _shown(traces)) for pk, traces in by_session.items()}


def _shown(traces: Sequence[Trace]) -> list[Trace]:
    return inputs.within(traces, MAX_TURNS, lambda _: 1, lambda trace: trace.error_count > 0)


def _input(session: Session, turns: _Turns, stored: Mapping[int, Sequence[SpanRecord]], view: JudgeView) -> JudgeInput:
    parts = [Part(trace, stored[trace.pk], inputs.readable(stored[trace.pk])) for trace in turns.read]
    texts = Texts(parts)
    transcripts = (trace_transcript(view.spans(part.spans), texts.of(part)) for part in parts)
    transcript = view.narrowed(session_transcript(transcripts))
    spans = [span for part in parts for span in part.spans]
    hidden = turns.count - len(turns.read)
    left_out = f"{hidden:,} of {turns.count:,} turns" if hidden else ""
    return JudgeInput(transcript, spans, session.revision, left_out)
