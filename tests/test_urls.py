"""Who gets what from every URL. A new URL needs a row here, so that nobody forgets to decide.

Columns are the answers to the owner, a member, a viewer, an outsider and somebody who is not signed in.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest
from django.db import transaction
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver, reverse
from django.utils import timezone

from catalyst.core import operations
from catalyst.core.actor import Actor
from catalyst.core.models import Project, User
from signals.judging import exchanges
from signals.judging.exchanges import PromptAndReply
from signals.operations import draft_version
from signals.runs import backfill, signal_tests
from tests.factories import (
    make_agent,
    make_alert,
    make_channel,
    make_citation,
    make_connection,
    make_finding,
    make_issue,
    make_labels,
    make_run,
    make_session,
    make_signal,
    make_verdict,
)
from tests.halo.schedules.definitions import make_schedule
from tests.page import Page
from tests.pictures import add_picture
from tests.rows import stored_rows
from traces.models.span import hex_span_id

pytestmark = pytest.mark.slow

type Things = dict[str, dict[str, Any]]

PEOPLE = ("owner", "member", "viewer", "outsider", "anonymous")
INSIDERS = ("member", "viewer")
SLOW = pytest.mark.slow


@dataclass(frozen=True, slots=True)
class Row:
    """Statuses for GET and for an empty POST, and what the URL is about (a key of `things`)."""

    get: str
    post: str
    about: str = ""

    def status(self, method: str, who: str) -> int:
        """The status that somebody gets."""
        return int(getattr(self, method).split()[PEOPLE.index(who)])


LOOK = "200 200 200 404 302"
EDITOR_LOOK = "200 200 403 404 302"
OWNER_LOOK = "200 403 403 404 302"
ONLY_GET = "405 405 405 404 302"
# Who opens the address of a form gets the page above it.
ONLY_POST = "302 302 302 404 302"
EDITOR_DO = "302 302 403 404 302"
EDITOR_WRONG = "422 422 403 404 302"
OWNER_WRONG = "422 403 403 404 302"
OWNER_DO = "302 403 403 404 302"
OWN_TEST_LOOK = "200 404 403 404 302"  # the owner has started it
OWN_TEST_DO = "302 404 403 404 302"
OTLP = Row("405 405 405 405 405", "401 401 401 401 401")
SIGNAL_DO = Row(ONLY_POST, EDITOR_DO, "signal")
ALERT_DO = Row(ONLY_POST, EDITOR_DO, "alert")
ISSUE_DO = Row(ONLY_POST, EDITOR_DO, "issue")
ISSUE_WRONG = Row(ONLY_POST, EDITOR_WRONG, "issue")

TABLE = {
    "/v1/traces": OTLP,
    "/otel/v1/traces": OTLP,
    "/v1/otel/v1/traces": OTLP,
    "/v1/metrics": OTLP,
    "/otel/v1/metrics": OTLP,
    "/v1/otel/v1/metrics": OTLP,
    "/v1/logs": OTLP,
    "/otel/v1/logs": OTLP,
    "/v1/otel/v1/logs": OTLP,
    "admin:index": Row("302 302 302 302 302", "302 302 302 302 302"),
    "core:home": Row("302 302 302 302 302", "405 405 405 405 302"),
    "core:login": Row("302 302 302 302 200", "302 302 302 302 422"),
    "core:login-link": Row("302 302 302 302 410", "302 302 302 302 410", "nonsense"),
    "core:password-forgotten": Row("404 404 404 404 404", "404 404 404 404 404"),  # no mail server is set up
    "core:password-new": Row("200 200 200 200 200", "200 200 200 200 200", "mailed"),
    "core:logout": Row("302 302 302 302 302", "302 302 302 302 302"),
    "core:profile": Row("200 200 200 200 302", "302 302 302 302 302"),
    "core:password-change": Row("302 302 302 302 302", "422 422 422 422 302"),
    "core:sign-out-elsewhere": Row("302 302 302 302 302", "302 302 302 302 302"),
    "core:invitation": Row("302 302 302 200 200", "302 302 302 302 422", "invited"),
    "core:project-create": Row("200 403 403 200 302", "422 403 403 422 302"),
    "core:settings": Row(LOOK, "422 403 403 404 302"),
    "core:retention": Row(ONLY_POST, OWNER_DO),
    "core:member-list": Row(LOOK, "422 403 403 404 302"),
    "core:member-role": Row(ONLY_POST, OWNER_DO, "membership"),
    "core:member-remove": Row(ONLY_POST, OWNER_DO, "membership"),
    "core:invitation-revoke": Row(ONLY_POST, OWNER_DO, "invitation"),
    "core:key-list": Row(LOOK, EDITOR_WRONG),
    "core:key-revoke": Row(ONLY_POST, EDITOR_DO, "key"),
    "core:key-limit": Row(ONLY_POST, EDITOR_DO, "key"),
    "core:key-origins": Row(ONLY_POST, EDITOR_DO, "key"),
    "core:audit-list": Row(OWNER_LOOK, ONLY_GET),
    "llms:connection-list": Row(OWNER_LOOK, ONLY_GET),
    "llms:connection-create": Row(OWNER_LOOK, OWNER_WRONG),
    "llms:connection-edit": Row(OWNER_LOOK, OWNER_WRONG, "connection"),
    "llms:connection-test": Row(ONLY_POST, OWNER_LOOK, "connection"),
    "llms:connection-revoke": Row(ONLY_POST, OWNER_DO, "connection"),
    "llms:connection-delete": Row(ONLY_POST, OWNER_DO, "connection"),
    "alerts:channel-list": Row(OWNER_LOOK, ONLY_GET),
    "alerts:channel-create": Row(OWNER_LOOK, OWNER_WRONG),
    "alerts:channel-excerpts": Row(ONLY_POST, OWNER_DO),
    "alerts:channel-choices": Row(ONLY_POST, "404 403 403 404 302"),  # no kind is named
    "alerts:channel-edit": Row(OWNER_LOOK, OWNER_WRONG, "channel"),
    "alerts:channel-test": Row(ONLY_POST, OWNER_LOOK, "channel"),
    "alerts:channel-enable": Row(ONLY_POST, OWNER_DO, "channel"),
    "alerts:channel-disable": Row(ONLY_POST, OWNER_DO, "channel"),
    "alerts:channel-delete": Row(ONLY_POST, OWNER_DO, "channel"),
    "alerts:delivery-list": Row(OWNER_LOOK, ONLY_GET, "channel"),
    "alerts:recipient-ask": Row(ONLY_POST, OWNER_DO, "recipient"),
    "alerts:own-mails": Row("200 200 200 200 302", "405 405 405 405 302"),
    "alerts:mail-confirm": Row("410 410 410 410 410", "410 410 410 410 410", "nonsense"),
    "alerts:mail-stop": Row("410 410 410 410 410", "410 410 410 410 410", "nonsense"),
    "ops:healthz": Row("200 200 200 200 200", "405 405 405 405 405"),
    "ops:readyz": Row("200 200 200 200 200", "405 405 405 405 405"),
    "ops:metrics": Row("403 403 403 403 403", "405 405 405 405 405"),
    "ops:operator": Row("403 403 403 403 302", "405 405 405 405 302"),
    "traces:trace-list": Row(LOOK, ONLY_GET),
    "traces:trace-detail": Row(LOOK, ONLY_GET, "trace"),
    "traces:span-json": Row(LOOK, ONLY_GET, "stored span"),
    "traces:attachment-show": Row(LOOK, ONLY_GET, "picture"),
    "traces:session-list": Row(LOOK, ONLY_GET),
    "traces:session-detail": Row(LOOK, ONLY_GET, "session"),
    "traces:agent-list": Row(LOOK, ONLY_GET),
    "traces:agent-detail": Row(LOOK, ONLY_GET, "agent"),
    "traces:agent-sessions": Row(LOOK, ONLY_GET, "agent"),
    "traces:agent-traces": Row(LOOK, ONLY_GET, "agent"),
    "halo:agent-analysis": Row(LOOK, ONLY_GET, "agent"),
    "halo:issue-list": Row(LOOK, ONLY_GET),
    "halo:issue": Row(LOOK, ONLY_GET, "issue"),
    **dict.fromkeys(("halo:issue-acknowledge", "halo:issue-assign", "halo:issue-reopen"), ISSUE_DO),
    **dict.fromkeys((f"halo:issue-{verb}" for verb in ("dismiss", "fix", "merge", "split")), ISSUE_WRONG),
    "halo:report-create": Row(EDITOR_LOOK, EDITOR_WRONG, "agent"),
    "halo:report-preview": Row(ONLY_POST, EDITOR_LOOK, "agent"),
    "halo:report-list": Row(LOOK, ONLY_GET),
    "halo:report": Row(LOOK, ONLY_GET, "report"),
    "halo:report-ask": Row(ONLY_POST, EDITOR_DO, "report"),  # the offline analyst answers no questions
    "halo:report-cancel": Row(ONLY_POST, EDITOR_DO, "report"),
    "halo:report-markdown": Row(LOOK, ONLY_GET, "report"),
    "halo:schedule-list": Row(LOOK, ONLY_GET, "agent"),
    "halo:schedule-create": Row(EDITOR_LOOK, EDITOR_WRONG, "agent"),
    "halo:schedule": Row(LOOK, ONLY_GET, "schedule"),
    "halo:schedule-edit": Row(EDITOR_LOOK, EDITOR_WRONG, "schedule"),
    "halo:schedule-enable": Row(ONLY_POST, EDITOR_DO, "schedule"),
    "halo:schedule-disable": Row(ONLY_POST, EDITOR_DO, "schedule"),
    "halo:schedule-archive": Row(ONLY_POST, EDITOR_DO, "schedule"),
    "halo:schedule-unarchive": Row(ONLY_POST, EDITOR_DO, "schedule"),
    "halo:schedule-run": Row(ONLY_POST, EDITOR_DO, "schedule"),
    "halo:report-compare": Row(LOOK, ONLY_GET, "report"),
    "halo:finding-text": Row(LOOK, ONLY_GET, "finding"),
    "halo:finding-markdown": Row(LOOK, ONLY_GET, "finding"),
    "halo:verify": Row(LOOK, ONLY_GET, "report"),
    "halo:verify-issue": Row(LOOK, ONLY_GET, "issue"),
    "alerts:alert-list": Row(LOOK, ONLY_GET),
    "alerts:alert-bulk": Row(ONLY_POST, EDITOR_DO),
    "alerts:alert-create": Row(EDITOR_LOOK, EDITOR_WRONG),
    "alerts:backtest-show": Row(ONLY_POST, LOOK),
    "alerts:alert-detail": Row(LOOK, ONLY_GET, "alert"),
    "alerts:alert-edit": Row(EDITOR_LOOK, EDITOR_WRONG, "alert"),
    "alerts:alert-enable": ALERT_DO,
    "alerts:alert-disable": ALERT_DO,
    "alerts:alert-mute": ALERT_DO,
    "alerts:alert-unmute": ALERT_DO,
    "alerts:alert-archive": Row(ONLY_POST, EDITOR_LOOK, "alert"),
    "alerts:alert-unarchive": ALERT_DO,
    "alerts:signal-alerts": Row(LOOK, ONLY_GET, "signal"),
    "alerts:agent-alerts": Row(LOOK, ONLY_GET, "agent"),
    "signals:agent-signals": Row(LOOK, ONLY_GET, "agent"),
    "signals:signal-list": Row(LOOK, ONLY_GET),
    "signals:signal-bulk": Row(ONLY_POST, EDITOR_DO),
    "signals:signal-create": Row(EDITOR_LOOK, EDITOR_WRONG),
    "signals:trial-run": Row(ONLY_POST, EDITOR_WRONG),
    "signals:trial-detail": Row(OWN_TEST_LOOK, ONLY_GET, "test"),
    "signals:trial-cancel": Row(ONLY_POST, OWN_TEST_DO, "test"),
    "signals:trial-exchange": Row(OWN_TEST_LOOK, ONLY_GET, "test item"),
    "signals:prompt-show": Row(ONLY_POST, EDITOR_WRONG),
    "signals:agent-choices": Row(EDITOR_LOOK, ONLY_GET),
    "signals:judge-show": Row(ONLY_POST, EDITOR_LOOK),
    "signals:lately-show": Row(EDITOR_LOOK, ONLY_GET),
    "signals:signal-detail": Row(LOOK, ONLY_GET, "signal"),
    "signals:version-list": Row(LOOK, ONLY_GET, "signal"),
    "signals:version-compare": Row(LOOK, ONLY_GET, "signal"),
    "signals:version-restore": Row(ONLY_POST, EDITOR_DO, "version"),
    "signals:signal-duplicate": Row(EDITOR_LOOK, EDITOR_WRONG, "signal"),
    "signals:label-detail": Row(LOOK, ONLY_GET, "label"),
    "signals:exchange-detail": Row(EDITOR_LOOK, ONLY_GET, "exchange"),
    "signals:label-again": Row(ONLY_POST, EDITOR_DO, "label"),
    "signals:trace-absences": Row(LOOK, ONLY_GET, "stored trace"),
    "signals:session-absences": Row(LOOK, ONLY_GET, "session"),
    "signals:label-export": Row(LOOK, ONLY_GET, "signal"),
    "signals:signal-edit": Row(EDITOR_LOOK, EDITOR_WRONG, "signal"),
    "signals:signal-activate": SIGNAL_DO,
    "signals:signal-disable": SIGNAL_DO,
    "signals:signal-archive": Row(ONLY_POST, EDITOR_LOOK, "signal"),
    "signals:signal-unarchive": SIGNAL_DO,
    "signals:label-retry": SIGNAL_DO,
    "signals:coverage-show": Row(LOOK, ONLY_GET, "signal"),
    "signals:run-list": Row(LOOK, ONLY_GET, "signal"),
    "signals:run-preview": Row(EDITOR_LOOK, EDITOR_LOOK, "signal"),
    "signals:run-create": Row(EDITOR_LOOK, EDITOR_WRONG, "signal"),
    "signals:run-cancel": Row(ONLY_POST, EDITOR_DO, "run"),
    "signals:signal-cap": SIGNAL_DO,
    "signals:budget-show": Row(LOOK, ONLY_GET),
    "signals:project-cap": Row(ONLY_POST, OWNER_DO),
    "signals:signal-catch-up": Row(EDITOR_LOOK, EDITOR_DO, "signal"),
    "signals:project-catch-up": Row(OWNER_LOOK, OWNER_DO),
}


def known_urls(patterns: list[URLPattern | URLResolver], namespace: str = "") -> Iterator[tuple[str, bool]]:
    """Every URL's name (its path where it has none), and whether it lies in a project; the admin is one."""
    for each in patterns:
        if isinstance(each, URLPattern):
            name = f"{namespace}{each.name}" if each.name else f"/{each.pattern}"
            yield name, "project" in each.pattern.converters
        elif each.namespace == "admin":
            yield "admin:index", False
        else:
            yield from known_urls(each.url_patterns, f"{each.namespace}:" if each.namespace else namespace)


