"""The research agent: retrieval and citations."""

import json
import tomllib
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

from catalyst.ops.demo.spans import SECOND, Message, Model, Run, ToolUse, call_id, fail
from traces.otlp import DecodedSpan, Source

ID, NAME, VERSION = "demo-research", "Research Assistant", "0.9.3"
WRITER = Model("gemini-2.5-flash", "google", speed=160, preamble=250)
EMBEDDING = "text-embedding-3-small"
SYSTEM = (
    "You answer questions from the library only. Search before you answer, cite sources as [1], [2], and say plainly "
    "where the evidence is thin."
)
FAILURES = (
    ("VectorStoreError", "no answer from shard 3 of library-v7"),
    ("TimeoutError", "reranker took longer than 15 s"),
    ("ResourceExhausted", "429 Quota exceeded for gemini-2.5-flash"),
)
PAUSES = (40, 420)


@cache
def texts() -> dict[str, list[str]]:
    path = Path(__file__).parent / "texts" / "research.toml"
    loaded: dict[str, list[str]] = tomllib.loads(path.read_text(encoding="utf-8"))
    return loaded


@cache
def source(environment: str) -> Source:
    attributes = {
        "service.name": "research-api",
        "service.version": VERSION,
        "deployment.environment.name": environment,
        "telemetry.sdk.language": "python",
    }
    return Source(attributes, "openinference.instrumentation.google_genai", "0.1.6")


def converse(rng: Random, start: int, _: bool) -> list[list[DecodedSpan]]:
    talk = Inquiry(rng, start)
    draw = rng.random()
    if draw < 0.03:
        talk.refuse()
    worked = talk.ask(talk.fill("multilingual" if 0.1 < draw < 0.28 else "asks"))
    for _number in range(rng.choices((0, 1, 2, 3), (30, 35, 25, 10))[0] if worked else 0):
        talk.ask(talk.fill("displeased" if rng.random() < 0.04 else "follow"))
    if worked and rng.random() < 0.3:
        talk.close()
    return talk.turns


@dataclass(slots=True)
class Inquiry:
    rng: Random
    at: int
    turns: list[list[DecodedSpan]] = field(default_factory=list)
    history: list[Message] = field(default_factory=list)
    facts: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        rng, phrases = self.rng, texts()
        self.facts = {
            "topic": rng.choice(phrases["topics"]),
            "aspect": rng.choice(phrases["aspects"]),
            "place": rng.choice(phrases["places"]),
            "session": f"inquiry-{rng.getrandbits(40):010x}",
            "user": f"{rng.choice(phrases['authors']).lower()}@institute.example",
            "environment": rng.choices(("production", "staging"), (90, 10))[0],
        }

    def fill(self, kind: str) -> str:
        rng = self.rng
        drawn = {
            "year": str(rng.randint(2019, 2025)),
            "percent": str(rng.randint(2, 48)),
            "count": str(rng.randint(4, 60)),
            "factor": rng.choice(("1.4", "2", "3", "5")),
        }
        return rng.choice(texts()[kind]).format(**drawn, **self.facts)

    def ask(self, text: str) -> bool:
        # Returns whether the turn succeeded.
        rng = self.rng
        failure = rng.choice(FAILURES) if rng.random() < 0.03 else None
        run, attributes = self._begin(text)
        with run.span("research.answer", "AGENT", attributes) as root:
            findings: list[str] = []
            for _ in range(rng.choices((1, 2, 3), (45, 40, 15))[0]):
                findings += self._search(run, failure)
                if failure is not None:
                    break
            if failure is None:
                self._reply(run, root, self._answer(findings))
        if failure is not None:
            fail(root, *failure)
        self._end(run)
        return failure is None

    def refuse(self) -> None:
        self._talk(self.fill("jailbreaks"), self.fill("refusals"))

    def close(self) -> None:
        self._talk(self.fill("thanks"), self.fill("closings"))

    def _talk(self, text: str, answer: str) -> None:
        run, attributes = self._begin(text)
        with run.span("research.answer", "AGENT", attributes) as root:
            self._reply(run, root, answer)
        self._end(run)

    def _search(self, run: Run, failure: tuple[str, str] | None) -> list[str]:
        rng, facts = self.rng, self.facts
        query = f"{facts['topic']} {rng.choice(texts()['aspects'])} {rng.choice(texts()['places'])}"
        call = ToolUse("search_library", {"query": query, "top": 4}, call_id(rng))
        tool_request = Message("assistant", calls=[call])
        run.call_model(WRITER, [Message("system", SYSTEM), *self.history], tool_request)
        papers = [self._paper() for _ in range(rng.randint(2, 4))]
        with run.span("retrieve", "CHAIN", {"input.value": query}) as chain:
            vector = {"embedding.model_name": EMBEDDING, "embedding.embeddings.0.embedding.text": query}
            run.step(f"embed {EMBEDDING}", "EMBEDDING", 0.08, {**vector, "llm.token_count.prompt": len(query) // 4})
            span = run.step("search_library", "RETRIEVER", 0.3, _retrieved(call, papers))
        if failure is not None:
            for failed in (span, chain):
                fail(failed, *failure)
                failed.attributes.pop("output.value", None)
            return []
        self.history += [tool_request, Message("tool", json.dumps(papers), call_id=call.id)]
        return papers

    def _paper(self) -> str:
        rng, phrases = self.rng, texts()
        author, year, journal = rng.choice(phrases["authors"]), rng.randint(2019, 2025), rng.choice(phrases["journals"])
        return (
            f"{author} et al. ({year}), {journal}: {rng.choice(phrases['methods'])} on {self.facts['topic']} in "
            f"{rng.choice(phrases['places'])} (n = {rng.randint(24, 4_800)}) found {self.fill('results')}."
        )

    def _answer(self, findings: list[str]) -> str:
        cited = "\n".join(f"{number}. {finding} [{number}]" for number, finding in enumerate(findings[:5], start=1))
        return f"{self.fill('leads')}\n\n{cited}\n\n{self.fill('ends')}"

    def _reply(self, run: Run, root: DecodedSpan, answer: str) -> None:
        reply = Message("assistant", answer)
        run.call_model(WRITER, [Message("system", SYSTEM), *self.history], reply)
        self.history.append(reply)
        root.attributes["output.value"] = answer

    def _begin(self, text: str) -> tuple[Run, dict[str, Any]]:
        rng, facts = self.rng, self.facts
        self.history.append(Message("user", text))
        slow = rng.uniform(4, 9) if rng.random() < 0.03 else rng.lognormvariate(0, 0.3)
        attributes = {
            "agent.id": ID,
            "agent.name": NAME,
            "session.id": facts["session"],
            "user.id": facts["user"],
            "input.value": text,
            "metadata": json.dumps({"collection": "library-v7"}),
        }
        return Run(rng, source(facts["environment"]), self.at, slow), attributes

    def _end(self, run: Run) -> None:
        self.turns.append(run.spans)
        self.at = run.at + int(self.rng.uniform(*PAUSES) * SECOND)


def _retrieved(call: ToolUse, papers: list[str]) -> dict[str, Any]:
    documents = {
        f"retrieval.documents.{number}.document.{key}": value
        for number, text in enumerate(papers)
        for key, value in (("id", f"doc-{len(text) * 31 + number}"), ("content", text), ("score", 0.93 - number / 12))
    }
    arguments = json.dumps(dict(call.arguments))
    attributes = {"tool.name": call.name, "tool_call.id": call.id, "input.value": arguments}
    return {**attributes, "output.value": json.dumps(papers), **documents}
