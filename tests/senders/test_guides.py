"""The snippets of the guides are those that run."""

import re
import sys
from pathlib import Path

import pytest

from catalyst.core.models import Project
from tests.processes import ROOT
from tests.senders.environments import run
from tests.senders.reading import read
from tests.senders.recording import FOLDER, SENDERS, packages, snippet

GUIDE = ROOT / "docs" / "guide"
SENDERS_PAGE = (GUIDE / "senders.md").read_text()
# What the guide leaves to its readers.
READERS = """
import json
import os
import urllib.request


def search(question):
    return ["Orders arrive on Tuesdays."]


def call_model(model, messages):
    body = json.dumps({"model": model, "messages": messages}).encode()
    request = urllib.request.Request(os.environ["OPENAI_BASE_URL"] + "/chat/completions", body)
    with urllib.request.urlopen(request) as response:
        return json.load(response)
"""


@pytest.mark.parametrize("name", SENDERS)
def test_it_shows_what_runs(name: str) -> None:
    shown = f"\n{snippet(FOLDER / name)}\n```"
    assert shown in SENDERS_PAGE, f"copy the marked part of tests/senders/{name}/send.* into the guide"


@pytest.mark.parametrize("name", SENDERS)
def test_it_says_what_to_install(name: str) -> None:
    before, _, _ = SENDERS_PAGE.partition(snippet(FOLDER / name))
    (line,) = re.findall(r"^(?:pip|npm) install (.*)$", before.rpartition("\n## ")[2], re.MULTILINE)
    shown = [re.sub(r"[\[<].*|(?<=.)@\d+$", "", word.strip("'")) for word in line.split()]
    assert sorted(shown) == sorted(packages(FOLDER / name))


@pytest.mark.slow
@pytest.mark.django_db
def test_spans_made_by_hand_read_as_they_should(project: Project, tmp_path: Path) -> None:
    blocks = re.findall(r"```python\n(.*?)```", (GUIDE / "custom-spans.md").read_text(), re.DOTALL)
    (worker,) = (block for block in blocks if "TRACEPARENT" in block and "extract" in block)
    (tmp_path / "worker.py").write_text(worker)
    (tmp_path / "main.py").write_text("\n".join([READERS, *(block for block in blocks if block is not worker)]))
    reading = read(run([sys.executable, "main.py"], tmp_path), project)
    assert reading == {
        "traces": 1,
        "agents": ["Support"],
        "sessions": ["chat-42"],
        "users": ["user-7"],
        "conversation": [
            "system: You help customers of a shop. You know: orders It is in stock. Orders arrive on Tuesdays.",
            "user: Where is order 1234?",
            "assistant > check_stock(1234) = It is in stock.",
            'assistant > search-docs(Where is order 1234?) = ["Orders arrive on Tuesdays."]',
            "assistant: Your order arrives on Tuesday.",
        ],
        "input preview": "Where is order 1234?",
        "output preview": "Your order arrives on Tuesday.",
        "input tokens": 150,
        "cached tokens": 0,
        "output tokens": 10,
        # 150 tokens at 0.15 dollars a million and 10 at 0.60.
        "cost": "0.0000285",
        "errors": 0,
        "model calls": {"gpt-4o-mini-2024-07-18": 1},
        "tools": {"check_stock": 1},
        "kinds": {"AGENT": 1, "CHAIN": 1, "LLM": 1, "RETRIEVER": 1, "SPAN": 1, "TOOL": 1},
    }
