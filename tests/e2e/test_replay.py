"""A hundred recorded conversations, posted by a client of their own to a running server."""

from pathlib import Path

import pytest

from tests.e2e.instance import Instance, replay

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

SUMS = """
    SELECT (SELECT count(*) FROM traces_trace WHERE project_id = p.id),
        (SELECT count(*) FROM traces_span WHERE project_id = p.id),
        (SELECT count(*) FROM traces_session WHERE project_id = p.id),
        (SELECT count(*) FROM agents_agent WHERE project_id = p.id),
        (SELECT sum(span_count) FROM traces_trace WHERE project_id = p.id),
        (SELECT sum(span_count) FROM traces_session WHERE project_id = p.id),
        (SELECT sum(span_count) FROM traces_agenthour WHERE project_id = p.id)
    FROM core_project p WHERE p.slug = %s
"""
RECORDED = (757, 2558, 100, 1, 2558, 2558, 2558)


def test_it_stores_the_recording_once_per_project(catalyst: Instance, recording: Path) -> None:
    first, second = catalyst.new_projects("first", "second")
    replay(recording, catalyst, first)
    assert catalyst.query(SUMS, "first") == [RECORDED]
    replay(recording, catalyst, first)
    assert catalyst.query(SUMS, "first") == [RECORDED]
    replay(recording, catalyst, second)
    assert catalyst.query(SUMS, "second") == [RECORDED]
    assert catalyst.query(SUMS, "first") == [RECORDED]
