"""The support agent of an outdoor shop: orders, tools, six languages, one bad version."""

import json
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

from catalyst.ops.demo.spans import SECOND, Message, Model, Run, ToolUse, call_id, fail
from traces.otlp import DecodedSpan, Source

ID, NAME = "demo-support", "Support Assistant"
GOOD, BAD = "2.3.4", "2.4.0"
LANGUAGES = {"en": 46, "de": 15, "es": 13, "fr": 11, "ja": 9, "ar": 6}
PLANNER, WRITER = Model("gpt-4o-mini", "openai", speed=110), Model("gpt-4.1", "openai", speed=80)
ACTIONS = {
    "track": "track_parcel",
    "return": "create_return",
    "address": "update_address",
    "cancel": "cancel_order",
    "invoice": "send_invoice",
}
CITIES = ("Leipzig", "Lyon", "Bilbao", "Graz", "Osaka", "Casablanca", "Bristol", "Ghent", "Turin", "Portland", "Oslo")
CARRIERS = ("DHL", "UPS", "DPD", "GLS", "FedEx")
FAILURES = (
    ("RateLimitError", "429 Too many requests for gpt-4.1; retry after 20 s"),
    ("ConnectionError", "orders-api closed the connection without an answer"),
    ("ValidationError", "order total is negative after the voucher"),
)
TIMEOUT = "ToolTimeout", "orders-api did not answer within 10 s"
SYSTEM = (
    "You are the support assistant of Fernweg, a shop for outdoor gear. Answer in the customer's language, briefly. "
    "Look the order up before you say anything about it. Use the tools to act; promise only what a tool has confirmed."
)
MAX_TURNS = 7
# Seconds until people answer.
PAUSES = (25, 240)


@cache
def texts(language: str) -> dict[str, Any]:
    return tomllib.loads((Path(__file__).parent / "texts" / f"support.{language}.toml").read_text(encoding="utf-8"))


@cache
def source(version: str, environment: str) -> Source:
    attributes = {
        "service.name": "support-api",
        "service.version": version,
        "deployment.environment.name": environment,
        "telemetry.sdk.language": "python",
    }
    return Source(attributes, "openinference.instrumentation.openai", "0.1.30")


def converse(rng: Random, start: int, is_bad: bool) -> list[list[DecodedSpan]]:
    # In the bad version orders time out, and customers notice.
    language = rng.choices(list(LANGUAGES), list(LANGUAGES.values()))[0]
    talk = Talk(rng, language, is_bad, start)
    if not _solves(talk, rng, is_bad):
        return talk.turns
    for chosen in rng.sample(talk.texts["followups"], rng.choices((0, 1, 2), (40, 38, 22))[0]):
        talk.answer(talk.fill(chosen["ask"]), talk.fill(chosen["answer"]), searches=rng.random() < 0.7)
    if rng.random() < 0.6:
        talk.answer(talk.draw("thanks"), talk.draw("goodbyes"))
    return talk.turns[:MAX_TURNS]


def _solves(talk: "Talk", rng: Random, is_bad: bool) -> bool:
    # Repeats until it works or the customer leaves.
    intent = rng.choice(list(ACTIONS))
    text = talk.opening(intent)
    worked = talk.act(intent, text)
    while not worked and len(talk.turns) < 5:
        if rng.random() > (0.9 if is_bad else 0.6):
            return False
        gives_up = len(talk.turns) > 1 and rng.random() < 0.4
        if gives_up:
            talk.answer(talk.draw("give_ups"), talk.draw("apologies"))
            return False
        worked = talk.act(intent, talk.draw("complaints"))
    return worked


