"""Model connections, budgets and the health of models."""

import json
from collections.abc import Mapping
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import NamedTuple

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q

from catalyst import database
from catalyst.core.encrypted_fields import EncryptedTextField, Secret
from catalyst.core.models import AuthoredModel, Project
from catalyst.llm import MAX_RETRY_AFTER_SECONDS
from catalyst.llms.amounts import NO_CALLS, Account, Calls, Cap, Remaining, SpentToday, budget_day
from catalyst.llms.presets import PRESETS

# Servers may ask for a pause of up to this.
MAX_PAUSE = timedelta(seconds=MAX_RETRY_AFTER_SECONDS)

_CHARGE = """
    INSERT INTO signals_budget AS b (project_id, signal_id, day, calls, spent)
    SELECT c.project_id, c.signal_id, %s, sum(c.calls), sum(c.dollars)
    FROM unnest(%s::bigint[], %s::bigint[], %s::bigint[], %s::numeric[]) AS c (project_id, signal_id, calls, dollars)
    GROUP BY GROUPING SETS ((c.project_id, c.signal_id), (c.project_id))
    HAVING c.signal_id IS NOT NULL OR grouping(c.signal_id) = 1
    ORDER BY c.project_id, c.signal_id
    ON CONFLICT (project_id, signal_id) DO UPDATE SET
        calls = EXCLUDED.calls + CASE WHEN b.day >= EXCLUDED.day THEN b.calls ELSE 0 END,
        allowed_calls = CASE WHEN b.day >= EXCLUDED.day THEN b.allowed_calls ELSE 0 END,
        spent = EXCLUDED.spent + CASE WHEN b.day >= EXCLUDED.day THEN b.spent ELSE 0 END,
        day = greatest(b.day, EXCLUDED.day)
"""


class ModelPrice(NamedTuple):
    """US dollars per million tokens."""

    input: Decimal
    output: Decimal


class ModelConnectionQuerySet(models.QuerySet["ModelConnection"]):
    def undeleted(self) -> "ModelConnectionQuerySet":
        return self.filter(deleted_at=None)

    def for_list(self) -> "ModelConnectionQuerySet":
        return self.undeleted().order_by("name", "pk")

    def usable(self) -> "ModelConnectionQuerySet":
        return self.filter(deleted_at=None, revoked_at=None)


class ModelConnection(AuthoredModel):
    """An endpoint of models that owners of a project connected. A deleted one stays for the versions that name it."""

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="model_connections", db_index=False)
    name = models.CharField(max_length=100)
    preset = models.CharField(max_length=20, choices=[(key, each.name) for key, each in PRESETS.items()])
    base_url = models.CharField(max_length=500, help_text="Without user, password and keys.")
    key = EncryptedTextField(blank=True, context="llms.connection.key")
    headers = EncryptedTextField(blank=True, context="llms.connection.headers", help_text="A JSON object.")
    allowed_models = ArrayField(models.CharField(max_length=200), help_text="The models that may be asked.")
    default_model = models.CharField(max_length=200)
    prices = models.JSONField(
        default=dict, blank=True, help_text="Model to US dollars per million tokens: input and output."
    )
    concurrency = models.PositiveSmallIntegerField(help_text="Calls at once, of each worker.")
    requests_per_minute = models.PositiveIntegerField(null=True, help_text="Of all workers together. Null: no limit.")
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(help_text="Workers replace the client of a connection when this changes.")
    revoked_at = models.DateTimeField(null=True, help_text="Key and headers were deleted; nothing is asked until then.")
    deleted_at = models.DateTimeField(null=True)

    objects = ModelConnectionQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["project", "name"], condition=Q(deleted_at=None), name="llms_modelconnection_name"
            ),
        ]
        indexes = [models.Index(fields=["project", "name"], name="llms_modelconnection_project")]
        verbose_name = "model connection"

    def __str__(self) -> str:
        return self.name

    @property
    def provider(self) -> str:
        return PRESETS[self.preset].provider if self.preset in PRESETS else ""

    @property
    def is_usable(self) -> bool:
        return self.deleted_at is None and self.revoked_at is None

    @property
    def has_secrets(self) -> bool:
        return bool(self.key or self.headers)

    def price_of(self, model: str) -> ModelPrice | None:
        """Return the price that an owner entered, which wins over the public list."""
        entered = self.prices.get(model)
        return ModelPrice(Decimal(entered[0]), Decimal(entered[1])) if entered else None

    def reveal_headers(self) -> dict[str, str]:
        """Raises SecretUnreadable."""
        stored: Secret = self.headers
        return json.loads(stored.reveal()) if stored else {}


