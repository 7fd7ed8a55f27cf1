"""`manage.py signals`: what operators do with signals, by the same rules as the pages."""

import csv
import io
import json
from collections.abc import Iterator
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import time_machine
from django.core.management import call_command
from django.core.management.base import CommandError

from catalyst.core.models import AuditEntry, Project
from catalyst.llms.amounts import Cap
from catalyst.llms.endpoints import endpoint
from catalyst.llms.models import Budget, JudgeHealth
from signals import operations
from signals.definitions import definition
from signals.definitions.templates import TEMPLATES
from signals.judging import worker
from signals.management.commands.signals import Command
from signals.models import Label, Signal, SignalRun, SignalTest
from signals.runs import backfill
from tests.factories import make_agent, make_labels, make_session, make_signal, make_trace, settle_all
from tests.judge_server import JudgeServer, says
from traces.filters import Filter

pytestmark = [pytest.mark.slow, pytest.mark.django_db]
HOUR = timedelta(hours=1)
PROMPT = ("--prompt", "Does the user ask for a refund?")


@pytest.fixture(autouse=True)
def _at(now: datetime) -> Iterator[None]:
    """The time of the test is the command's."""
    with time_machine.travel(now, tick=False):
        yield


@pytest.fixture
def signal(project: Project) -> Signal:
    """A draft about traces."""
    return make_signal(make_agent(project))


def run(*given: object) -> str:
    """What it prints."""
    out = io.StringIO()
    call_command("signals", *map(str, given), stdout=out, stderr=io.StringIO())
    return out.getvalue()


def record(*given: object) -> Any:
    return json.loads(run(*given, "--json"))


def refused(*given: object, code: int = 1) -> str:
    with pytest.raises(CommandError) as caught:
        run(*given)
    assert caught.value.returncode == code
    return str(caught.value)


def answered(signal: Signal, project: Project, count: int, now: datetime) -> list[Label]:
    """Labels with a value: every third one no."""
    operations.activate(signal, now - timedelta(days=1))
    labels = make_labels(signal, project, count, now=now - HOUR)
    for number, label in enumerate(labels):
        Label.objects.filter(pk=label.pk).update(
            status="done", value="yes" if number % 3 else "no", reason="It says so.", judge="judge-1",
            labelled_at=now, judged_revision=1, cost=Decimal("0.0005"),
        )  # fmt: skip
    return labels


def test_it_lists_signals_with_their_labels(signal: Signal, project: Project, now: datetime) -> None:
    answered(signal, project, 3, now)
    lines = run("list").splitlines()
    assert " ".join(lines[0].split()) == "ID NAME AGENT SCOPE STATE V RATE % LABELS SHARES WAIT FAILED COST LAST"
    assert " ".join(lines[1].split()) == (
        f"{signal.pk} Refund wanted support-bot trace active, no judge 1 100 3 "
        "yes 66.7%, no 33.3% 0 0 $0.0015 2026-11-20T12:00:00.000Z"
    )
    (listed,) = record("list")["signals"]
    assert listed["agentIdentityValue"] == "support-bot"
    assert (listed["classifierType"], listed["labels"], listed["sampleRatePercent"]) == ("binary", [], 100)
    assert listed["outcomeCounts"] == {"true": 2, "false": 1}
    assert (listed["recentLabelCount"], listed["cost"]) == (3, "0.0015")


def test_it_narrows_the_list(signal: Signal, project: Project, now: datetime) -> None:
    other = make_signal(make_agent(project, "other"), name="Sad", scope="session")
    operations.archive(make_signal(signal.agent, name="Gone"), now)
    named = {name: [each["name"] for each in record("list", *given)["signals"]] for name, given in {
        "all": ["--include-archived"], "usual": [], "agent": ["--agent", "other"], "scope": ["--scope", "trace"],
        "search": ["--search", "refund"], "state": ["--state", "active"],
    }.items()}  # fmt: skip
    assert named == {
        "all": ["Gone", "Refund wanted", "Sad"], "usual": ["Refund wanted", "Sad"], "agent": [other.name],
        "scope": ["Refund wanted"], "search": ["Refund wanted"], "state": [],
    }  # fmt: skip
    assert run("list", "--state", "active").strip() == "None."


