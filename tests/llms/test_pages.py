"""Settings, Models: owners connect models in the browser."""

from collections.abc import Callable, Iterator
from datetime import datetime
from urllib.parse import quote, urlencode

import pytest
from django.test import Client

from catalyst.core.actor import SYSTEM
from catalyst.core.models import Project, User
from catalyst.env import env
from catalyst.ip_ranges import AllowedTargets
from catalyst.llms import connections
from catalyst.llms.models import ModelConnection
from signals import operations
from signals.definitions.definition import Definition
from tests.factories import make_agent, make_connection, make_signal
from tests.judge_server import JudgeServer, error, refusing_schemas, says
from tests.page import Page

pytestmark = pytest.mark.django_db

PAGE = "/p/default/settings/models/"
EDITOR = "/p/default/signals/new/"
HTMX = {"HX-Request": "true"}
KEY = "sk-very-secret-1234"
FILLED = {
    "preset": "openai",
    "name": "Team",
    "base_url": "https://models.invalid/v1",
    "key": KEY,
    "default_model": "gpt-4o-mini",
    "allowed_models": "gpt-4o\nown",
    "prices": "own 0.15 0.60",
    "headers": "X-Token: tenant-token-5678",
    "concurrency": "4",
    "requests_per_minute": "",
}


@pytest.fixture
def browser(client_as: Callable[[User], Client], alice: User) -> Client:
    """The owner's browser."""
    return client_as(alice)


@pytest.fixture
def connection(project: Project, now: datetime) -> ModelConnection:
    return make_connection(project, key=KEY, now=now)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[JudgeServer]:
    monkeypatch.setattr(env, "allowed_private_targets", AllowedTargets.parse(["127.0.0.0/8"]))
    with JudgeServer(lambda _: says("yes")) as server:
        yield server


def test_a_provider_fills_the_form(browser: Client, project: Project) -> None:
    page = Page(browser.get(PAGE).text)
    assert "No model is connected." in page.text
    form = Page(browser.get(page.main.link("Anthropic")).text)
    assert form.field("Base URL").value == "https://api.anthropic.com/v1"
    assert form.field("Name").value == "Anthropic"
    assert "CATALYST_ALLOWED_PRIVATE_TARGETS" in Page(browser.get(f"{PAGE}new/?provider=ollama").text).text


def test_who_came_from_an_editor_is_led_back_to_it(browser: Client, project: Project, now: datetime) -> None:
    make_agent(project)
    editor = Page(browser.get(f"{EDITOR}?agent=agent").text)
    form = Page(browser.get(editor.link("Add a model connection")).text)
    saved = browser.post(form.link("OpenAI"), FILLED)
    page = Page(browser.get(saved.headers["Location"]).text)
    assert page.main.link("Continue where you left off") == f"{EDITOR}?agent=agent"


@pytest.mark.parametrize("elsewhere", ["https://evil.example/", "//evil.example/", "/\\evil.example/", "javascript:1"])
def test_nobody_is_led_to_another_server(browser: Client, project: Project, elsewhere: str, now: datetime) -> None:
    saved = browser.post(f"{PAGE}new/?{urlencode({'next': elsewhere})}", FILLED)
    page = Page(browser.get(f"{saved.headers['Location']}?{urlencode({'next': elsewhere})}").text)
    assert not page.main.has_link("Continue where you left off")


def test_it_connects_a_model_and_never_shows_its_secrets(browser: Client, project: Project) -> None:
    response = browser.post(f"{PAGE}new/?provider=openai", FILLED | {"then": "test"})
    connection = project.model_connections.get()
    assert response.headers["Location"] == f"{PAGE}{connection.pk}/?test=1"
    assert (connection.key.reveal(), connection.reveal_headers()) == (KEY, {"X-Token": "tenant-token-5678"})
    assert connection.allowed_models == ["gpt-4o-mini", "gpt-4o", "own"]
    assert connection.prices == {"own": ["0.15", "0.6"]}
    assert connection.created_by_name == "alice"
    for path in (PAGE, f"{PAGE}{connection.pk}/", "/p/default/settings/audit/"):
        text = browser.get(path).text
        assert KEY not in text
        assert "tenant-token" not in text
    row = Page(browser.get(PAGE).text).table().row(0)
    assert row["Address"] == "https://models.invalid/v1"
    assert row["State"] == "key stored"


def test_it_shows_every_error_beside_its_field(browser: Client, project: Project) -> None:
    wrong = {"base_url": "http://10.0.0.5/v1", "prices": "other 1 2", "headers": "Host: x", "key": "sk-…"}
    response = browser.post(f"{PAGE}new/", FILLED | wrong)
    assert response.status_code == 422
    errors = Page(response.text).text
    assert "10.0.0.5 is an address that is not public." in errors
    assert "The connection does not allow the model other." in errors
    assert "sk-" not in response.text
    assert not project.model_connections.exists()


def test_an_empty_key_keeps_the_stored_one_unless_the_host_changes(
    browser: Client, connection: ModelConnection
) -> None:
    path = f"{PAGE}{connection.pk}/"
    filled = FILLED | {"key": "", "headers": ""}
    browser.post(path, filled | {"name": "Renamed"})
    connection.refresh_from_db()
    assert (connection.name, connection.key.reveal()) == ("Renamed", KEY)
    response = browser.post(path, filled | {"base_url": "https://other.invalid/v1"}, follow=True)
    connection.refresh_from_db()
    assert not connection.has_secrets
    assert "Its key and headers were deleted" in Page(response.text).text


