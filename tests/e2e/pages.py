"""Every page, by name: whom it is for, where it lies and how it answers."""

from collections.abc import Iterator
from dataclasses import dataclass

from playwright.sync_api import Page

from tests.e2e.instance import Instance, sign_in
from tests.processes import eventually

STRANGER, OWNER, VIEWER = "stranger", "owner", "looker"

PEOPLE = f"""
from django.utils import timezone
from catalyst.core.actor import Actor
from catalyst.core import operations
from catalyst.core.models import Membership, Project, User
project, owner = Project.objects.get(slug="demo"), User.objects.get(username="{OWNER}")
viewer, made = User.objects.get_or_create(username="{VIEWER}")
Membership.objects.get_or_create(project=project, user=viewer, role="viewer")
if made:
    operations.create_project(name="Empty", owner=owner)
print(operations.invite(project, role="member", by=Actor(owner), now=timezone.now())[1])
"""
TWO_VERSIONS = """
from django.utils import timezone
from catalyst.ops.demo import loader
from signals.models import Signal
loader.reword(timezone.now())
agent, template = loader.REWORDED
print(Signal.objects.get(agent__identity=agent, template=template).pk)
"""
TEST = f"""
from datetime import timedelta
from django.utils import timezone
from catalyst.core.actor import Actor
from catalyst.core.models import User
from signals.models import Signal
from signals.runs import signal_tests
now = timezone.now()
version = Signal.objects.get(pk={{signal}}).current_version
sample = signal_tests.sample_newest(version, 3, now - timedelta(days=7), now)
print(signal_tests.start_test(version, sample, now, Actor(User.objects.get(username="{OWNER}"))).pk)
"""
RUN_IS_OVER = """
    SELECT count(*) FROM signals_signalrun r JOIN signals_signalversion v ON v.id = r.version_id
    WHERE v.signal_id = %s AND r.state = 'done'
"""
PICTURE = f"""
from django.utils import timezone
from catalyst.core import operations
from catalyst.core.models import Project, User
from tests.pictures import add_picture
project = Project.objects.filter(slug="pictures").first()
if project is None:
    project = operations.create_project(name="Pictures", owner=User.objects.get(username="{OWNER}"))
    add_picture(project, 1, now=timezone.now())
"""
CONNECTION = f"""
from django.utils import timezone
from catalyst.core.actor import Actor
from catalyst.core.models import Project, User
from catalyst.llms import connections
project, owner = Project.objects.get(slug="demo"), User.objects.get(username="{OWNER}")
settings = connections.Settings("Team", "https://models.invalid/v1", "gpt-4o-mini", "openai", ["gpt-4o"])
row = project.model_connections.first() or connections.create(
    project, settings, connections.Secrets("sk-secret"), by=Actor(owner), now=timezone.now()
)
print(row.pk)
"""
ALERT = """
from datetime import timedelta
from django.utils import timezone
from signals.models import Signal
from tests.factories import make_alert, make_channel, make_event
now = timezone.now()
signal = Signal.objects.get(pk={signal})
row = signal.alerts.first()
if row is None:
    channel = make_channel(signal.project, now=now)
    about = {{"metric": "label_volume", "threshold": 5, "warning": 3, "channels": [channel.pk]}}
    make_alert(signal, now=now, name="A calm one", metric="label_volume", threshold=10**6)
    row = make_alert(signal, now=now - timedelta(days=2), **about)
    make_event(row, now - timedelta(hours=2), requested=64)
    make_event(row, now - timedelta(hours=1), "resolved", silenced="The alert was muted.")
print(row.pk)
"""
CHANNEL = f"""
from django.utils import timezone
from alerts import channel_settings
from alerts.channel_settings import Given
from catalyst.core.actor import Actor
from catalyst.core.models import Project, User
project, owner = Project.objects.get(slug="demo"), User.objects.get(username="{OWNER}")
given = Given("Search team", {{"addresses": "ada@example.com"}})
row = project.channels.filter(kind="email").first() or channel_settings.create(
    project, "email", given, by=Actor(owner), now=timezone.now()
)[0]
print(row.pk)
"""
REPORTS = """
from datetime import timedelta
from django.utils import timezone
from catalyst.agents.models import Agent
from halo.models import Run
from tests.factories import make_citation, make_finding, make_issue, make_run, make_run_event
now = timezone.now()
agent = Agent.objects.get(pk={agent})
def stored(title):
    return Run.objects.filter(agent=agent, conversation__title=title).first()
if stored("Failed") is None:
    asked = {{"engine": "rules", "focus": "status=error"}}
    by_model = {{"engine": "model", "model_name": "gpt-4o", "cost": 3, "input_tokens": 90_000, "turn": 7}}
    words = {{"text": "## Words\\n\\n| tool | failed |\\n|---|---|\\n| `lookup` | 96 |", "notes": ["Read 40 of 100."]}}
    whole = make_run(agent, now=now, asked=asked | {{"title": "Reads well"}}, read_trace_count=40, **by_model, **words)
    traces = agent.traces.order_by("pk")[:12]
    ids = [trace.trace_id for trace in traces]
    since = now - timedelta(days=2)
    issue = make_issue(agent, now=now, title="It fails again", severity="critical", first_seen_at=since)
    make_issue(agent, now=now, title="It was slow", state="fixed", fixed_at=now, fixed_version="1.5.0", note="A cache.")
    for days in (2, 1):
        earlier = make_run(agent, now=now - timedelta(days=days), asked=asked)
        make_finding(earlier, ids[: 3 * days], severity="high", issue=issue, cost=1)
    found = make_finding(whole, ids, issue=issue, severity="critical", prior_count=1, prior_total=90)
    for trace in traces:
        make_citation(whole, found, trace.trace_id, trace.root_span_id, note="the newest")
    make_citation(whole, found, traces[0].trace_id, quote="Nobody said so.", quote_state="missing")
    make_citation(whole, make_finding(whole, rank=2, claimed_count=8, severity="low"), None)
    # No worker takes it from this one.
    held = {{"leased_until": now + timedelta(days=1), "trace_count": 100, "read_trace_count": 100}}
    running = make_run(agent, now=now, status="running", asked=asked | {{"title": "Runs on"}}, **by_model, **held)
    make_run_event(running, "Looks for errors", at=now)
    make_run_event(running, "Reads a trace", at=now, agent="helper", depth=1)
    ended = {{"error": "The model answered 401.", "text": "It began", "is_partial": True, "ended_at": now}}
    make_run(agent, now=now, status="failed", asked=asked | {{"title": "Failed"}}, **by_model | ended)
whole = stored("Reads well")
first = whole.findings.earliest("rank")
hour_ago = whole.window_end - timedelta(hours=1)
print(whole.pk, stored("Runs on").pk, stored("Failed").pk, first.pk, first.issue_id, f"{{hour_ago:%Y-%m-%dT%H:%M}}")
"""
SCHEDULES = """
from datetime import timedelta
from django.utils import timezone
from catalyst.agents.models import Agent
from halo.choices import PausedReason
from halo.models import Schedule
from halo.schedules import writes
from tests.factories import make_run
now = timezone.now()
agent = Agent.objects.get(pk={agent})
def made(title, **about):
    return writes.create(agent, writes.Definition(title=title, hours=[6], **about), now, enabled=False)
if not agent.halo_schedules.exists():
    nightly = made("Every night", frequency="daily", timezone="Asia/Tokyo", focus="status=error")
    make_run(agent, now=now, schedule=nightly, origin="scheduled", news_count=1)
    writes.enable(nightly, now)
    writes.pause(made("Weekly", frequency="weekly", days_of_week=[1]), PausedReason.FAILED, "3 reports failed.")
    writes.archive(made("Monthly", frequency="monthly", days_of_month=[31]), now)
print(*Schedule.objects.filter(agent=agent).order_by("pk")[:2].values_list("pk", flat=True))
"""
IDS = """
    SELECT a.id, t.session_id, t.id, t.trace_id, to_hex(s.span_id), g.id,
        (SELECT min(l.id) FROM signals_label l WHERE l.signal_id = g.id AND l.value <> '')
    FROM agents_agent a
    JOIN traces_trace t ON t.agent_id = a.id AND t.status = 'error' AND t.session_id IS NOT NULL
    JOIN traces_span s ON s.project_id = t.project_id AND s.trace_id = t.trace_id AND s.kind = 'LLM'
    JOIN signals_signal g ON g.agent_id = a.id AND g.name = 'Task outcome'
    WHERE a.identity = 'demo-support' ORDER BY t.error_count DESC, t.start_time LIMIT 1
"""