URLS = dict(known_urls(get_resolver().url_patterns))


def url_of(name: str, things: Things) -> str:
    """The URL with this name, in the project Default if it lies in a project."""
    arguments = things[TABLE[name].about] | ({"project": "default"} if URLS[name] else {})
    return name if name.startswith("/") else reverse(name, kwargs=arguments)


@pytest.fixture
def things(project: Project, alice: User, bob: User) -> Things:
    """What URLs are about, as their arguments."""
    return make_things(project, owner=alice, member=bob)


@pytest.fixture
def other_things(other_project: Project, charlie: User) -> Things:
    """The same in a project of somebody else."""
    return make_things(other_project, owner=charlie, member=charlie, first_trace=100)


def make_things(project: Project, *, owner: User, member: User, first_trace: int = 1) -> Things:
    """Make what URLs are about; returns their arguments."""
    now = timezone.now()
    agent = make_agent(project)
    session = make_session(project, turns=1, first=first_trace, now=now)
    signal = make_signal(agent)
    label = make_labels(make_signal(agent, name="Labelled", active_since=now), project, 1, now=now)[0]
    invitation, token = operations.invite(project, role="member", by=Actor(owner), now=now)
    run = backfill.start(signal, start=now - timedelta(days=1), end=now, sample_rate=100, now=now)
    trace = project.traces.get(session=session)
    version = draft_version(signal.current_version.definition, agent, "trace", signal)  # type: ignore[union-attr]
    sample = signal_tests.sample_newest(version, 1, now - timedelta(days=1), now + timedelta(minutes=1))
    test = signal_tests.start_test(version, sample, now, Actor(owner))
    item = test.items.get()
    test.items.update(exchange=exchanges.compress(PromptAndReply([{"role": "user", "content": "A recording."}])))
    report = make_run(agent, now=now)
    issue = make_issue(agent, now=now)
    make_citation(report, make_finding(report, [trace.trace_id], issue=issue), trace.trace_id)
    addresses = {"addresses": "ada@example.com"}
    mailed = make_channel(project, "Mails", kind="email", settings=addresses, now=now).recipients.get()
    return {
        "": {},
        "nonsense": {"token": "nonsense"},
        "invited": {"token": token},
        "mailed": {"uidb64": "nobody", "token": "nonsense"},
        "invitation": {"pk": invitation.pk},
        "membership": {"pk": project.memberships.get(user=member).pk},
        "key": {"pk": operations.create_key(project, name="ci", scopes=["read"], by=Actor(owner))[0].pk},
        "connection": {"pk": make_connection(project, now=now).pk},
        "channel": {"pk": make_channel(project, now=now).pk},
        "recipient": {"pk": mailed.channel_id, "recipient": mailed.pk},
        "agent": {"pk": agent.pk},
        "alert": {"pk": make_alert(signal, now=now).pk},
        "issue": {"pk": issue.pk},
        "report": {"pk": report.pk},
        "schedule": {"pk": make_schedule(agent, now=now).pk},
        "finding": {"pk": report.pk, "rank": 1},
        "session": {"pk": session.pk},
        "trace": {"trace_id": trace.trace_id},
        "picture": add_picture(project, trace.trace_id.int, now=now),
        "stored span": {"trace_id": trace.trace_id, "span_id": hex_span_id(trace.root_span_id or 0)},
        "stored trace": {"pk": trace.pk},
        "signal": {"pk": signal.pk},
        "version": {"pk": signal.pk, "number": 1},
        "test": {"pk": test.pk},
        "test item": {"pk": test.pk, "item": item.pk},
        "run": {"pk": signal.pk, "run": run.pk},
        "label": {"pk": label.signal_id, "label": label.pk},
        "exchange": {"pk": label.signal_id, "label": label.pk, "verdict": make_verdict(label, now).pk},
    }