@dataclass(slots=True)
class Talk:
    rng: Random
    language: str
    is_bad: bool
    at: int
    turns: list[list[DecodedSpan]] = field(default_factory=list)
    history: list[Message] = field(default_factory=list)
    facts: dict[str, str] = field(default_factory=dict)
    session: str = ""
    user: str = ""
    environment: str = ""

    def __post_init__(self) -> None:
        rng = self.rng
        self.session = f"chat-{rng.getrandbits(40):010x}"
        self.user = f"customer-{int(rng.betavariate(1, 3) * 400) + 1000}"
        self.environment = "staging" if rng.random() < 0.07 else "production"
        self.facts = {
            "order": f"A{rng.randrange(100_000, 999_999)}",
            "product": rng.choice(self.texts["products"]),
            "day": rng.choice(self.texts["days"]),
            "city": rng.choice(CITIES),
            "carrier": rng.choice(CARRIERS),
            "amount": f"{rng.randrange(12, 420)}.{rng.choice(('00', '50', '90', '95'))} €",
        }

    @property
    def texts(self) -> dict[str, Any]:
        return texts(self.language)

    def fill(self, text: str) -> str:
        return text.format(**self.facts)

    def draw(self, kind: str) -> str:
        return self.fill(self.rng.choice(self.texts[kind]))

    def opening(self, intent: str) -> str:
        # Some customers forget the order number.
        rng = self.rng
        question = rng.choice(self.texts["intents"][intent]["ask"])
        forgets = rng.random() < 0.12
        if forgets:
            question = rng.choice(self.texts["forgets_number"])
        greeting = rng.choice(self.texts["greetings"]) if rng.random() < 0.6 else ""
        detail = rng.choice(self.texts["details"]) if rng.random() < 0.45 else ""
        if not greeting:
            question = _capital(question)
        text = self.fill(" ".join(part for part in (greeting, question, detail) if part))
        if forgets:
            self.answer(text, self.draw("asks_number"))
            text = self.draw("gives_number")
        return text

    def answer(self, text: str, answer: str, *, searches: bool = False) -> None:
        # A turn without an order.
        run, attributes = self._begin(text)
        with run.span("support.turn", "AGENT", attributes) as root:
            run.step("guardrail.input", "GUARDRAIL", 0.04, {"input.value": text, "output.value": "pass"})
            if searches:
                call = ToolUse("search_help", {"query": text, "top": 3}, call_id(self.rng))
                self._call(run, call, 0.3, [{"page": f"help/{self.rng.randrange(100, 180)}", "text": answer}])
            self._finish(run, root, answer)
        self._end(run)

    def act(self, intent: str, text: str) -> bool:
        # Returns whether the tool calls succeeded.
        rng, facts = self.rng, self.facts
        fails = rng.random() < (0.85 if self.is_bad else 0.05)
        run, attributes = self._begin(text)
        with run.span("support.turn", "AGENT", attributes) as root:
            run.step("guardrail.input", "GUARDRAIL", 0.04, {"input.value": text, "output.value": "pass"})
            order = ToolUse("get_order", {"order_id": facts["order"]}, call_id(rng))
            error = self._trouble(run, order) if fails else None
            if not fails:
                if rng.random() < 0.06:
                    run.fail_tool(order, 1.2, "ConnectionError", "connection reset by orders-api, trying again")
                details = {"id": facts["order"], "item": facts["product"], "total": facts["amount"], "status": "paid"}
                self._call(run, order, 0.25, details)
                result = {"ok": True, "order": facts["order"], "carrier": facts["carrier"], "city": facts["city"]}
                self._call(run, ToolUse(ACTIONS[intent], self._arguments(intent), call_id(rng)), 0.6, result)
                self._finish(run, root, self.fill(rng.choice(self.texts["intents"][intent]["answer"])))
            elif error is None:
                self._finish(run, root, self.draw("apologies"))
        if error is not None:
            fail(root, *error)
        self._end(run)
        return not fails

    def _trouble(self, run: Run, call: ToolUse) -> tuple[str, str] | None:
        # Returns the error that ends the turn, None if the agent still answers.
        tool_request = Message("assistant", calls=[call])
        run.call_model(PLANNER, self._prompt(), tool_request)
        kind, message = TIMEOUT if self.is_bad else self.rng.choice((TIMEOUT, *FAILURES))
        for _ in range(3 if self.is_bad else 2):
            run.fail_tool(call, 10 if kind == TIMEOUT[0] else 0.8, kind, message)
        self.history += [tool_request, Message("tool", f"{kind}: {message}", call_id=call.id)]
        gives_up = self.rng.random() < (0.85 if self.is_bad else 0.7)
        return (kind, message) if gives_up else None

    def _arguments(self, intent: str) -> dict[str, str]:
        arguments = {"order_id": self.facts["order"]}
        return arguments | ({"city": self.facts["city"]} if intent == "address" else {})

    def _call(self, run: Run, call: ToolUse, seconds: float, result: object) -> None:
        tool_request = Message("assistant", calls=[call])
        run.call_model(PLANNER, self._prompt(), tool_request)
        run.call_tool(call, seconds, result)
        self.history += [tool_request, Message("tool", json.dumps(result, ensure_ascii=False), call_id=call.id)]

    def _finish(self, run: Run, root: DecodedSpan, answer: str) -> None:
        reply = Message("assistant", answer)
        run.call_model(WRITER, self._prompt(), reply)
        self.history.append(reply)
        root.attributes["output.value"] = answer

    def _prompt(self) -> Sequence[Message]:
        return [Message("system", SYSTEM), *self.history]

    def _begin(self, text: str) -> tuple[Run, dict[str, Any]]:
        version = BAD if self.is_bad else GOOD
        self.history.append(Message("user", text))
        slow = self.rng.uniform(4, 8) if self.rng.random() < 0.03 else self.rng.lognormvariate(0, 0.3)
        attributes = {
            "agent.id": ID,
            "agent.name": NAME,
            "gen_ai.agent.version": version,
            "session.id": self.session,
            "user.id": self.user,
            "input.value": text,
            "metadata": json.dumps({"channel": self.rng.choice(("app", "web", "email")), "language": self.language}),
        }
        return Run(self.rng, source(version, self.environment), self.at, slow), attributes

    def _end(self, run: Run) -> None:
        self.turns.append(run.spans)
        self.at = run.at + int(self.rng.uniform(*PAUSES) * SECOND)


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
