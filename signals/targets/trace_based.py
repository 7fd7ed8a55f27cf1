"""The common base of traces and spans as targets."""

from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import timedelta
from functools import partial
from typing import override

from django.db.models import Exists, OuterRef, Q
from django.urls import reverse

from catalyst.core.models import Project
from signals.definitions.judge_view import JudgeView
from signals.models import Job, Label
from signals.models.label import LabelQuerySet
from signals.targets import inputs
from signals.targets.base import Link, Targets
from signals.targets.inputs import JudgeInput, Part, Texts
from signals.targets.target import Target
from traces.models import Trace, Unsettled
from traces.models.span import hex_span_id
from traces.records import SpanRecord
from traces.store.reads import spans_of


class TraceBasedTargets(Targets):
    __slots__ = ()
    settling = Trace

    @override
    @classmethod
    def unsettled(cls, quiet: timedelta | None) -> Q:
        return Q(Exists(Unsettled.objects.filter(scope=cls.scope, target_id=OuterRef("pk"))))

    @override
    @classmethod
    def load(cls, jobs: Sequence[Job]) -> Iterator[tuple[Job, Callable[[], JudgeInput | None]]]:
        traces = inputs.traces_of(jobs)
        spans = spans_of(list(traces.values()))
        parts: dict[tuple[int, str], Part] = {}
        for job in jobs:
            trace = traces.get((job.project_id, job.trace_id))
            part = cls._part(job, trace, spans[trace.pk]) if trace else None
            if part is not None:
                parts[job.project_id, job.target_key] = part
        texts = Texts(parts.values())
        for job in jobs:
            part = parts.get((job.project_id, job.target_key))
            if part is None:
                yield job, inputs.not_stored
            else:
                yield job, partial(cls._input, part, texts, job.version.judge_view)

    @classmethod
    @abstractmethod
    def _part(cls, job: Job, trace: Trace, spans: Sequence[SpanRecord]) -> Part | None:
        """Returns None if the target is no longer stored."""

    @classmethod
    @abstractmethod
    def _input(cls, part: Part, texts: Texts, view: JudgeView) -> JudgeInput: ...

    @override
    @classmethod
    def links(cls, project: Project, jobs: Sequence[Job]) -> Mapping[str, Link]:
        stored = project.traces.filter(trace_id__in={job.trace_id for job in jobs if job.trace_id})
        titles = {pk: preview or name for pk, preview, name in stored.values_list("trace_id", "input_preview", "name")}
        root = reverse("traces:trace-list", args=[project.slug])
        links: dict[str, Link] = {}
        for job in jobs:
            if job.trace_id in titles:
                span = "" if job.span_id is None else f"?span={hex_span_id(job.span_id)}"
                links[job.target_key] = Link(titles[job.trace_id], f"{root}{job.trace_id.hex}/{span}")
        return links

    @override
    @classmethod
    def id_of(cls, job: Job) -> str:
        return job.target_key.rpartition(":")[2]

    @override
    @classmethod
    def labels_about(cls, project: Project, target: Target) -> LabelQuerySet:
        if target.trace_id is None:
            return Label.objects.none()
        return Label.objects.for_trace(project, target.trace_id).filter(span_id=target.span_id)

    @override
    @classmethod
    def of_outer_trace(cls, labels: LabelQuerySet) -> LabelQuerySet:
        return labels.filter(project_id=OuterRef("project_id"), trace_id=OuterRef("trace_id"))

    @override
    @classmethod
    def conditions(cls, project_id: int, labels: LabelQuerySet) -> tuple[Q, Q]:
        traces = Q(Exists(cls.of_outer_trace(labels)))
        return traces, Q(Exists(Trace.objects.filter(traces, session=OuterRef("pk"))))
