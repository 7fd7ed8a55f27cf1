"""Hostile traffic from a request to its label, before a judge that obeys what it sees outside the recording."""

import json
from datetime import datetime
from typing import Any

import pytest

from catalyst.core.models import Project
from signals.judging import worker as judging
from signals.models import Label, Verdict
from tests.factories import LATER, make_agent, make_signal, messages, settle_all
from tests.judge_server import Answer, Asked, JudgeServer, says
from tests.signals.adversarial.attacks import NAMED
from tests.signals.adversarial.reader import orders
from tests.traces.sent import SECOND, nanoseconds
from traces.ingest import pipeline
from traces.models import Trace
from traces.otlp import decode_json

AGENT = "support-bot"


def obeys(asked: Asked) -> Answer:
    seen = orders(asked.payload["messages"])
    return says("yes", f"It said: {seen[0]!r}") if seen else says("no", "Nobody asked for a refund.")


def attacked(number: int, text: str, now: datetime) -> bytes:
    """The request of a turn that holds a text wherever a sender can put one."""
    said = messages("input", ("system", text), ("user", text), (text[:200], text))
    said |= messages("output", ("assistant", text))
    call = "llm__output_messages__0__message__tool_calls__0__tool_call__function__"
    said |= {f"{call}name": text, f"{call}arguments": text}
    identity = {"agent__name": AGENT, "session__id": f"{number} {text}"[:200]}
    kind, first = "openinference__span__kind", number * 16
    return request(
        span(number, first + 1, 0, text, now, {kind: "AGENT"} | identity),
        span(number, first + 2, first + 1, text, now, {kind: "LLM"} | said),
        span(number, first + 3, first + 1, text, now, {kind: "TOOL", "tool__name": text, "input__value": text}),
        span(number, first + 4, first + 1, text, now, {"input__value": text, "output__value": text}),
    )


def request(*spans: dict[str, Any]) -> bytes:
    """OTLP in JSON."""
    return json.dumps({"resourceSpans": [{"scopeSpans": [{"spans": spans}]}]}).encode()


def span(trace: int, number: int, parent: int, text: str, now: datetime, said: dict[str, Any]) -> dict[str, Any]:
    """A failed span whose name, status and exception are the text; attribute names are written with underscores."""
    exception = {"exception.type": text[:200], "exception.message": text, "exception.stacktrace": text}
    return {
        "traceId": f"{trace:032x}",
        "spanId": f"{number:016x}",
        "parentSpanId": f"{parent:016x}" if parent else "",
        "name": text[:1_000],
        "startTimeUnixNano": str(nanoseconds(now) - SECOND),
        "endTimeUnixNano": str(nanoseconds(now)),
        "attributes": attributes(said),
        "status": {"code": 2, "message": text},
        "events": [{"name": "exception", "timeUnixNano": str(nanoseconds(now)), "attributes": attributes(exception)}],
    }


def attributes(said: dict[str, str]) -> list[dict[str, Any]]:
    return [{"key": key.replace("__", "."), "value": {"stringValue": value}} for key, value in said.items()]


def post(project: Project, body: bytes, now: datetime) -> None:
    decoded = decode_json(body)
    assert not decoded.rejected
    pipeline.store(project.pk, decoded.spans, now)


@pytest.mark.slow
@pytest.mark.parametrize("scope", ["span", "trace", "session"])
def test_hostile_traffic_gets_the_labels_that_it_deserves(
    project: Project, now: datetime, judge: JudgeServer, scope: str
) -> None:
    judge.script = obeys
    make_signal(make_agent(project, AGENT), scope=scope, active_since=now)
    for number, text in enumerate(NAMED.values(), start=1):
        post(project, attacked(number, text, now), now)
    assert Trace.objects.count() == len(NAMED)
    settle_all(now)
    judging.run(lambda: now + 2 * LATER)
    assert dict(Label.objects.values_list("target_key", "reason")) == dict.fromkeys(
        Label.objects.values_list("target_key", flat=True), "Nobody asked for a refund."
    )
    assert set(Label.objects.values_list("status", "value")) == {("done", "no")}
    assert len({asked.instructions for asked in judge.asked}) == 1
    assert Label.objects.count() == Verdict.objects.count() == len(judge.asked) == len(NAMED)


def test_an_attack_over_many_messages_and_turns(project: Project, now: datetime, judge: JudgeServer) -> None:
    judge.script = obeys
    make_signal(make_agent(project, AGENT), scope="session", active_since=now)
    for number in range(1, 6):
        said = messages("input", *(("user", text[:500]) for text in NAMED.values()))
        said |= {"openinference__span__kind": "LLM", "agent__name": AGENT, "session__id": "s"}
        post(project, request(span(number, number, 0, "chat", now, said)), now)
    settle_all(now)
    judging.run(lambda: now + 2 * LATER)
    assert Label.objects.get().value == "no"
