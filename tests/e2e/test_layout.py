"""Pages stand still, fit their window and are light."""

import json
import time
from dataclasses import dataclass

import httpx
import pytest
from playwright.sync_api import Browser, Page, Request

from tests.e2e import pages
from tests.e2e.conftest import silent_window
from tests.e2e.instance import Instance, sign_in
from tests.e2e.pages import Stop
from tests.processes import eventually

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

LIGHT = 150_000
"""Bytes that a page may weigh, without the library that draws charts."""
STEADY = 0.02
"""Cumulative layout shift; a quarter of what web.dev calls good and nobody sees."""
# New traffic moves rows, too, but a page that stands still loads all of its panels.
WATCH = """
    try { localStorage.setItem("live", "off"); } catch { /* about:blank has none */ }
    window.shifts = 0;
    new PerformanceObserver((list) => list.getEntries().forEach((entry) => {
        if (!entry.hadRecentInput) window.shifts += entry.value;
    })).observe({ type: "layout-shift", buffered: true });
"""


NARROW, WIDE = 390, 1440
WIDTHS = (NARROW, 1024, 1280)
"""In ascending order: a page that shrinks needs a moment for its charts."""


@dataclass
class Measures:
    """Measures of one page."""

    weight: int
    overflows: dict[int, int]
    shifts: dict[int, float]


@pytest.fixture(scope="module")
def measures(demo: Instance, chromium: Browser, stops: list[Stop]) -> dict[str, Measures]:
    """The measures of each page, by its name."""
    with silent_window(chromium) as page:
        page.context.new_cdp_session(page).send("Network.setCacheDisabled", {"cacheDisabled": True})
        page.add_init_script(WATCH)
        page.set_viewport_size({"width": NARROW, "height": 900})
        finished: list[Request] = []

        def note(request: Request) -> None:
            finished.append(request)

        page.on("requestfinished", note)
        found = {}
        for stop in pages.walk(page, demo, stops):
            found[stop.name] = measure(page, finished)
            page.set_viewport_size({"width": NARROW, "height": 900})
            finished.clear()
        return found


def measure(page: Page, finished: list[Request]) -> Measures:
    """Measure a page that loads at the narrow width, then widen it and load it again."""
    shifts = {NARROW: layout_shift(page)}
    sizes = [request.sizes() for request in finished if "plotly" not in request.url]
    weight = sum(size["responseBodySize"] + size["responseHeadersSize"] for size in sizes)
    overflows = {width: overflow(page, width) for width in WIDTHS}
    page.set_viewport_size({"width": WIDE, "height": 900})
    page.reload()
    shifts[WIDE] = layout_shift(page)
    return Measures(weight, overflows, shifts)


def layout_shift(page: Page) -> float:
    """The cumulative layout shift of a page since its load."""
    page.wait_for_load_state("networkidle")
    return float(page.evaluate("new Promise((done) => setTimeout(() => done(window.shifts), 100))"))


def overflow(page: Page, width: int) -> int:
    """Pixels by which a page is wider than a window of this width."""
    page.set_viewport_size({"width": width, "height": 900})
    return max(0, int(page.evaluate("document.documentElement.scrollWidth")) - width)


@pytest.mark.parametrize("width", WIDTHS)
def test_no_page_is_wider_than_its_window(measures: dict[str, Measures], width: int) -> None:
    assert [name for name, found in measures.items() if found.overflows[width]] == []


@pytest.mark.parametrize("width", [NARROW, WIDE])
def test_nothing_jumps_while_panels_load(measures: dict[str, Measures], width: int) -> None:
    assert [name for name, found in measures.items() if found.shifts[width] >= STEADY] == []


def test_every_page_is_light_when_nothing_is_cached(measures: dict[str, Measures]) -> None:
    assert all(found.weight for found in measures.values())
    assert {name: found.weight for name, found in measures.items() if found.weight >= LIGHT} == {}


