"""The key of the judge and the password of its address are in no page, log or table, whatever the server says."""

import json
from base64 import b64encode
from collections.abc import Callable
from datetime import datetime, timedelta
from urllib.parse import quote

import pytest
from django.apps import apps
from django.test import Client
from django.urls import reverse

from catalyst.core.models import Project, User
from catalyst.env import env
from signals.judging import exchanges, worker
from signals.models import Exchange, Label
from tests.factories import make_agent, make_labels, make_signal
from tests.judge_server import Answer, Asked, JudgeServer, completion, error

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow]
KEY = 'sk-Mark+er/"7 é'
ASCII_KEY = 'sk-Mark+er/"7'
TRACES_OF_IT = ("sk-Mark", "sk%2DMark", b64encode(b"me:sk-Mark").decode()[:12])


def spellings(asked: Asked, secret: str) -> str:
    """What a server may echo: the header and the secret in it, in many spellings."""
    sent = asked.headers["authorization"]
    urls = [quote(secret), quote(secret, safe="")]
    escaped = [repr(sent), repr(secret), json.dumps(secret), repr(secret.encode())]
    return " | ".join([sent.partition(" ")[2], sent, secret, *urls, *escaped])


def failing(status: int) -> Callable[[str], Answer]:
    return lambda said: error(status, said)


ECHOES: dict[str, Callable[[str], Answer]] = {
    **{f"an error {status}": failing(status) for status in (400, 401, 403, 404, 429, 500)},
    "an error within a 200": lambda said: Answer({"error": {"code": 400, "message": said}}),
    "an answer that is none": completion,
    "a reason": lambda said: completion(json.dumps({"label": "no", "reason": said})),
    "another model's name": lambda said: Answer({"choices": [{"message": {"content": "x"}}], "model": said}),
    "no completion": lambda said: Answer({"oops": said}),
    "a page": lambda said: Answer(f"<html>{said}".encode()),
    "a redirect": lambda said: Answer(b"", 302, {"Location": f"https://h.example/{quote(said)}"}),
    "an encoding": lambda said: Answer(b"x", headers={"Content-Encoding": quote(said)}),
}


def everything_stored() -> str:
    rows = [row for model in apps.get_models() if model._meta.managed for row in model._default_manager.values()]
    kept = [str(exchanges.prompt_and_reply(row)) for row in Exchange.objects.all()]
    return repr(rows) + repr(kept)


@pytest.mark.parametrize("echo", ECHOES.values(), ids=ECHOES)
@pytest.mark.parametrize("in_address", [False, True], ids=["as a key", "as a password"])
def test_it_is_nowhere(
    project: Project,
    alice: User,
    client_as: Callable[[User], Client],
    judge: JudgeServer,
    now: datetime,
    echo: Callable[[str], Answer],
    in_address: bool,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    if in_address:
        monkeypatch.setattr(env, "judge_url", judge.url.replace("://", f"://me:{quote(KEY, safe='')}@"))
    else:
        monkeypatch.setattr(env, "judge_api_key", ASCII_KEY)
    judge.script = lambda asked: echo(spellings(asked, KEY if in_address else ASCII_KEY))
    signal = make_signal(make_agent(project), active_since=now)
    (label,) = make_labels(signal, project, 1, now=now)
    for minute in range(6):
        worker.run(lambda minute=minute: now + timedelta(hours=3, minutes=minute))  # type: ignore[misc]
    assert judge.asked
    assert Label.objects.get().tried_at or Label.objects.get().status in ("done", "failed")
    alice.is_staff = alice.is_superuser = True
    alice.save()
    client = client_as(alice)
    at = [project.slug, signal.pk]
    pages = [
        reverse("signals:signal-list", args=[project.slug]),
        reverse("signals:signal-detail", args=at),
        reverse("signals:label-detail", args=[*at, label.pk]),
        reverse("ops:operator"),
    ]
    shown = "".join(client.get(page).content.decode() for page in pages)
    for where, text in (("tables", everything_stored()), ("pages", shown), ("log", caplog.text)):
        assert [trace for trace in TRACES_OF_IT if trace in text] == [], where
