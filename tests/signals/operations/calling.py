"""Calls of operations by an operator."""

from datetime import datetime
from typing import Any

from catalyst.core.models import Project
from catalyst.core.operation_context import for_system
from catalyst.operations import find


def call(project: Project, now: datetime, name: str, /, **given: Any) -> Any:
    return find(name).call(for_system(project, now), given)