def test_a_test_shows_latency_and_what_is_supported(
    browser: Client, project: Project, server: JudgeServer, now: datetime
) -> None:
    server.script = refusing_schemas(lambda _: says("yes"))
    connection = make_connection(project, url=server.url, model="own", now=now)
    page = Page(browser.post(f"{PAGE}{connection.pk}/test/", headers=HTMX).text)
    assert "scripted-judge-1 answered in" in page.text
    assert "not supported: answers are read from text" in page.text
    assert "not known: budgets in dollars can't hold." in page.text
    server.script = lambda _: error(401, f"Wrong key {KEY}.")
    make_connection(project, "Other", url=server.url, key=KEY, now=now)
    whole = Page(browser.post(f"{PAGE}{ModelConnection.objects.get(name='Other').pk}/test/").text)
    assert whole.is_whole
    assert "The test failed." in whole.text
    assert KEY not in whole.text


def test_the_connection_of_the_environment_comes_first(
    browser: Client, connection: ModelConnection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(env, "judge_url", "https://user:pass-1234@judge.invalid/v1")
    monkeypatch.setattr(env, "judge_model", "gpt-4o")
    response = browser.get(PAGE)
    rows = Page(response.text).table().rows
    assert [row["State"] for row in rows] == ["read-only", "key stored"]
    assert rows[0]["Address"] == "https://judge.invalid/v1"
    assert "pass-1234" not in response.text


def test_deleting_names_the_signals_that_stop(browser: Client, connection: ModelConnection, project: Project) -> None:
    path = f"{PAGE}{connection.pk}/"
    unaware = Page(browser.get(path).text).form(f"{path}delete/").filled
    make_signal(make_agent(project), connection="Team")
    response = browser.post(f"{path}delete/", unaware, follow=True)
    assert "Without it these stop: Refund wanted." in Page(response.text).text
    page = Page(browser.get(path).text)
    assert "Delete and stop 1 signal" in page.buttons
    assert page.main.link("Refund wanted")
    filled = page.form(f"{path}delete/").filled
    assert browser.post(f"{path}delete/", filled).headers["Location"] == PAGE
    assert browser.get(path).status_code == 404


def test_a_revoked_key_is_shown(browser: Client, connection: ModelConnection) -> None:
    path = f"{PAGE}{connection.pk}/"
    assert browser.post(f"{path}revoke/").headers["Location"] == path
    assert Page(browser.get(PAGE).text).table().row(0)["State"] == "Key revoked"
    assert "Labels wait until you enter a new one." in Page(browser.get(path).text).text
    browser.post(path, FILLED)
    assert Page(browser.get(PAGE).text).table().row(0)["State"] == "key stored"


def test_a_signal_chooses_connection_and_model(
    browser: Client, connection: ModelConnection, project: Project, now: datetime
) -> None:
    make_agent(project)
    path = f"{PAGE}{connection.pk}/"
    browser.post(path, FILLED)
    form = Page(browser.get(EDITOR).text)
    chosen = form.field("Judge model")
    assert chosen.value == f"{connection.pk}:gpt-4o-mini"
    options = form.choice("Judge model").options
    assert list(options) == ["Offline judge (rules), until this instance has a model", "gpt-4o-mini", "gpt-4o", "own"]
    filled = {"name": "Own", "scope": "trace", "type": "binary", "prompt": "Is it?", "sample_rate": "100"}
    filled |= {"agent": str(project.agents.get().pk), "judge_model": f"{connection.pk}:own"}
    assert "of the connection Team" in Page(browser.post("/p/default/signals/judge/", filled).text).text
    assert browser.post(EDITOR, filled).status_code == 302
    version = project.signals.get().current_version
    assert version is not None
    assert (version.connection, version.judge_model) == (connection, "own")
    edited = Page(browser.get(f"/p/default/signals/{version.signal_id}/edit/").text)
    assert edited.field("Judge model").value == f"{connection.pk}:own"
    assert "own (Team)" in Page(browser.get(f"/p/default/signals/{version.signal_id}/").text).text


def test_an_edit_of_a_signal_whose_connection_is_gone_asks_for_another(
    browser: Client, connection: ModelConnection, project: Project, now: datetime
) -> None:
    signal = make_signal(make_agent(project), connection="Team")
    operations.publish_version(signal, Definition("binary", "Else?", 100, connection="Team"))
    connections.delete(connection, stops_users=True, by=SYSTEM, now=now)
    path = f"/p/default/signals/{signal.pk}/edit/"
    page = Page(browser.get(path).text)
    assert "The model connection Team was deleted." in page.text
    filled = page.form(f"{path}?").filled
    response = browser.post(path, filled | {"prompt": "New?"})
    assert response.status_code == 422
    assert "There is no model connection Team. Choose another one." in Page(response.text).text
    assert browser.post(path, filled | {"prompt": "New?", "judge_model": ""}).status_code == 302


def test_owners_are_led_to_models_where_a_prompt_has_no_judge(browser: Client, project: Project) -> None:
    make_agent(project)
    headers = HTMX | {"HX-Current-URL": f"http://testserver{EDITOR}?range=7d"}
    judged = Page(browser.post("/p/default/signals/judge/", {"prompt": "My own?"}, headers=headers).text)
    assert judged.link("Add a model connection") == f"{PAGE}new/?next={quote(f'{EDITOR}?range=7d', safe='')}"