class BudgetQuerySet(models.QuerySet["Budget"]):
    def capped(self) -> "BudgetQuerySet":
        return self.filter(Q(daily_usd__isnull=False) | Q(daily_calls__isnull=False))

    def of(self, account: Account) -> "BudgetQuerySet":
        return self.filter(project=account.project_id, subject_id=account.subject_id)

    def lock(self) -> "BudgetQuerySet":
        """Lock in the order of `charge`. Must be the last lock of a transaction."""
        return self.order_by("project_id", "subject_id").select_for_update(no_key=True)

    def charge(self, charges: Mapping[Account, Calls], day: date) -> None:
        """Add calls to the budgets of the accounts and of their projects."""
        rows = [(*account, calls.made, calls.dollars) for account, calls in charges.items() if calls != NO_CALLS]
        if rows:
            database.execute(_CHARGE, [day, *map(list, zip(*rows, strict=True))])


class Budget(models.Model):
    """Calls and dollars of one UTC day and their limits, of one subject or a whole project."""

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="+", db_index=False)
    # Signals are a room above, so this is no foreign key. The database deletes the row with the signal.
    subject_id = models.BigIntegerField(
        "signal", db_column="signal_id", db_index=True, null=True, help_text="Id of a signal. Null: the whole project."
    )
    daily_usd = models.DecimalField(
        max_digits=12, decimal_places=4, null=True, help_text="The budget of one day, in US dollars; null: none."
    )
    daily_calls = models.PositiveIntegerField(null=True, help_text="The call limit of one day; null: none.")
    day = models.DateField(help_text="The UTC day of `calls`, `spent` and `allowed_calls`.")
    calls = models.IntegerField(default=0, help_text="Judge calls that ended, with a label or without.")
    spent = models.DecimalField(max_digits=20, decimal_places=9, default=0, help_text="US dollars.")
    allowed_calls = models.IntegerField(
        default=0,
        db_default=0,
        help_text="On `day` judging goes on beyond the limits until `calls` is that many: to catch up.",
    )

    objects = BudgetQuerySet.as_manager()

    class Meta:
        db_table = "signals_budget"
        constraints = [
            models.UniqueConstraint(fields=["project", "subject_id"], nulls_distinct=False, name="signals_budget_key"),
        ]

    def __str__(self) -> str:
        return f"Spending of {self.project if self.subject_id is None else f'signal {self.subject_id}'}"

    @property
    def account(self) -> Account:
        return Account(self.project_id, self.subject_id)

    @property
    def cap(self) -> Cap:
        return Cap(self.daily_usd, self.daily_calls)

    def spent_on(self, now: datetime) -> Calls:
        return Calls(self.calls, self.spent) if self._is_of(now) else Calls()

    def allowed_on(self, now: datetime) -> int:
        """Return how many calls a day may have regardless of the limits."""
        return self.allowed_calls if self._is_of(now) else 0

    def remaining(self, now: datetime, in_flight: Calls = NO_CALLS) -> Remaining:
        """Return the day's limits minus ended calls and those in flight."""
        return Remaining(self.daily_usd, self.daily_calls, self.allowed_on(now)) - self.spent_on(now) - in_flight

    def today(self, now: datetime) -> SpentToday:
        return SpentToday(self.spent_on(now), self.cap)

    def _is_of(self, now: datetime) -> bool:
        return self.day >= budget_day(now)


class JudgeHealthQuerySet(models.QuerySet["JudgeHealth"]):
    def clamp_future_times(self, now: datetime) -> None:
        """End pauses that are too long because the machine's clock was ahead."""
        self.filter(paused_until__gt=now + MAX_PAUSE).update(paused_until=now)

    def failing(self) -> "JudgeHealthQuerySet":
        return self.filter(failures__gt=0).order_by("model")

    def reachable(self, url: str) -> "JudgeHealthQuerySet":
        """Rows of the endpoint that the environment names, with this address, and of all connections."""
        return self.filter(Q(url=url, connection=None) | Q(connection__isnull=False))

    def of_instance(self, url: str) -> "JudgeHealthQuerySet":
        return self.filter(url=url, connection=None)


class JudgeHealth(models.Model):
    """The availability of a model, which gets no calls until `paused_until`."""

    url = models.CharField(max_length=500)
    connection = models.ForeignKey(
        ModelConnection, on_delete=models.CASCADE, null=True, related_name="+", help_text="Null: the environment's."
    )
    model = models.CharField(max_length=200)
    failures = models.PositiveIntegerField(default=0, help_text="Pauses since it last answered.")
    failing_since = models.DateTimeField(null=True, help_text="The first failure since it last answered.")
    paused_until = models.DateTimeField(null=True)
    error = models.TextField(blank=True, help_text="Why it is paused, in words for people; empty once it answers.")
    answered_at = models.DateTimeField(null=True, help_text="Last answer, to within ten seconds.")

    objects = JudgeHealthQuerySet.as_manager()

    class Meta:
        db_table = "signals_judgehealth"
        constraints = [
            models.UniqueConstraint(
                fields=["url", "model", "connection"], nulls_distinct=False, name="signals_judgehealth_key"
            )
        ]
        verbose_name_plural = "judge health"

    def __str__(self) -> str:
        return f"{self.model} at {self.url}"