@pytest.fixture
def people(alice: User, bob: User, viewer: User, charlie: User) -> dict[str, User | None]:
    """Who asks."""
    return dict(zip(PEOPLE, (alice, bob, viewer, charlie, None), strict=True))


def test_it_has_decided_about_every_url() -> None:
    assert URLS.keys() == TABLE.keys()


# A quick run asks as the owner and as strangers.
@pytest.mark.parametrize("who", [pytest.param(who, marks=SLOW if who in INSIDERS else ()) for who in PEOPLE])
@pytest.mark.parametrize("method", ["get", "post"])
def test_it_answers_everybody_as_decided(
    client_as: Callable[[User], Client],
    people: dict[str, User | None],
    things: Things,
    who: str,
    method: str,
) -> None:
    answered, decided = {}, {}
    for name, row in TABLE.items():
        url = url_of(name, things)
        user = people[who]
        with transaction.atomic():
            client = client_as(user) if user else Client()
            answered[name] = client.generic(method.upper(), url, content_type="application/x-www-form-urlencoded")
            transaction.set_rollback(True)
        decided[name] = row.status(method, who)
    assert {name: answer.status_code for name, answer in answered.items()} == decided


def test_it_sends_strangers_to_sign_in(client: Client, things: Things) -> None:
    for url in (url_of(name, things) for name, in_project in URLS.items() if in_project):
        assert client.get(url).headers["Location"].startswith("/login/?next=")


