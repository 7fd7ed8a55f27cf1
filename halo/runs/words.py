"""What people read of a run with a model."""

from halo.engine_process import Ending, Event, Failed, Step
from halo.export import Exported
from halo.models import Run
from halo.sample import Sample

# kind, text, agent, depth
type Told = tuple[str, str, str, int]

INSTALLING: Told = ("started", "Waits until the engine is installed, which takes a minute or two", "", 0)
NO_FINAL_ANSWER = "The model ended without its final answer. This is the last that it wrote."
TOOLS = {
    "get_dataset_overview": "Looks at the overview",
    "query_traces": "Lists traces",
    "count_traces": "Counts traces",
    "view_trace": "Reads a trace",
    "view_spans": "Reads spans",
    "search_trace": "Searches a trace",
    "search_span": "Searches a span",
    "synthesize_traces": "Compares traces",
    "call_subagent": "Asks a helper",
    "get_context_item": "Looks up what it read before",
    "final_answer": "Writes the report",
}
FAILURES = {
    "unauthorized": "The model's endpoint refused the key.",
    "forbidden": "The model's endpoint refused the request.",
    "not_found": "The endpoint does not know this model or address.",
    "rate_limited": "The model's endpoint asked to slow down, again and again.",
    "bad_request": "The model's endpoint refused the request.",
    "context_length": "The model could not take in more: its context is full. Use fewer turns, or a model with more.",
    "server_error": "The model's endpoint has trouble.",
    "unreachable": "The model's endpoint can't be reached.",
    "timeout": "The model did not answer in time.",
    "malformed_answer": "The model's endpoint sent answers that can't be read.",
    "refused": "The model refused to go on.",
    "max_turns": "The model used up its turns before it wrote the report. Allow more turns.",
    "bad_traces": "The engine could not read the traces. This is a mistake of Catalyst.",
    "disk_full": "The disk is full.",
    "out_of_memory": "The engine ran out of memory. Let it read fewer spans.",
    "crashed": "The engine crashed.",
}


def reading(traces: int, total: int) -> Told:
    return "started", f"Reads {traces:,} of {total:,} traces", "", 0


def exported(done: Exported) -> Told:
    return "exported", f"Wrote {done.spans:,} spans of {done.traces:,} traces for the engine", "", 0


def sample(run: Run, done: Exported, chosen: Sample) -> list[str]:
    """How the traces were chosen, for the report."""
    if done.traces >= (run.trace_count or 0):
        return [f"The model could read all {done.traces:,} traces, with {done.spans:,} spans."]
    return [
        f"The model could read {done.traces:,} of {run.trace_count:,} traces, with {done.spans:,} spans: "
        f"{chosen.failed:,} that failed, the rest chosen by chance. The limit was {run.span_limit:,} spans."
    ]


def of_event(event: Event) -> Told | None:
    if not isinstance(event, Step) or event.kind == "tool_result":
        return None
    if event.kind == "tool_call":
        return "tool_call", TOOLS.get(event.name, f"Uses {event.name}"), event.agent, event.depth
    text = " ".join(event.text.split())
    return ("text", text, event.agent, event.depth) if text else None


def out_of_time(run: Run) -> str:
    return f"It took longer than {run.budget_minutes} minutes. Allow more time, or let it read less."


def out_of_budget(limit: str) -> str:
    return f"Its limit of {limit} was used up before the report was finished. Allow more, or let it read less."


def early_finish(run: Run) -> list[str]:
    return [f"The model was asked to finish early, because most of the limits of {_limits(run)} was used up."]


def _limits(run: Run) -> str:
    parts = [f"{run.budget_minutes} minutes"]
    if run.budget_usd is not None:
        parts.append(f"${run.budget_usd:,.2f}")
    if run.budget_tokens is not None:
        parts.append(f"{run.budget_tokens:,} tokens")
    return ", ".join(parts)


def failure(ending: Ending, problem: str) -> str:
    """Why the engine could not go on. `problem`: what the relay saw of the last call."""
    if not isinstance(ending, Failed):
        return "The model ended without writing anything."
    text = FAILURES.get(ending.reason, "The engine could not go on.")
    return f"{text} {problem or ending.error}".strip()
