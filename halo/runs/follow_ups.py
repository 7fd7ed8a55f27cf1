"""Questions about a report: further runs of its conversation, over the same traces, with what was said before."""

import json
from collections.abc import Iterator, Mapping
from datetime import datetime

from django.core.exceptions import ValidationError
from django.db import transaction

from catalyst.core.actor import SYSTEM, Actor
from halo.choices import Origin
from halo.models import Conversation, Run
from halo.models.run import MAX_PROMPT_CHARACTERS, RunQuerySet
from halo.report import instruction, parsing
from halo.report.parsing import ParsedReport
from halo.runs import requests

MAX_QUESTIONS = 50
# Of what was said before: the report, and the newest questions with their answers.
MAX_REMEMBERED = 8
MAX_ANSWER_CHARACTERS = 60_000
# What a question has in common with its report.
COPIED = (
    *("engine", "window_start", "window_end", "focus", "model_name", "span_limit", "max_depth", "max_turns"),
    *("reasoning_effort", "budget_tokens", "budget_usd", "budget_minutes"),
)
NO_ANSWERS = "Only a model answers questions, and the offline analyst wrote this report."


def of(conversation: Conversation) -> RunQuerySet:
    """The questions, the oldest first."""
    return Run.objects.filter(conversation=conversation, origin=Origin.FOLLOW_UP).order_by("pk")


def report_of(run: Run) -> Run | None:
    """The report of the conversation; None if it was deleted."""
    return run if run.origin != Origin.FOLLOW_UP else run.conversation.runs.reports().order_by("pk").first()


def why_not(report: Run) -> str:
    """Why nobody can ask about a report, in a sentence. Empty if one can."""
    if report.by_rules:
        return NO_ANSWERS
    if report.is_open:
        return "Wait until the report has ended."
    if not report.text:
        return "The report has no text that a question could be about."
    return "" if report.lists_traces else "The traces of this report have expired, so no question can be answered."


def ask(report: Run, prompt: str, now: datetime, by: Actor = SYSTEM) -> Run:
    """Queue a question about a report. Raises ValidationError, by field or for all."""
    prompt = prompt.strip()
    if problem := _problem(prompt):
        raise ValidationError({"prompt": problem})
    if problem := why_not(report):
        raise ValidationError(problem)
    model = requests.connected_model(report.agent, report.connection_id, report.model_name)
    if not model:
        raise ValidationError(f"The model {report.model_name} is not connected any more.")
    copied = {name: getattr(report, name) for name in COPIED}
    run = Run(project=report.project, agent=report.agent, connection=model.connection, prompt=prompt, **copied)
    with transaction.atomic():
        requests.take_turn(report.agent)
        _check_turn(report.conversation)
        run.conversation = report.conversation
        requests.queue(run, now, by, Origin.FOLLOW_UP)
        Conversation.objects.filter(pk=report.conversation_id).update(updated_at=now)
    return run


def _problem(prompt: str) -> str:
    if not prompt:
        return "Enter a question."
    is_long = len(prompt) > MAX_PROMPT_CHARACTERS
    return f"The question has at most {MAX_PROMPT_CHARACTERS:,} characters." if is_long else ""


def _check_turn(conversation: Conversation) -> None:
    asked = of(conversation)
    if asked.open().exists():
        raise ValidationError("The question before has no answer yet. Wait for it, or cancel it.")
    if asked.count() >= MAX_QUESTIONS:
        raise ValidationError(f"{MAX_QUESTIONS} questions were asked about this report. Run it again to ask more.")


def parsed(text: str) -> ParsedReport:
    """An answer. Findings have no place of their own in it, so a list of them stays in the text."""
    found = parsing.parse(text)
    prose = "" if found.findings else found.prose
    return ParsedReport(prose or text.strip(), signals=found.signals)


def messages_of(run: Run) -> tuple[Mapping[str, str], ...]:
    """What the engine is told: for a question, what was said before it."""
    if run.origin != Origin.FOLLOW_UP:
        return (_said("user", instruction.with_instruction(run.prompt)),)
    return (*_said_before(run), _said("user", instruction.of_question(run.prompt)))


def _said_before(run: Run) -> Iterator[Mapping[str, str]]:
    """Questions that got no answer are left out."""
    answered = run.conversation.runs.filter(pk__lt=run.pk).exclude(text="").order_by("pk")
    report = answered.exclude(origin=Origin.FOLLOW_UP).first()
    questions = answered.filter(origin=Origin.FOLLOW_UP).order_by("-pk")[:MAX_REMEMBERED]
    for earlier in (*filter(None, [report]), *reversed(questions)):
        yield _said("user", earlier.prompt)
        yield _said("assistant", _answer(earlier))


def _answer(run: Run) -> str:
    drafts = f"\n\n{json.dumps({'signals': run.signal_drafts})}" if run.signal_drafts else ""
    return run.text[:MAX_ANSWER_CHARACTERS] + drafts


def _said(role: str, content: str) -> Mapping[str, str]:
    return {"role": role, "content": content}