def test_it_shows_a_signal_whole(signal: Signal, project: Project, now: datetime) -> None:
    answered(signal, project, 3, now)
    operations.publish_version(
        signal, definition.Definition("binary", "First?\nSecond?", 50, filter=Filter(status="error"))
    )
    shown = run("show", signal.pk)
    for words in ("Refund wanted", "support-bot", "active", "50", "status error", "First?", "Second?", "20.8"):
        assert words in shown
    found = record("show", signal.pk)
    assert found["signal"]["id"] == str(signal.pk)
    assert found["currentVersion"]["version"] == 2
    assert found["currentVersion"]["labelSentiments"] == {"true": "negative", "false": "positive"}
    assert found["currentVersion"]["filter"] == {"status": "error"}
    assert found["signal"]["outcomeVersions"] == [1]
    assert "(labels of version 1)" in shown
    assert "yes 66.7%, no 33.3% (labels of version 1)" in run("list")
    assert found["spending"] == {"spent": "0", "dailyCap": None, "calls": 0, "dailyCallCap": None}


def test_it_says_what_labels_wait_for(signal: Signal, project: Project, judge: JudgeServer, now: datetime) -> None:
    operations.activate(signal, now - timedelta(days=1))
    make_labels(signal, project, 2, now=now)
    assert "Waiting count 2" in " ".join(run("show", signal.pk).split())
    assert record("show", signal.pk)["signal"]["notJudgedBecause"] is None
    JudgeHealth.objects.create(url=endpoint(), model="judge-1", failures=1, error="It is overloaded.")
    (listed,) = record("list")["signals"]
    assert (listed["waitingCount"], listed["stoppedByCap"]) == (2, False)
    assert listed["notJudgedBecause"] == "judge-1 does not answer: It is overloaded."
    operations.cap_signal(signal, Cap(calls=1), now)
    Budget.objects.filter(subject_id=signal.pk).update(calls=1, day=now.date())
    shown = " ".join(run("show", signal.pk).split())
    assert "active, capped" in shown
    assert "Not judged because Paused until 00:00 UTC: $0 and 1 judge call today; " in shown
    assert "judge-1 does not answer: It is overloaded." in shown
    (listed,) = record("list")["signals"]
    assert (listed["waitingCount"], listed["skippedCount"], listed["stoppedByCap"]) == (2, 0, True)
    assert listed["notJudgedBecause"].startswith("Paused until 00:00 UTC: ")


def test_it_makes_a_signal_of_a_template(project: Project) -> None:
    make_agent(project)
    made = record("create", "--agent", "support-bot", "--template", "task_outcome", "--sample-rate", 25, "--activate")
    signal, template = Signal.objects.get(), TEMPLATES["task_outcome"]
    assert (signal.name, signal.scope, signal.state) == (template.name, "trace", "active")
    assert signal.current_version.definition == definition.Definition(  # type: ignore[union-attr]
        template.type, template.prompt, 25, template.labels, dict(template.sentiments)
    )
    assert made["currentVersion"]["classifierType"] == "string"
    assert set(AuditEntry.objects.values_list("action", "actor_name")) == {
        ("created", "Catalyst"),
        ("activated", "Catalyst"),
    }


def test_it_makes_a_signal_of_ones_own(project: Project, tmp_path: Path) -> None:
    make_agent(project)
    (tmp_path / "question.txt").write_text("How did it go?\n")
    run(
        *("create", "--agent", "support-bot", "--name", "Outcome", "--scope", "session"),
        *("--prompt-file", tmp_path / "question.txt", "--label", "good", "--label", "bad", "--label", "unclear"),
        *("--sentiment", "unclear=neutral", "--sample-rate", 10, "--judge-model", "judge-2"),
        *("--filter", "environment=prod", "--filter", "min-duration-ms=500", "--filter", "attribute.tier=gold"),
        *("--view", "tool_calls=false", "--view", "kinds=LLM,TOOL", "--view", "budget-tokens=4000"),
    )
    signal = Signal.objects.get()
    asked = signal.current_version.definition  # type: ignore[union-attr]
    assert (signal.state, asked.type, asked.prompt, asked.sample_rate) == ("draft", "string", "How did it go?", 10)
    assert asked.sentiments == {"good": "neutral", "bad": "neutral", "unclear": "neutral"}
    assert asked.judge_model == "judge-2"
    assert asked.filter.text == "environment is prod, latency ≥ 500 ms, tier is gold"
    assert asked.view.dump() == {"tool_calls": False, "kinds": ["LLM", "TOOL"], "budget_tokens": 4000}


