"""Which spans of a trace count their tokens and cost, so that no call counts twice and none is missing.

Frameworks report one call on several spans: a wrapper repeats what the spans below it used, or only the last of them,
or zero. The rule, from the leaves up:

- A model call stands for the model calls within it, unless these used more. Then they count instead.
- What lies below a tool or an agent is other work, for example of a sub-agent. It always counts by itself.
- Another span with usage, such as an agent or an embedding, counts if nothing below it does.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence, Set
from dataclasses import dataclass

from traces.records import SpanRecord


@dataclass(frozen=True, slots=True)
class CountedUsage:
    """Ids of the spans whose usage counts, and of those that count as calls of their model."""

    usage: Set[int]
    calls: Set[int]


BOUNDARIES = frozenset(("TOOL", "AGENT"))


@dataclass(slots=True)
class _Node:
    """What is counted at and below a span. `tokens`: of that, what lies before the next tool or agent."""

    tokens: int = 0
    counts: bool = False
    # It counts itself, if no call around it stands for it; and it stands for the calls within it.
    counts_itself: bool = False
    covers: bool = False


def tokens(span: SpanRecord) -> int:
    return (span.input_tokens or 0) + (span.output_tokens or 0)


def uses(span: SpanRecord) -> bool:
    """Whether a span says that it used something. Zero says nothing, and tools use nothing themselves."""
    return span.kind != "TOOL" and bool(span.input_tokens or span.output_tokens or span.cost)


def count_usage(spans: Sequence[SpanRecord]) -> CountedUsage:
    """Linear time. Spans in a circle are taken for unrelated ones."""
    using = {span.span_id for span in spans if uses(span)}
    models = {span.span_id for span in spans if span.kind == "LLM"}
    both = using | models
    if both.isdisjoint([span.parent_id for span in spans]):
        # Nothing lies below any of them, as in most traces.
        return CountedUsage(using, both)
    tree = _Tree(spans)
    covered = tree.covered()
    in_circles = using - tree.nodes.keys()
    usage = in_circles | {pk for pk, node in tree.nodes.items() if node.counts_itself and pk not in covered}
    # A call that does not say what it used is a call, too, unless others stand for it.
    silent = {pk for pk in models - using - covered if pk not in tree.nodes or not tree.nodes[pk].counts}
    return CountedUsage(usage, usage | silent)


class _Tree:
    """The spans that lead to a top. `order`: parents first."""

    def __init__(self, spans: Sequence[SpanRecord]) -> None:
        known = {span.span_id for span in spans}
        self.children: dict[int | None, list[SpanRecord]] = defaultdict(list)
        self.order: list[SpanRecord] = []
        for span in spans:
            is_top = span.parent_id not in known or span.parent_id == span.span_id
            (self.order if is_top else self.children[span.parent_id]).append(span)
        for span in self.order:  # grows meanwhile
            self.order += self.children[span.span_id]
        self.nodes: dict[int, _Node] = {}
        for span in reversed(self.order):
            self.nodes[span.span_id] = self._node(span)

    def covered(self) -> set[int]:
        """Ids of the spans that a call around them stands for."""
        covered: set[int] = set()
        for span in self.order:
            if self.nodes[span.span_id].covers or span.span_id in covered:
                covered.update(self._within(span))
        return covered

    def _within(self, span: SpanRecord) -> Iterator[int]:
        return (child.span_id for child in self.children[span.span_id] if child.kind not in BOUNDARIES)

    def _node(self, span: SpanRecord) -> _Node:
        below = [self.nodes[child.span_id] for child in self.children[span.span_id]]
        node = _Node(sum(each.tokens for each in below), any(each.counts for each in below))
        if uses(span):
            # A call that names a cost alone stands for the calls within it.
            node.covers = span.kind == "LLM" and (tokens(span) >= node.tokens or not tokens(span))
            node.counts_itself = node.covers or (span.kind != "LLM" and not node.counts)
        if node.counts_itself:
            node.tokens, node.counts = tokens(span), True
        if span.kind in BOUNDARIES:
            node.tokens = 0
        return node