WORD = "Wx" * 2_500
ATTRIBUTES = {
    **{"agent.name": WORD, "session.id": WORD, "user.id": WORD, WORD: WORD, "openinference.span.kind": "LLM"},
    **{"llm.model_name": WORD, "llm.token_count.prompt": "7", "input.value": WORD, "output.value": WORD},
    **{"tool.name": WORD, "deployment.environment": WORD},
}
TRACES = "SELECT count(*) FROM traces_trace t JOIN core_project p ON p.id = t.project_id WHERE p.slug = 'words'"
LABELS = f"""
from django.utils import timezone
from catalyst.agents.models import Agent
from catalyst.core.models import Project
from signals import operations
from signals.definitions.definition import Definition
from signals.models import Label
from traces.models import Span, Trace
project, now = Project.objects.get(slug="words"), timezone.now()
agent, trace = Agent.objects.get(project=project), Trace.objects.get(project=project)
span = Span.objects.filter(project_id=project.pk, parent_id=None).get()
pks = []
for scope in ("trace", "span", "session"):
    about = Definition(type="string", prompt="Is it?", labels=["W" * 60, "no"], sample_rate=100)
    signal = operations.create_signal(agent, name="W" * 99 + scope[1], scope=scope, definition=about)
    places = {{
        "trace": {{"target_key": trace.trace_id.hex, "trace_id": trace.trace_id}},
        "span": {{"target_key": f"{{trace.trace_id.hex}}:1", "trace_id": trace.trace_id, "span_id": span.span_id}},
        "session": {{"target_key": trace.session.key, "session_key": trace.session.key}},
    }}
    label = Label.objects.create(
        version=signal.current_version, signal=signal, project=project, scope=scope, target_time=trace.start_time,
        wanted_revision=1, judged_revision=1, status="done", value="W" * 60, reason="{WORD}", error="{WORD}",
        judge="W" * 200, labelled_at=now, not_before=now, **places[scope],
    )
    pks += [signal.pk, label.pk]
print(agent.pk, trace.pk, trace.session_id, *pks)
"""


def send_words(url: str, key: str) -> None:
    """A trace whose every text is one long word."""
    ended = time.time_ns()
    attributes = [{"key": name, "value": {"stringValue": value}} for name, value in ATTRIBUTES.items()]
    times = {"startTimeUnixNano": str(ended - 10**9), "endTimeUnixNano": str(ended)}
    root = {
        **times,
        **{"traceId": f"{1:032x}", "spanId": f"{1:016x}", "name": WORD, "attributes": attributes},
        "status": {"code": 2, "message": WORD},
        "events": [{"name": WORD, "timeUnixNano": str(ended), "attributes": attributes}],
    }
    tool = {**root, "spanId": f"{2:016x}", "parentSpanId": f"{1:016x}"}
    tool["attributes"] = [
        {"key": name, "value": {"stringValue": "TOOL" if value == "LLM" else value}}
        for name, value in ATTRIBUTES.items()
    ]
    resource = {"attributes": [{"key": "service.name", "value": {"stringValue": WORD}}]}
    body = {"resourceSpans": [{"resource": resource, "scopeSpans": [{"spans": [root, tool]}]}]}
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
    answer = httpx.post(f"{url}/v1/traces", content=json.dumps(body), headers=headers, timeout=30)
    assert answer.status_code == 200


@pytest.fixture(scope="module")
def wordy(catalyst: Instance) -> list[str]:
    """The pages that show a trace whose every text is one long word."""
    (key,) = catalyst.new_projects("words")
    send_words(catalyst.url, key)
    eventually(lambda: catalyst.count(TRACES) == 1)
    agent, pk, session, *labels = catalyst.shell(LABELS).split()
    trace, span = f"traces/{1:032x}/", f"span={1:016x}"
    of_signals = [
        path
        for signal, label in zip(labels[::2], labels[1::2], strict=True)
        for path in (f"signals/{signal}/", f"signals/{signal}/labels/{label}/", f"signals/{signal}/edit/")
    ]
    of_signals += [f"alerts/new/?signal={signal}" for signal in labels[::2]]
    of_agent = [f"agents/{agent}/{tab}" for tab in ("", "sessions/", "traces/", "signals/", "alerts/", "analysis/")]
    of_trace = [trace, *(f"{trace}?{span}&pane={pane}" for pane in ("io", "attributes", "events", "labels"))]
    of_trace.append(f"{trace}?span={2:016x}")
    lists = ["agents/", "traces/", "sessions/", f"sessions/{session}/", "signals/", f"traces/?q={'W' * 190}"]
    missing = [f"signals/absences/traces/{pk}/", f"signals/absences/sessions/{session}/"]
    return [f"/p/words/{path}" for path in (*lists, *of_trace, *of_agent, *of_signals, *missing)]


@pytest.mark.parametrize("width", [NARROW, 1280])
def test_a_word_of_thousands_of_letters_fits_every_window(
    catalyst: Instance, wordy: list[str], chromium: Browser, width: int
) -> None:
    with silent_window(chromium) as page:
        sign_in(page, catalyst)
        found = {}
        for path in wordy:
            answer = page.goto(catalyst.url + path)
            assert answer is not None
            assert answer.status in (200, 404)
            page.wait_for_load_state("networkidle")
            found[path] = overflow(page, width)
    assert {path: pixels for path, pixels in found.items() if pixels} == {}
