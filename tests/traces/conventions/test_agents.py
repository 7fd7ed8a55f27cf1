"""The agent that a span names."""

from typing import Any

import pytest

from traces.conventions.span_mapping import Identity, agent_of

SUPPORT = Identity("support", "agent_name", "support")


@pytest.mark.parametrize(
    ("attributes", "expected"),
    [
        ({"agent.id": "a1", "agent.name": "Support"}, Identity("a1", "agent_id", "Support")),
        ({"gen_ai.agent.id": "asst_1", "gen_ai.agent.name": "Support"}, Identity("asst_1", "agent_id", "Support")),
        ({"gen_ai.agent.id": "asst_1"}, Identity("asst_1", "agent_id", "asst_1")),
        ({"openinference.span.kind": "AGENT", "graph.node.id": "support"}, SUPPORT),
        ({"openinference.span.kind": "AGENT", "graph.node.id": "7f", "graph.node.name": "support"}, SUPPORT),
        ({"openinference.span.kind": "CHAIN", "graph.node.id": "tools"}, None),
        ({"metadata": '{"lc_agent_name": "support"}'}, SUPPORT),
        ({"metadata": "{lc_agent_name"}, None),
        ({}, None),
    ],
)
def test_it_is_named_by_the_span(attributes: dict[str, Any], expected: Identity | None) -> None:
    assert agent_of(attributes, {}) == expected