@pytest.mark.parametrize(
    ("given", "code", "words"),
    [
        (["--sample-rate", "101"], 1, "--sample-rate: Enter a sample rate from 0 to 100"),
        (["--label", "one"], 1, "--label: Enter 2 to 10 labels, not 1"),
        (["--sentiment", "true=happy"], 1, "--sentiment: A sentiment is positive, negative or neutral"),
        (["--judge-model", "dear"], 1, "--judge-model: The model dear"),
        (["--classifier", "binary", "--label", "a"], 1, "--label: A binary answers yes or no"),
        (["--filter", "colour=red"], 1, "--filter: colour: There is no such field."),
        (["--filter", "attributes=red"], 1, "--filter: attributes: "),
        (["--filter", "min_tokens=many"], 1, "--filter: min_tokens: This must be a whole number."),
        (["--view", "kinds=DREAM"], 1, "--view: kinds: There is no kind DREAM"),
        (["--sample-rate", "some"], 2, "--sample-rate: This must be a whole number."),
        (["--filter", "environment"], 1, "has no = between"),
        (["--prompt-file", "/no/such/file"], 1, "can't read /no/such/file"),
        (["--scope", "universe"], 1, "invalid choice"),
    ],
)
def test_it_says_what_is_wrong_and_where(project: Project, given: list[str], code: int, words: str) -> None:
    make_agent(project)
    prompt = [] if "--prompt-file" in given else PROMPT
    said = refused("create", "--agent", "support-bot", "--name", "N", "--scope", "trace", *prompt, *given, code=code)
    assert words in said
    assert not Signal.objects.exists()


