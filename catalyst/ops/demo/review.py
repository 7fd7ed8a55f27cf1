"""The code review agent: pull requests, one of them very large."""

import json
import tomllib
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

from catalyst.ops.demo.spans import SECOND, Message, Model, Run, ToolUse, call_id, fail
from traces.otlp import DecodedSpan, Source

ID, NAME, VERSION = "demo-code-review", "Code Reviewer", "1.12.0"
REVIEWER = Model("claude-sonnet-4-5", "anthropic", speed=70, preamble=1400)
# Self-hosted, so no price is known.
IN_HOUSE = Model("acme-reviewer-8b", "vllm", speed=140, preamble=700)
# With three spans a file and five around them the trace has 200 spans.
LARGE_FILES = 65
MAX_REMEMBERED_STEPS = 6
SYSTEM = (
    "You review pull requests of acme. Read every changed file before you judge. Name the file and the reason, propose "
    "the smallest fix, and say what is good. Post one review at the end."
)
FAILURES = (
    ("HTTPError", "502 Bad Gateway from the code host"),
    ("ContextLengthExceeded", "prompt is too long: 214,330 tokens > 200,000 maximum"),
    ("OverloadedError", "529 Overloaded"),
)
# Seconds until authors push a fix.
PAUSES = (240, 1500)


@cache
def texts() -> dict[str, list[str]]:
    path = Path(__file__).parent / "texts" / "review.toml"
    loaded: dict[str, list[str]] = tomllib.loads(path.read_text(encoding="utf-8"))
    return loaded


@cache
def source(environment: str) -> Source:
    attributes = {
        "service.name": "review-bot",
        "service.version": VERSION,
        "deployment.environment.name": environment,
        "telemetry.sdk.language": "nodejs",
    }
    return Source(attributes, "@arizeai/openinference-instrumentation-anthropic", "0.1.9")


def converse(rng: Random, start: int, _: bool) -> list[list[DecodedSpan]]:
    request = PullRequest(rng, start)
    worked = request.review(request.fill("asks"), files=rng.randint(1, 5))
    if not worked and rng.random() < 0.7:
        worked = request.review("The check failed on your side. Please review it again.", files=rng.randint(1, 3))
    for _number in range(rng.choices((0, 1, 2), (45, 40, 15))[0] if worked else 0):
        request.review(request.fill("again"), files=1, again=True)
    return request.turns


def large(rng: Random, start: int) -> list[list[DecodedSpan]]:
    """A run with 200 spans."""
    request = PullRequest(rng, start)
    request.model = REVIEWER
    request.facts |= {"repository": "acme/ledger", "title": "Rename Money to Amount everywhere"}
    request.review(request.fill("asks"), files=LARGE_FILES, tests=False)
    return request.turns


