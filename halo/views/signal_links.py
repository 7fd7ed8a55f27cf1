"""Drafts of signals, with links that open the editor with one. Nothing is saved by them."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from django.urls import reverse

from catalyst import formats
from halo.models import Finding, Run

# Of the offline analyst: of its worst findings.
MAX_DRAFTS = 5
# As many as the editor takes.
MAX_NAME_CHARACTERS = 100
# Addresses may not get too long.
MAX_TEXT_CHARACTERS = 1_500
PROMPT = """\
Does this run show the following problem?

{problem}

Answer yes if the problem happens in this run, even if the agent recovers from it.
Answer no if it does not happen. Other problems don't count."""


@dataclass(frozen=True, slots=True)
class Draft:
    """A signal that the report suggests. `href`: the editor with it. `labels`: none for yes or no."""

    name: str
    scope: str
    prompt: str
    why: str
    href: str
    labels: Sequence[str] = ()


def of_run(run: Run) -> list[Draft]:
    """The drafts of a model."""
    return [_draft(run, each) for each in run.signal_drafts]


def _draft(run: Run, stored: Mapping[str, Any]) -> Draft:
    name, scope, prompt, why = (str(stored.get(key, "")) for key in ("name", "scope", "prompt", "why"))
    labels = {str(each["value"]): bool(each["is_bad"]) for each in stored.get("labels", ())}
    asked: dict[str, Any] = {"agent": run.agent.identity, "name": name, "scope": scope, "prompt": prompt}
    if labels:
        bad = [value for value, is_bad in labels.items() if is_bad]
        asked |= {"type": "string", "label": list(labels), "negative": bad}
    else:
        asked |= {"type": "binary", "bad": "yes"}
    return Draft(name, scope, prompt, why, _editor(run.project.slug, asked), list(labels))


def of_findings(findings: Iterable[Finding]) -> list[Draft]:
    """What the offline analyst suggests: to measure the worst that it found."""
    return [
        Draft(_name(finding), "trace", _prompt(finding), _why(finding), of_finding(finding))
        for finding in list(findings)[:MAX_DRAFTS]
    ]


def _why(finding: Finding) -> str:
    if finding.trace_count is None:
        return f"Finding {finding.rank}."
    share = formats.percent(finding.trace_count, finding.trace_total)
    return f"Finding {finding.rank}: {share} of the traces." if share else f"Finding {finding.rank}."


def of_finding(finding: Finding) -> str:
    """The editor with a question that measures how often a finding happens."""
    asked = {
        "agent": finding.agent.identity,
        "name": _name(finding),
        "scope": "trace",
        "type": "binary",
        "bad": "yes",
        "prompt": _prompt(finding),
        "finding": finding.pk,
    }
    return _editor(finding.project.slug, asked)


def _name(finding: Finding) -> str:
    return _cut(finding.title, MAX_NAME_CHARACTERS)


def _prompt(finding: Finding) -> str:
    problem = "\n\n".join(filter(None, [_cut(finding.title, MAX_TEXT_CHARACTERS), finding.happens]))
    return PROMPT.format(problem=_cut(problem, MAX_TEXT_CHARACTERS))


def _editor(project: str, asked: Mapping[str, Any]) -> str:
    return f"{reverse('signals:signal-create', args=[project])}?{urlencode(asked, doseq=True)}"


def _cut(text: str, limit: int) -> str:
    return text if len(text) <= limit else f"{text[: limit - 1].rstrip()}…"