OF_A_PROJECT = [name for name, row in TABLE.items() if URLS[name] and row.about]
# Requests change these of whoever asks.
OWN_ROWS = ("core_signin", "django_session")


def rows_of_others() -> set[str]:
    """Every stored row but those about the sign-in of whoever asks."""
    return {row for row in stored_rows() if not row.startswith(OWN_ROWS)}


def test_it_finds_nothing_of_another_project_under_ones_own(
    client_as: Callable[[User], Client], alice: User, things: Things, other_things: Things
) -> None:
    """A URL that names rows, any of which is another project's, is not found."""
    client = client_as(alice)
    before = rows_of_others()
    answered = {}
    for name in OF_A_PROJECT:
        own, other = things[TABLE[name].about], other_things[TABLE[name].about]
        parts = [other, *(own | {part: other[part]} for part in own if own[part] != other[part])]
        for arguments in parts:
            url = reverse(name, kwargs=arguments | {"project": "default"})
            # The address of a form leads to the page above it, whatever it names.
            is_form = TABLE[name].get == ONLY_POST
            methods = ("POST",) if is_form else ("GET", "POST")
            answered[url] = {client.generic(method, url).status_code for method in methods}
    assert {url: statuses for url, statuses in answered.items() if 404 not in statuses or statuses - {404, 405}} == {}
    assert rows_of_others() == before