@dataclass(frozen=True)
class Stop:
    """A page to look at."""

    name: str
    path: str
    status: int = 200
    person: str = OWNER


def every(instance: Instance) -> list[Stop]:
    """Every page of an instance with the demo, in states with data and without."""
    invitation, twice = instance.shell(PEOPLE), instance.shell(TWO_VERSIONS)
    eventually(lambda: instance.count(RUN_IS_OVER, int(twice)) == 1, seconds=240)
    agent, session, pk, trace, span, signal, label = instance.query(IDS)[0]
    test = instance.shell(TEST.format(signal=signal)).strip()
    instance.shell(PICTURE)
    alert = instance.shell(ALERT.format(signal=signal)).strip()
    connection, channel = instance.shell(CONNECTION).strip(), instance.shell(CHANNEL).strip()
    report, open_report, failed_report, finding, issue, hour_ago = instance.shell(REPORTS.format(agent=agent)).split()
    schedule, paused_schedule = instance.shell(SCHEDULES.format(agent=agent)).split()
    week, whole_time, demo = "?range=7d", "?start=2026-01-01T00:00&end=2030-01-01T00:00", "/p/demo"
    own = {
        "agents": f"{demo}/agents/{week}",
        "agent": f"{demo}/agents/{agent}/{week}",
        "idle agent": f"{demo}/agents/{agent}/?from=2020-01-01T00:00&to=2020-01-02T00:00",
        "agent's sessions": f"{demo}/agents/{agent}/sessions/{week}",
        "agent's traces": f"{demo}/agents/{agent}/traces/{week}",
        "agent's signals": f"{demo}/agents/{agent}/signals/{week}",
        "agent's analysis": f"{demo}/agents/{agent}/analysis/{week}",
        "traces": f"{demo}/traces/{week}",
        "filtered traces": f"{demo}/traces/{week}&status=error&agent={agent}",
        "trace": f"{demo}/traces/{trace.hex}/",
        "span": f"{demo}/traces/{trace.hex}/?span={span:0>16}",
        "attributes": f"{demo}/traces/{trace.hex}/?span={span:0>16}&pane=attributes",
        "trace with a picture": f"/p/pictures/traces/{1:032x}/",
        "trace without labels": f"{demo}/signals/absences/traces/{pk}/",
        "span without labels": f"{demo}/signals/absences/traces/{pk}/?span={span:0>16}",
        "sessions": f"{demo}/sessions/{week}",
        "session": f"{demo}/sessions/{session}/",
        "session without labels": f"{demo}/signals/absences/sessions/{session}/",
        "signals": f"{demo}/signals/{week}",
        "signal": f"{demo}/signals/{signal}/{week}",
        "signal's versions": f"{demo}/signals/{twice}/versions/{week}",
        "only version": f"{demo}/signals/{signal}/versions/compare/{week}",
        "compared versions": f"{demo}/signals/{twice}/versions/compare/{week}",
        "duplicate of a signal": f"{demo}/signals/{signal}/duplicate/",
        "label": f"{demo}/signals/{signal}/labels/{label}/",
        "new signal": f"{demo}/signals/new/",
        "signal from a template": f"{demo}/signals/new/?template=task_outcome",
        "signal's runs": f"{demo}/signals/{twice}/runs/{week}",
        "signal's coverage": f"{demo}/signals/{signal}/coverage/{week}",
        "a new run": f"{demo}/signals/{signal}/runs/new/{whole_time}&sample_rate=25",
        "preview of a run": f"{demo}/signals/{signal}/runs/preview/{whole_time}&sample_rate=25",
        "catching up": f"{demo}/signals/{signal}/catch-up/",
        "catching up of a project": f"{demo}/signals/catch-up/",
        "edit": f"{demo}/signals/{signal}/edit/",
        "test of a signal": f"{demo}/signals/trial/{test}/",
        "alerts": f"{demo}/alerts/",
        "alert": f"{demo}/alerts/{alert}/{week}",
        "new alert": f"{demo}/alerts/new/?signal={signal}&range=7d",
        "new alert on an agent": f"{demo}/alerts/new/?agent={agent}&range=7d",
        "edit of an alert": f"{demo}/alerts/{alert}/edit/",
        "signal's alerts": f"{demo}/signals/{signal}/alerts/",
        "agent's alerts": f"{demo}/agents/{agent}/alerts/",
        "reports": f"{demo}/reports/",
        "issues": f"{demo}/issues/?state=any",
        "issue": f"{demo}/issues/{issue}/",
        "report": f"{demo}/reports/{report}/",
        "running report": f"{demo}/reports/{open_report}/",
        "compared reports": f"{demo}/reports/{report}/compare/",
        "finding as text": f"{demo}/reports/{report}/findings/1/",
        "verified fix": f"{demo}/reports/{report}/verify/?since={hour_ago}",
        "issue's fix": f"{demo}/issues/{issue}/verify/",
        "failed report": f"{demo}/reports/{failed_report}/",
        "new report": f"{demo}/agents/{agent}/analysis/new/{week}&status=error",
        "report again": f"{demo}/agents/{agent}/analysis/new/?again={report}",
        "schedules": f"{demo}/agents/{agent}/schedules/",
        "archived schedules": f"{demo}/agents/{agent}/schedules/?archived=1",
        "schedule": f"{demo}/schedules/{schedule}/",
        "paused schedule": f"{demo}/schedules/{paused_schedule}/",
        "new schedule": f"{demo}/agents/{agent}/schedules/new/?status=error",
        "edit of a schedule": f"{demo}/schedules/{paused_schedule}/edit/",
        "traces of a finding": f"{demo}/traces/{week}&finding={finding}",
        "settings": f"{demo}/settings/",
        "members": f"{demo}/settings/members/",
        "keys": f"{demo}/settings/keys/",
        "models": f"{demo}/settings/models/",
        "new model connection": f"{demo}/settings/models/new/?provider=ollama",
        "model connection": f"{demo}/settings/models/{connection}/",
        "channels": f"{demo}/settings/channels/",
        "new channel": f"{demo}/settings/channels/new/?kind=slack_bot",
        "channel": f"{demo}/settings/channels/{channel}/",
        "messages to a channel": f"{demo}/settings/channels/{channel}/messages/",
        "own mails": "/profile/mails/",
        "budget": f"{demo}/settings/budget/",
        "audit": f"{demo}/settings/audit/",
        "profile": "/profile/",
        "new project": "/projects/new/",
        "no agents": "/p/empty/agents/",
        "no traces": "/p/empty/traces/",
        "no sessions": "/p/empty/sessions/",
        "no signals": "/p/empty/signals/",
        "no alerts": "/p/empty/alerts/",
        "no reports": "/p/empty/reports/",
        "no issues": "/p/empty/issues/",
        "operator": "/operator/",
        "administration": "/admin/",
    }
    return [
        Stop("sign-in", "/login/", person=STRANGER),
        Stop("invitation", f"/invitations/{invitation}/", person=STRANGER),
        Stop("void invitation", "/invitations/nonsense/", 410, STRANGER),
        Stop("no mail", "/password/forgotten/", 404, STRANGER),
        Stop("void password link", "/password/new/nobody/nonsense/", person=STRANGER),
        Stop("used link", "/login/nonsense/", 410, STRANGER),
        Stop("void link of a mail", "/mails/confirm/nonsense/", 410, STRANGER),
        *(Stop(name, path) for name, path in own.items()),
        Stop("not found", f"{demo}/nothing/", 404),
        Stop("long address", f"{demo}/traces/?q={'q' * 5_000}", 414),
        Stop("forbidden", f"{demo}/settings/audit/", 403, VIEWER),
        Stop("seen by a viewer", f"{demo}/settings/members/", person=VIEWER),
    ]


def walk(page: Page, instance: Instance, stops: list[Stop]) -> Iterator[Stop]:
    """Open page after page, each as the person it is for."""
    person = STRANGER
    for stop in stops:
        if stop.person != person:
            page.context.clear_cookies()
            sign_in(page, instance, stop.person)
            person = stop.person
        response = page.goto(instance.url + stop.path)
        assert response is not None
        assert response.status == stop.status, stop
        page.wait_for_load_state()
        yield stop
