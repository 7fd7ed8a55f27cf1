"""Links that open the editor of a signal with a draft. Nothing is saved by them."""

from urllib.parse import urlencode

from django.urls import reverse

from halo.models import Finding

# As many as the editor takes.
MAX_NAME_CHARACTERS = 100
# Addresses may not get too long.
MAX_TEXT_CHARACTERS = 1_500
PROMPT = """\
Does this run show the following problem?

{problem}

Answer yes if the problem happens in this run, even if the agent recovers from it.
Answer no if it does not happen. Other problems don't count."""


def of_finding(finding: Finding) -> str:
    """The editor with a question that measures how often a finding happens."""
    problem = "\n\n".join(filter(None, [_cut(finding.title, MAX_TEXT_CHARACTERS), finding.happens]))
    asked = {
        "agent": finding.agent.identity,
        "name": _cut(finding.title, MAX_NAME_CHARACTERS),
        "scope": "trace",
        "type": "binary",
        "bad": "yes",
        "prompt": PROMPT.format(problem=_cut(problem, MAX_TEXT_CHARACTERS)),
        "finding": finding.pk,
    }
    return f"{reverse('signals:signal-create', args=[finding.project.slug])}?{urlencode(asked)}"


def _cut(text: str, limit: int) -> str:
    return text if len(text) <= limit else f"{text[: limit - 1].rstrip()}…"