# An owner sees every form that a member or a viewer sees.
@pytest.mark.parametrize("who", ["owner", "outsider", "anonymous"])
def test_every_form_that_changes_something_carries_its_token(
    client_as: Callable[[User], Client], people: dict[str, User | None], things: Things, who: str
) -> None:
    user = people[who]
    client = client_as(user) if user else Client()
    active = things | {"signal": {"pk": things["label"]["pk"]}}
    shown = [name for name, row in TABLE.items() if row.status("get", who) == 200]
    urls = {url_of(name, about) for name in shown for about in (things, active)}
    posted, bare = set(), set()
    for url in sorted(urls):
        response = client.get(url)
        if response.status_code == 200 and response.headers["Content-Type"].startswith("text/html"):
            for form in Page(response.text).forms:
                if form.is_post and form.buttons:
                    posted.add(form.action)
                    if "csrfmiddlewaretoken" not in form.names:
                        bare.add((url, form.action))
    assert posted
    assert bare == set()


# Mail programs post to the link of a mail, which is signed.
WITHOUT_TOKEN = {"alerts:mail-stop"}


def _is_refused(response: Any) -> bool:
    return bool(response.status_code == 403 or response.headers.get("Location", "").startswith("/login/?next="))


def test_nothing_is_posted_without_the_token(client_as: Callable[[User], Client], alice: User, things: Things) -> None:
    before = rows_of_others()
    for person in (client_as(alice), Client()):
        client = Client(enforce_csrf_checks=True)
        client.cookies = person.cookies
        names = [name for name, row in TABLE.items() if row != OTLP and name not in WITHOUT_TOKEN]
        responses = {name: client.post(url_of(name, things)) for name in names}
        # Both cookies of a session end together, so who isn't signed in is asked to.
        assert {name for name, response in responses.items() if not _is_refused(response)} == set()
    assert rows_of_others() == before