def test_it_exits_with_two_when_it_is_not_understood(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        Command().run_from_argv(["manage.py", "signals", "labels", "7", "--limit", "none"])
    assert caught.value.code == 2
    assert "--limit: This must be a whole number." in capsys.readouterr().err


def test_it_names_what_there_is_instead(signal: Signal) -> None:
    assert "has no agent nobody. Use one of: support-bot." in refused(
        "create", "--agent", "nobody", "--name", "N", *PROMPT
    )
    missing = refused("create", "--agent", "support-bot")
    assert ["--name:" in missing, "--scope:" in missing, "--prompt:" in missing] == [True] * 3
    assert "--agent: This is required." in refused("create", code=2)
    assert "SIGNAL: This is required." in refused("show", code=2)
    assert "has no signal 999" in refused("show", 999)
    assert "--project takes one of: default." in refused("list", "--project", "else", code=2)


def test_it_asks_which_project_where_there_are_several(signal: Signal, other_project: Project) -> None:
    assert "There are several projects. --project takes one of: default, other." in refused("list", code=2)
    assert record("list", "--project", "other") == {"signals": [], "next": None}
    assert "The project other has no signal" in refused("show", signal.pk, "--project", "other")
    assert "The project other has no signal" in refused("disable", signal.pk, "--project", "other")
    theirs = backfill.start(
        signal, start=signal.created_at - HOUR, end=signal.created_at, sample_rate=1, now=signal.created_at + HOUR
    )
    assert "The project other has no backfill" in refused("cancel-run", theirs.pk, "--project", "other")


def test_an_edit_keeps_what_is_not_given(signal: Signal) -> None:
    labels = {"good": "positive", "bad": "negative", "so": "neutral"}
    before = definition.Definition("string", "How?", 30, tuple(labels), labels, "judge-2", Filter(service="web"))
    operations.publish_version(signal, before)
    several = ("--filter", "model=b", "--filter", "model=a")
    found = record("edit", signal.pk, "--sample-rate", 40, "--name", "Renamed", "--filter", "status=error", *several)
    signal.refresh_from_db()
    asked = signal.current_version.definition  # type: ignore[union-attr]
    assert (signal.name, found["currentVersion"]["version"], asked.sample_rate) == ("Renamed", 3, 40)
    assert (asked.prompt, asked.sentiments, asked.judge_model) == ("How?", labels, "judge-2")
    assert asked.filter == Filter(service=("web",), model=("a", "b"), status="error")
    run(
        "edit",
        signal.pk,
        "--filter",
        "service=",
        "--label",
        "good",
        "--label",
        "awful",
        "--label",
        "so",
        "--scope",
        "trace",
    )
    signal.refresh_from_db()
    asked = signal.current_version.definition  # type: ignore[union-attr]
    assert asked.filter == Filter(model=("a", "b"), status="error")
    assert asked.sentiments == {"good": "positive", "awful": "neutral", "so": "neutral"}
    run("edit", signal.pk, "--classifier", "binary", "--sentiment", "true=positive", "--sentiment", "false=negative")
    signal.refresh_from_db()
    assert signal.current_version is not None
    assert (signal.current_version.number, signal.current_version.sentiments) == (
        5,
        {"yes": "positive", "no": "negative"},
    )


def test_an_edit_that_changes_nothing_makes_no_version(signal: Signal) -> None:
    assert record("edit", signal.pk, *PROMPT)["signal"]["version"] == 1
    assert "evaluates traces, which can't change" in refused("edit", signal.pk, "--scope", "span")
    assert "--name: Enter a name" in refused("edit", signal.pk, "--name", " ", "--sample-rate", 7)
    assert signal.versions.count() == 1


def test_it_starts_a_test_and_shows_its_results(
    signal: Signal, project: Project, now: datetime, judge: JudgeServer
) -> None:
    for number in range(1, 4):
        make_trace(project, number, now=now - number * HOUR, said=(f"Question {number}?", "Answer."))
    judge.script = lambda asked: says("yes" if "Question 2?" in asked.recording else "no", "It says so.")
    started = record("test", signal.pk, "--sample-size", 2, "--prompt", "Is it new?")
    assert (started["state"], started["targetCount"], started["results"]) == ("running", 2, [])
    worker.run(until=lambda: not SignalTest.objects.running().exists())
    found = record("test-results", started["id"])
    assert found["state"] == "done"
    assert found["outcomeCounts"] == {"true": 1, "false": 1}
    assert {each["target_id"]: each["bool_label"] for each in found["results"]} == {
        f"{1:032x}": False,
        f"{2:032x}": True,
    }
    assert found["results"][0]["signal_label_id"] is None
    assert ["Is it new?" in asked.instructions for asked in judge.asked] == [True, True]
    assert not Label.objects.exists()
    assert "It says so." in run("test-results", started["id"])


def test_it_cancels_a_test(signal: Signal, project: Project, now: datetime) -> None:
    make_trace(project, 1, now=now - HOUR)
    started = record("test", signal.pk)
    assert "No others are stored" in started["shortfall"]
    assert record("cancel-test", started["id"])["state"] == "cancelled"
    assert "There is no test 99" in refused("test-results", 99)


def test_a_test_is_refused_before_it_starts(signal: Signal) -> None:
    assert "--sample-size: This must be a whole number of at most 100." in refused(
        "test", signal.pk, "--sample-size", 101, code=2
    )
    assert "evaluates traces, which can't change" in refused("test", signal.pk, "--scope", "span")
    assert "--sample-rate: Enter a sample rate" in refused("test", signal.pk, "--sample-rate", 101)
    assert not SignalTest.objects.exists()


def test_it_changes_the_state(signal: Signal) -> None:
    for command, state in (("activate", "active"), ("disable", "disabled"), ("archive", "archived")):
        shown = record(command, signal.pk)["signal"]
        assert (shown["status"].startswith(state), shown["version"]) == (True, 1)
    assert "An archived signal can't be activated. Unarchive it first." in refused("activate", signal.pk)
    found = record("unarchive", signal.pk)["signal"]
    assert (found["state"], found["archivedAt"]) == ("disabled", None)


def test_a_backfill_tells_the_price_and_asks(
    signal: Signal, project: Project, now: datetime, judge: JudgeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    operations.publish_version(signal, definition.Definition("binary", "Is it?", 100, judge_model="gpt-4o"))
    for number in range(1, 6):
        make_trace(project, number, now=now - HOUR)
    settle_all(now)
    window = ("backfill", signal.pk, "--from", "2026-11-19")
    for said in ("", "n\n"):
        monkeypatch.setattr("sys.stdin", io.StringIO(said))
        assert refused(*window).startswith("Nothing was started.")
    shown = " ".join(run(*window, "--preview").split())
    assert "To judge count 5" in shown
    assert "Judge model gpt-4o" in shown
    found = record(*window, "--preview")
    assert (found["matchedSpanCount"], found["sampledSpanCount"], found["labelledCount"]) == (5, 5, 0)
    assert float(found["estimatedCost"]) > 0
    assert not SignalRun.objects.exists()
    assert not judge.asked
    monkeypatch.setattr("sys.stdin", io.StringIO("y\n"))
    assert "Start it? [y/N]" in run(*window)
    assert "A backfill is already running" in refused(*window, "--yes")
    assert AuditEntry.objects.filter(action="started a backfill of", actor_name="Catalyst").count() == 1


def test_a_backfill_is_refused_before_it_asks(signal: Signal) -> None:
    assert "--from: From must be before To" in refused("backfill", signal.pk, "--from", "2027-01-01", "--yes")
    assert "--sample-rate: Enter" in refused("backfill", signal.pk, "--from", "2026-11-19", "--sample-rate", 101)
    assert "add --yes" in refused("backfill", signal.pk, "--from", "2026-11-19", "--json", code=2)
    assert "--from: A time" in refused("backfill", signal.pk, "--from", "yesterday", code=2)


def test_it_shows_and_cancels_runs(signal: Signal, project: Project, now: datetime) -> None:
    assert run("runs").strip() == "None."
    for number in range(1, 4):
        make_trace(project, number, now=now - HOUR)
    started = record("backfill", signal.pk, "--from", "2026-11-19T00:00", "--to", "2026-11-21", "--yes")
    assert (started["status"], started["samplePeriodEnd"]) == ("running", "2026-11-20T12:00:00.000Z")
    while SignalRun.objects.collecting().exists():
        backfill.step(now)
    (found,) = record("runs", "--signal", signal.pk)["items"]
    assert (found["id"], found["sampledSpanCount"], found["waitingCount"]) == (started["id"], 3, 3)
    heading, row = run("runs").splitlines()
    assert heading.split()[:4] == ["RUN", "SIGNAL", "V", "STATE"]
    assert "judging" in row
    cancelled = record("cancel-run", found["id"])
    assert (cancelled["status"], cancelled["statusDetail"], cancelled["waitingCount"]) == ("failed", "cancelled", 0)


def test_it_prints_labels_with_their_reasons(signal: Signal, project: Project, now: datetime) -> None:
    labels = answered(signal, project, 3, now)
    heading, *rows = run("labels", signal.pk).splitlines()
    assert heading.split()[:5] == ["ID", "TARGET", "TIME", "LABEL", "STATUS"]
    assert [row.split()[2] for row in rows] == ["yes", "yes", "no"]
    assert "Question 3?" in rows[0]
    assert "It says so." in rows[0]
    first = record("labels", signal.pk)["items"][0]
    assert first == {
        "signal_label_id": str(labels[2].pk),
        "target_type": "trace",
        "target_id": f"{3:032x}",
        "trace_id": f"{3:032x}",
        "target_start_time": "2026-11-20T10:59:58.000Z",
        "status": "done",
        "value": "yes",
        "string_label": None,
        "bool_label": True,
        "sentiment": "negative",
        "reason": "It says so.",
        "error": None,
        "judge": "judge-1",
        "cost": "0.0005",
        "signal_version": 1,
        "manual_run_id": None,
        "completed_at": "2026-11-20T12:00:00.000Z",
        "preview": "Question 3?",
        "tokens": None,
        "test_item_id": None,
    }


def test_it_narrows_labels_and_goes_on_behind_a_page(signal: Signal, project: Project, now: datetime) -> None:
    answered(signal, project, 7, now)

    def ids(*given: object) -> list[int]:
        return [int(label["target_id"], 16) for label in record("labels", signal.pk, *given)["items"]]

    lines = run("labels", signal.pk, "--limit", 2, "--all", "--json").splitlines()
    assert ids() == [int(json.loads(line)["target_id"], 16) for line in lines] == [7, 6, 5, 4, 3, 2, 1]
    assert ids("--label", "no") == ids("--label", "false") == [7, 4, 1]
    assert ids("--label", "no", "--limit", 2) == [7, 4]
    assert ids("--status", "failed") == ids("--signal-version", 2) == ids("--to", "2026-11-20T09:00") == []
    assert ids("--status", "done", "--signal-version", 1, "--from", "2026-11-20T10:00") == [7, 6, 5, 4, 3, 2, 1]
    assert ids("--search", "it says") == ids()
    assert ids("--search", "nothing of it") == []
    errors = io.StringIO()
    call_command("signals", "labels", str(signal.pk), "--limit", "3", stdout=io.StringIO(), stderr=errors)
    assert ids("--after", errors.getvalue().split()[-1]) == [4, 3, 2, 1]
    assert "--after: This is not" in refused("labels", signal.pk, "--after", "soon")
    assert run("labels", signal.pk, "--status", "failed").strip() == "None."


def test_it_prints_a_list_as_csv(signal: Signal, project: Project, now: datetime) -> None:
    labels = answered(signal, project, 3, now)
    Label.objects.filter(pk=labels[0].pk).update(reason="=1+1")
    lines = list(csv.DictReader(io.StringIO(run("export", signal.pk, "--limit", 2, "--all", "--csv"))))
    assert [line["target"] for line in lines] == [f"{number:032x}" for number in (3, 2, 1)]
    assert lines[2]["reason"] == "'=1+1"
    assert len(run("export", signal.pk, "--limit", 2, "--csv").splitlines()) == 3


def test_it_prints_labels_of_sessions(project: Project, now: datetime) -> None:
    signal = make_signal(make_agent(project), scope="session", active_since=now - timedelta(days=1))
    make_session(project, "a:b", now=now - HOUR)
    settle_all(now)
    (found,) = record("labels", signal.pk)["items"]
    assert (found["target_id"], found["trace_id"], found["status"], found["bool_label"]) == (
        "a:b",
        None,
        "queued",
        None,
    )
    assert "queued" in run("labels", signal.pk)


@pytest.mark.parametrize(("bucket", "began"), [("hour", "2026-11-20T10:00"), ("day", "2026-11-20T00:00")])
def test_it_distributes_labels_over_time(
    signal: Signal, project: Project, now: datetime, bucket: str, began: str
) -> None:
    answered(signal, project, 3, now)
    asked = ("distribution", signal.pk, "--from", "2026-11-19", "--bucket", bucket)
    start = f"{began}:00.000Z"
    assert record(*asked)["buckets"] == [
        {"bucket": start, "label": "false", "count": 1},
        {"bucket": start, "label": "true", "count": 2},
    ]
    lines = [line.split() for line in run(*asked).splitlines()]
    assert lines == [["BEGAN", "(UTC)", "LABEL", "COUNT"], [start, "false", "1"], [start, "true", "2"]]
    assert record(*asked, "--signal-version", 2) == {"buckets": []}
    assert "--from: The time must begin before it ends." in refused(*asked, "--to", "2026-11-18")


def test_what_people_wrote_can_not_command_the_terminal(project: Project, now: datetime, signal: Signal) -> None:
    answered(signal, project, 1, now)
    Signal.objects.update(name="\x1b[2J\x9bGone")
    Label.objects.update(reason="\x1b]0;owned\x07")
    for command in (["list"], ["show", signal.pk], ["labels", signal.pk], ["disable", signal.pk]):
        assert "\x1b" not in run(*command)
        assert "\x07" not in run(*command)
        assert run(*command, "--json").isascii()
    make_agent(project, "\x1b[2Jagent")
    assert "\x1b" not in refused("list", "--agent", "nobody")
    assert "\x1b" not in refused("edit", signal.pk, "--scope", "span")


def test_it_reads_arguments_from_json(signal: Signal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "edit.json").write_text(json.dumps({"prompt": "Is it?", "filter": {"attributes": {"tier": "gold"}}}))
    found = record("edit", signal.pk, "--input", tmp_path / "edit.json", "--sample-rate", 5)["currentVersion"]
    assert (found["prompt"], found["sampleRatePercent"]) == ("Is it?", 5)
    assert found["filter"] == {"attributes": {"tier": "gold"}}
    monkeypatch.setattr("sys.stdin", io.StringIO(json.dumps({"signal": signal.pk, "colour": "red"})))
    assert "colour: There is no such field." in refused("show", "--input", "-", code=2)
    monkeypatch.setattr("sys.stdin", io.StringIO("[]"))
    assert "holds no JSON object" in refused("show", "--input", "-")


def test_a_test_that_was_cut_short_says_why(
    signal: Signal, project: Project, now: datetime, judge: JudgeServer
) -> None:
    make_trace(project, 1, now=now - HOUR)
    operations.publish_version(signal, definition.Definition("binary", "Is it?", 100, judge_model="gpt-4o"))
    operations.cap_signal(signal, Cap(Decimal(1)), now)
    Budget.objects.update(spent=Decimal(1), day=now.date())
    started = record("test", signal.pk)
    worker.run(until=lambda: not SignalTest.objects.running().exists())
    found = record("test-results", started["id"])
    assert found["state"] == "stopped"
    assert "budget" in found["stoppedBecause"]
    assert not judge.asked
