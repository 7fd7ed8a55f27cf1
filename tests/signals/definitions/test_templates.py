"""The built-in templates."""

from dataclasses import FrozenInstanceError

import pytest

from signals.definitions.choices import Scope, Sentiment
from signals.definitions.templates import JAILBREAK, LAZINESS, NSFW, TASK_OUTCOME, TEMPLATES, Template, template_for
from signals.models import SignalVersion

TABLE = {
    "nsfw": ("NSFW", "binary", ("yes", "no"), "span"),
    "jailbreak": ("Jailbreak attempt", "binary", ("yes", "no"), "span"),
    "laziness": ("Laziness / refusal", "binary", ("yes", "no"), "span"),
    "frustration": ("User frustration", "binary", ("yes", "no"), "span"),
    "sentiment": ("Sentiment", "string", ("positive", "neutral", "negative"), "session"),
    "task_outcome": ("Task outcome", "string", ("completed", "partial", "failed", "abandoned"), "session"),
}


def test_it_offers_the_six_of_the_table() -> None:
    offered = {key: (one.name, one.type, one.labels, one.scope) for key, one in TEMPLATES.items()}
    assert offered == TABLE


@pytest.mark.parametrize("template", TEMPLATES.values(), ids=lambda template: template.key)
def test_it_fits_the_models(template: Template) -> None:
    assert template.type in SignalVersion.Type
    assert template.scope in Scope
    assert 2 <= len(template.labels) <= 10
    assert set(template.sentiments) == set(template.labels)
    assert set(template.sentiments.values()) <= set(Sentiment.values)
    assert "positive" in template.sentiments.values()
    assert template.description.endswith(".")


@pytest.mark.parametrize("template", TEMPLATES.values(), ids=lambda template: template.key)
def test_it_tells_the_judge_how_to_decide_each_label(template: Template) -> None:
    for label in template.labels:
        assert f'"{label}"' in template.prompt
    assert "{" not in template.prompt


def test_it_knows_a_template_that_a_form_sent_back() -> None:
    sent = f"  {TASK_OUTCOME.prompt.replace('\n', '\r\n')}\r\n"
    assert template_for(sent, ["failed", "completed", "partial", "abandoned"]) is TASK_OUTCOME


def test_it_knows_an_edited_prompt_from_a_template() -> None:
    assert template_for(f"{NSFW.prompt} And be strict.", NSFW.labels) is None
    assert template_for(TASK_OUTCOME.prompt, ["completed", "failed"]) is None


@pytest.mark.parametrize("template", [JAILBREAK, LAZINESS], ids=lambda template: template.key)
def test_it_knows_an_earlier_wording(template: Template) -> None:
    (earlier,) = template.earlier
    assert len(earlier) < len(template.prompt)
    assert template_for(earlier, template.labels) is template


def test_it_can_not_be_changed() -> None:
    with pytest.raises(FrozenInstanceError):
        NSFW.prompt = "anything"  # type: ignore[misc]
    with pytest.raises(TypeError):
        NSFW.sentiments["yes"] = "positive"  # type: ignore[index]
