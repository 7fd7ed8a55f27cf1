"""Axe finds nothing on any page, in both themes, wide and narrow."""

import json
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page

from tests.e2e.instance import Instance, sign_in
from tests.processes import eventually

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

SIGNAL = """
from django.utils import timezone
from catalyst.agents.models import Agent
from signals import actions
from signals.actions import Question
agent = Agent.objects.get(project__slug="accessible")
signal = actions.create_signal(agent, name="Refund", scope="trace", question=Question("binary", "A refund?", 100))
actions.activate(signal, timezone.now())
print(signal.pk)
"""
LABELLED = "SELECT count(*) FROM signals_label WHERE signal_id = %s AND status = 'done'"
RULES = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]}


def turn(trace: int, start: int, *, failed: bool) -> dict[str, Any]:
    """A run with a model call and a tool."""
    ids = {"traceId": f"{trace:032x}", "startTimeUnixNano": str(start)}

    def span(number: int, parent: int | None, end: int, **attributes: str) -> dict[str, Any]:
        listed = [{"key": key.replace("__", "."), "value": {"stringValue": value}} for key, value in attributes.items()]
        of = {"parentSpanId": f"{parent:016x}"} if parent else {}
        status = {"code": 2, "message": "it broke"} if failed and number != 2 else {"code": 1}
        times = {"endTimeUnixNano": str(start + end * 1_000_000)}
        return ids | times | of | {"spanId": f"{number:016x}", "name": "step", "status": status, "attributes": listed}

    identity = {"agent__id": "shop", "agent__name": "Shop", "session__id": "s1", "user__id": "u1"}
    said = json.dumps([{"role": "user", "content": "Where is **my** order?"}])
    return {
        "scopeSpans": [
            {
                "spans": [
                    span(1, None, 900, openinference__span__kind="AGENT", input__value="Hello", **identity),
                    span(2, 1, 500, openinference__span__kind="LLM", llm__input_messages=said, output__value="Soon."),
                    span(3, 1, 700, openinference__span__kind="TOOL", tool__name="look_up", input__value='{"id": 1}'),
                ]
            }
        ]
    }


def post(catalyst: Instance, key: str, first: int) -> None:
    """Two runs of one session that end now, the second of them failed."""
    (now,) = catalyst.query("SELECT (extract(epoch FROM now()) * 1000)::bigint")[0]
    turns = [turn(first + n, (now - 2000 + n) * 1_000_000, failed=bool(n)) for n in range(2)]
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
    body = json.dumps({"resourceSpans": turns}).encode()
    urllib.request.urlopen(urllib.request.Request(f"{catalyst.url}/v1/traces", body, headers)).close()


@pytest.fixture(scope="module")
def paths(catalyst: Instance) -> dict[str, str]:
    """Every page by name, of a project with data and of one without."""
    full, _ = catalyst.new_projects("accessible", "empty")
    post(catalyst, full, 1)
    signal = catalyst.manage("shell", "--verbosity=0", "-c", SIGNAL)
    post(catalyst, full, 3)
    eventually(lambda: catalyst.count(LABELLED, signal) == 2)
    (session,) = catalyst.query(
        "SELECT s.id FROM traces_session s JOIN core_project p ON p.id = s.project_id WHERE p.slug = 'accessible'"
    )[0]
    (agent,) = catalyst.query("SELECT agent_id FROM traces_session WHERE id = %s", session)[0]
    return {
        "agents": "/p/accessible/agents/",
        "no agents": "/p/empty/agents/",
        "agent": f"/p/accessible/agents/{agent}/",
        "agent's sessions": f"/p/accessible/agents/{agent}/sessions/",
        "agent's traces": f"/p/accessible/agents/{agent}/traces/",
        "agent's signals": f"/p/accessible/agents/{agent}/signals/",
        "agent's analysis": f"/p/accessible/agents/{agent}/analysis/",
        "traces": "/p/accessible/traces/",
        "no traces": "/p/empty/traces/",
        "trace": f"/p/accessible/traces/{4:032x}/",
        "span": f"/p/accessible/traces/{4:032x}/?span={2:016x}",
        "sessions": "/p/accessible/sessions/",
        "session": f"/p/accessible/sessions/{session}/",
        "signals": "/p/accessible/signals/",
        "no signals": "/p/empty/signals/",
        "signal": f"/p/accessible/signals/{signal}/",
        "new signal": "/p/accessible/signals/new/?template=task_outcome",
        "edit": f"/p/accessible/signals/{signal}/edit/",
        "settings": "/p/accessible/settings/",
    }


@pytest.mark.parametrize("width", [1440, 390])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing(
    catalyst: Instance, page: Page, javascript: Path, paths: dict[str, str], scheme: Any, width: int
) -> None:
    page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
    page.set_viewport_size({"width": width, "height": 900})
    sign_in(page, catalyst)
    axe = (javascript / "node_modules" / "axe-core" / "axe.min.js").read_text()
    found: dict[str, list[str]] = {}
    for name, path in paths.items():
        page.goto(catalyst.url + path)
        page.wait_for_load_state()
        page.evaluate(axe)
        result = page.evaluate("rules => axe.run(document, rules)", RULES)
        found |= {
            f"{name}: {violation['id']}": [node["html"][:120] for node in violation["nodes"][:3]]
            for violation in result["violations"]
        }
    assert found == {}