@dataclass(slots=True)
class PullRequest:
    rng: Random
    at: int
    turns: list[list[DecodedSpan]] = field(default_factory=list)
    history: list[Message] = field(default_factory=list)
    facts: dict[str, str] = field(default_factory=dict)
    number: int = 0
    model: Model = REVIEWER

    def __post_init__(self) -> None:
        rng, phrases = self.rng, texts()
        self.number = rng.randrange(180, 4_200)
        self.model = IN_HOUSE if rng.random() < 0.18 else REVIEWER
        self.facts = {
            "number": str(self.number),
            "repository": rng.choice(phrases["repositories"]),
            "author": rng.choice(phrases["authors"]),
            "title": rng.choice(phrases["titles"]).format(thing=rng.choice(phrases["things"])),
            "environment": "staging" if self.model is IN_HOUSE and rng.random() < 0.6 else "production",
        }

    def fill(self, kind: str, **more: str) -> str:
        # Details are drawn anew for each text.
        rng, phrases = self.rng, texts()
        drawn = {
            "path": self.path(),
            "function": rng.choice(phrases["functions"]),
            "name": rng.choice(phrases["names"]),
            "count": f"{rng.choice((12, 40, 250, 3, 18))},000",
            "attempts": str(rng.randint(3, 8)),
            "sha": f"{rng.getrandbits(28):07x}",
            "count_open": rng.choice(("one", "two", "three")),
        }
        return rng.choice(phrases[kind]).format(**{**drawn, **self.facts, **more})

    def path(self) -> str:
        phrases = texts()
        return f"{self.rng.choice(phrases['folders'])}/{self.rng.choice(phrases['files'])}.py"

    def review(self, text: str, *, files: int, again: bool = False, tests: bool = True) -> bool:
        # Returns whether a review was posted.
        rng = self.rng
        self.history.append(Message("user", text))
        slow = rng.uniform(3, 6) if rng.random() < 0.04 else rng.lognormvariate(0, 0.35)
        run = Run(rng, source(self.facts["environment"]), self.at, slow)
        failure = rng.choice(FAILURES) if tests and rng.random() < 0.035 else None
        with run.span("review.pull_request", "AGENT", self._attributes(text)) as root:
            diff = ToolUse("get_diff", {"repository": self.facts["repository"], "number": self.number}, call_id(rng))
            self._use(run, diff, 0.6, self._diff(files), "")
            if failure is None:
                self._read(run, files, again)
                if tests and rng.random() < 0.6:
                    self._test(run)
                root.attributes["output.value"] = self._post(run, again)
        if failure is not None:
            fail(root, *failure)
        self.turns.append(run.spans)
        self.at = run.at + int(rng.uniform(*PAUSES) * SECOND)
        return failure is None

    def _read(self, run: Run, files: int, again: bool) -> None:
        remark = ""
        for _ in range(files):
            path = self.path()
            with run.span("review.file", "CHAIN", {"input.value": path}):
                call = ToolUse("read_file", {"path": path, "ref": "head"}, call_id(self.rng))
                self._use(run, call, 0.15, self._code(path), remark)
            remark = self.fill("praise" if again or self.rng.random() < 0.3 else "findings", path=path)

    def _test(self, run: Run) -> None:
        passed, failed = self.rng.randint(80, 900), self.rng.choice((0, 0, 0, 0, 1, 2))
        call = ToolUse("run_tests", {"repository": self.facts["repository"]}, call_id(self.rng))
        self._use(run, call, 14, {"passed": passed, "failures": failed, "seconds": passed // 20}, "")

    def _post(self, run: Run, again: bool) -> str:
        rng = self.rng
        kind = "approvals" if again else "verdicts"
        if self.model is IN_HOUSE and rng.random() < 0.35:
            kind = "lazy"
        answer = self.fill(kind)
        if kind == "verdicts":
            answer = "\n".join(f"- {self.fill('findings')}" for _ in range(rng.randint(1, 3))) + f"\n\n{answer}"
        if kind == "approvals":
            answer = f"{self.fill('praise')} {answer}"
        call = ToolUse("post_review", {"number": self.number, "event": "comment", "body": answer[:120]}, call_id(rng))
        reply = Message("assistant", answer, calls=[call])
        run.call_model(self.model, self._prompt(), reply)
        run.call_tool(call, 0.5, {"ok": True, "url": f"https://code.acme.example/{self.number}#review"})
        self.history += [reply, Message("tool", '{"ok": true}', call_id=call.id)]
        return answer

    def _use(self, run: Run, call: ToolUse, seconds: float, result: object, remark: str) -> None:
        tool_request = Message("assistant", remark, calls=[call])
        run.call_model(self.model, self._prompt(), tool_request)
        run.call_tool(call, seconds, result)
        output = result if isinstance(result, str) else json.dumps(result)
        self.history += [tool_request, Message("tool", output, call_id=call.id)]

    def _prompt(self) -> list[Message]:
        # Long reviews are trimmed to the request and the latest steps.
        return [Message("system", SYSTEM), *self.history[:1], *self.history[1:][-MAX_REMEMBERED_STEPS:]]

    def _attributes(self, text: str) -> dict[str, Any]:
        return {
            "agent.id": ID,
            "agent.name": NAME,
            "session.id": f"{self.facts['repository']}#{self.number}",
            "user.id": self.facts["author"],
            "input.value": text,
            "metadata": json.dumps({"repository": self.facts["repository"], "title": self.facts["title"]}),
        }

    def _diff(self, files: int) -> str:
        rng = self.rng
        lines = [
            f"{self.path()} | {rng.randint(2, 60)} +{rng.randint(1, 40)} -{rng.randint(0, 20)}" for _ in range(files)
        ]
        return "\n".join(lines)

    def _code(self, path: str) -> str:
        rng, phrases = self.rng, texts()
        function, name, option = rng.choice(phrases["functions"]), *rng.sample(phrases["names"], 2)
        return (
            f"# {path}\ndef {function}({name}, {option}=None):\n    if not {name}:\n        return []\n"
            f"    found = store.{rng.choice(phrases['functions'])}({name}, limit={rng.randint(10, 900)})\n"
            f"    return [row for row in found if row.{option} is not None]\n"
        )
