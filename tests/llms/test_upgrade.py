"""Tables that signals made belong to the llms app. An upgrade keeps their rows and what points to them."""

from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection
from django.db.migrations.executor import MigrationExecutor

BEFORE = [("signals", "0014_help_texts"), ("admin", "0003_logentry_add_action_flag_choices")]
AFTER = [("signals", "0016_move_llms")]
BACK = [("llms", None), *BEFORE]
NOW = datetime(2026, 11, 29, 12, tzinfo=UTC)

type Targets = list[tuple[str, str]] | list[tuple[str, str | None]]
type Migrate = Callable[[Targets], Any]


@pytest.fixture
def migrate(db: None) -> Migrate:
    """Migrate an empty schema to these targets; returns the models of then. The test's transaction undoes it all."""
    with connection.cursor() as cursor:
        cursor.execute("CREATE SCHEMA upgrade")
        cursor.execute("SET LOCAL search_path TO upgrade")

    def migrate(targets: Targets) -> Any:
        # A table whose rows have checks to come can't be altered.
        connection.check_constraints()
        return MigrationExecutor(connection).migrate(targets).apps

    return migrate


def make_budgets(old: Any) -> tuple[int, int]:
    """Store the budgets of a project and of its signal, and a model that fails."""
    project = old.get_model("core", "Project").objects.create(name="Acme", slug="acme")
    agent = old.get_model("agents", "Agent").objects.create(project=project, identity="a", name="A", first_seen_at=NOW)
    signal = old.get_model("signals", "Signal").objects.create(project=project, agent=agent, name="S", scope="trace")
    budgets, columns = old.get_model("signals", "Budget").objects, {"project": project, "day": NOW.date(), "calls": 2}
    budgets.create(**columns, spent=Decimal("0.5"), daily_usd=3)
    budgets.create(**columns, spent=Decimal("0.25"), signal=signal)
    old.get_model("signals", "JudgeHealth").objects.create(url="http://judge", model="gpt", failures=3)
    return project.pk, signal.pk


def grant(old: Any) -> None:
    """Let a user and a group see budgets, and have the admin log a change of one."""
    budget = old.get_model("contenttypes", "ContentType").objects.create(app_label="signals", model="budget")
    allowed = old.get_model("auth", "Permission").objects.create(
        content_type=budget, codename="view_budget", name="See"
    )
    operator = old.get_model("core", "User").objects.create(username="operator")
    operator.user_permissions.add(allowed)
    old.get_model("auth", "Group").objects.create(name="Finance").permissions.add(allowed)
    logged = {"object_id": "1", "object_repr": "Budget", "action_flag": 2}
    old.get_model("admin", "LogEntry").objects.create(user_id=operator.pk, content_type_id=budget.pk, **logged)


# All in one: it takes seconds to come to the state before.
@pytest.mark.slow
def test_an_upgrade_keeps_rows_permissions_and_the_log_of_the_admin(migrate: Migrate) -> None:
    before = migrate(BEFORE)
    project, signal = make_budgets(before)
    grant(before)

    after = migrate(AFTER)

    budgets = after.get_model("llms", "Budget").objects.order_by("pk")
    assert list(budgets.values_list("project", "subject_id", "daily_usd", "day", "calls", "spent")) == [
        (project, None, 3, NOW.date(), 2, Decimal("0.5")),
        (project, signal, None, NOW.date(), 2, Decimal("0.25")),
    ]
    assert list(after.get_model("llms", "JudgeHealth").objects.values_list("model", "failures")) == [("gpt", 3)]
    view = {"content_type__app_label": "llms", "content_type__model": "budget", "codename": "view_budget"}
    assert after.get_model("core", "User").objects.get().user_permissions.filter(**view).exists()
    assert after.get_model("auth", "Group").objects.get().permissions.filter(**view).exists()
    assert after.get_model("admin", "LogEntry").objects.filter(content_type__app_label="llms").exists()

    back = migrate(BACK)

    assert list(back.get_model("signals", "Budget").objects.order_by("pk").values_list("signal")) == [
        (None,),
        (signal,),
    ]
    assert back.get_model("contenttypes", "ContentType").objects.get().app_label == "signals"
