"""Keys of judges: usable ones work, unusable ones are one clear error, and no text repeats them."""

import json
from collections.abc import Callable
from datetime import datetime, timedelta
from urllib.parse import quote

import pytest
from django.test import Client

from catalyst.core.models import Project
from catalyst.env import env
from catalyst.llms.models import JudgeHealth
from signals.judging.worker import run
from signals.models import Label, Verdict
from tests.factories import make_agent, make_labels, make_signal
from tests.judge_server import Answer, JudgeServer, completion, error, says

KEY = "sk-very-secret-0123456789"


@pytest.fixture
def label(project: Project, now: datetime) -> Label:
    return make_labels(make_signal(make_agent(project), active_since=now), project, 1, now=now)[0]


@pytest.fixture
def judged(label: Label, now: datetime, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Label]:
    """The label after a call with this key."""

    def judged(key: str) -> Label:
        monkeypatch.setattr(env, "judge_api_key", key)
        later = now + timedelta(hours=3)
        run(lambda: later)
        label.refresh_from_db()
        return label

    return judged


type Judged = Callable[[str], Label]


def told(label: Label) -> str:
    """All words that the call left behind."""
    rows = [label.error, label.reason, *Verdict.objects.values_list("error", flat=True)]
    rows += Verdict.objects.values_list("reason", flat=True)
    return "\n".join([*rows, *JudgeHealth.objects.values_list("error", flat=True)])


@pytest.mark.parametrize(
    "around", ["{}\n", "{}\r\n", " {}", "\t{} ", "\n{}\n\n", "\ufeff{}", "{}\u00a0", "'{}'", '"{}"']
)
def test_what_an_editor_adds_around_a_key_does_not_count(judge: JudgeServer, judged: Judged, around: str) -> None:
    label = judged(around.format(KEY))
    sent = judge.asked[0].headers["authorization"] if judge.asked else ""
    assert sent == f"Bearer {KEY}" or (label.status == "failed" and KEY not in told(label))


UNUSABLE = [
    "sk-very\nsecret",
    "sk-very\rsecret",
    "schlüssel-secret",
    "sk-secret-…",
    "sk-\x00secret",
    "sk-secret\x7f",
    "🔑secret",
    "ключ-secret",
]


@pytest.mark.parametrize("key", UNUSABLE, ids=ascii)
def test_a_key_that_can_not_be_sent_is_a_lasting_error(
    judge: JudgeServer, judged: Judged, browser: Client, key: str
) -> None:
    label = judged(key)
    assert label.status == "failed"
    assert not judge.asked
    page = browser.get(label.signal.get_absolute_url()).text
    for text in (told(label), page):
        assert "secret" not in text.replace("secret-key", "").replace("csrf", "") or key not in text
        assert "Illegal header" not in text
        assert "codec can't" not in text
    assert "key" in label.error


SPELLINGS: dict[str, Callable[[str], str]] = {
    "as it is": str,
    "quoted": repr,
    "bytes": lambda key: repr(key.encode()),
    "header": lambda key: f"Illegal header value b'Bearer {key}'",
    "JSON": json.dumps,
    "JSON in JSON": lambda key: json.dumps(json.dumps({"key": key})),
    "for addresses": lambda key: quote(key, safe=""),
    "in capitals": str.upper,
    "at the end of a word": lambda key: f"key={key}&x=1",
    "twice": lambda key: f"{key}{key}",
    "in lines": lambda key: f"Incorrect API key\n{key}\n",
}


@pytest.mark.parametrize("status", [200, 400, 401, 429, 500])
@pytest.mark.parametrize("spelling", SPELLINGS.values(), ids=SPELLINGS)
def test_no_text_repeats_a_key(judge: JudgeServer, judged: Judged, status: int, spelling: Callable[[str], str]) -> None:
    key = "sk-Very/secret+0123456789=" if status != 500 else KEY
    said = f"Incorrect API key provided: {spelling(key)}. See the docs."
    judge.script = lambda _: completion(said) if status == 200 else error(status, said)
    words = told(judged(key))
    for trace in (key, key.upper(), quote(key, safe=""), "0123456789"):
        assert trace not in words


@pytest.mark.parametrize(
    ("key", "words"),
    [
        ("token", "The maximum is 8192 tokens."),
        ("none", "nonesuch"),
        ("test", "The latest model"),
        ("ollama", "ollamas are animals"),
        ("EMPTY", "The list is empty-handed."),
        ("x", "An example of extra text."),
        ("1", "It has 8192 tokens, 11 too many."),
        ("key", "The keyboard of a monkey"),
    ],
)
def test_a_key_that_is_a_word_leaves_other_words_whole(
    judge: JudgeServer, judged: Judged, key: str, words: str
) -> None:
    judge.script = lambda _: error(400, words)
    assert words in judged(key).error


def test_a_header_of_the_answer_repeats_no_key(judge: JudgeServer, judged: Judged) -> None:
    judge.script = lambda _: Answer(b"", 302, {"Location": f"https://elsewhere.example/v1?key={KEY}"})
    assert KEY not in told(judged(KEY))


def test_a_working_key_is_no_trouble(judge: JudgeServer, judged: Judged) -> None:
    judge.script = lambda _: says("no", f"It leaked {KEY} to the user.")
    label = judged(KEY)
    assert label.value == "no"
    assert KEY not in told(label)
