"""Spans and their text, partitioned by day."""

from django.contrib.postgres.fields import ArrayField
from django.db import models

from traces.models.choices import Kind, Outcome, Status


class SpanKey(models.Model):
    """`start_time` is in the key because it selects the partition. A payload has the key of its first span."""

    pk = models.CompositePrimaryKey("project_id", "trace_id", "span_id", "start_time")
    project_id = models.BigIntegerField()
    trace_id = models.UUIDField()
    span_id = models.BigIntegerField(help_text="The eight bytes as a signed integer.")
    start_time = models.DateTimeField()

    class Meta:
        abstract = True


class Span(SpanKey):
    """A span without its text. Written only by `traces.store`."""

    parent_id = models.BigIntegerField(null=True)
    duration_us = models.BigIntegerField(null=True, help_text="Null while the span is open.")
    received_at = models.DateTimeField()
    revision = models.IntegerField(default=1, help_text="Grows when a fuller version of the span arrives.")
    digest = models.BigIntegerField(help_text="Of everything sent, to recognise a re-delivery.")
    kind = models.CharField(max_length=9, choices=Kind)
    otel_kind = models.SmallIntegerField(help_text="OpenTelemetry's span kind: 1 internal, 2 server, 3 client…")
    name = models.TextField()
    status = models.CharField(max_length=5, choices=Status)
    status_message = models.TextField()
    service = models.TextField()
    service_version = models.TextField()
    environment = models.TextField()
    agent_id = models.BigIntegerField(null=True, help_text="The agent that this span itself names.")
    session_key = models.TextField()
    user = models.TextField()
    model = models.TextField()
    tool = models.TextField(help_text="Name of the tool that a TOOL span ran.")
    provider = models.TextField()
    outcome = models.CharField(max_length=7, choices=Outcome)
    input_tokens = models.BigIntegerField(null=True)
    output_tokens = models.BigIntegerField(null=True)
    cached_tokens = models.BigIntegerField(null=True)
    cache_write_tokens = models.BigIntegerField(null=True)
    reasoning_tokens = models.BigIntegerField(null=True)
    cost = models.DecimalField(max_digits=20, decimal_places=9, null=True, help_text="US dollars; null: unpriced.")
    input_cost = models.DecimalField(
        max_digits=20, decimal_places=9, null=True, help_text="Null: only the sum is known."
    )
    cache_cost = models.DecimalField(max_digits=20, decimal_places=9, null=True, help_text="Read and written.")
    output_cost = models.DecimalField(max_digits=20, decimal_places=9, null=True)
    input_size = models.IntegerField(help_text="Characters of input, so that lists need no payload.")
    output_size = models.IntegerField()
    counts_as_other = models.BooleanField(
        default=False, help_text="Its model or tool was one new name too many when it arrived."
    )
    skewed = models.BooleanField(help_text="Its start is in the future, or on a day before those that are kept.")
    attribute_tokens = ArrayField(models.BigIntegerField(), help_text="xxh3_64 of key=value, for exact search.")

    class Meta:
        managed = False
        db_table = "traces_span"

    def __str__(self) -> str:
        return self.name


class Payload(SpanKey):
    """Packed text of spans of a trace and day that start at or after `start_time`. Read by trace, never in a list."""

    span_ids = ArrayField(models.BigIntegerField())
    body = models.BinaryField(help_text="The text of each, packed.")

    class Meta:
        managed = False
        db_table = "traces_payload"

    def __str__(self) -> str:
        return hex_span_id(self.span_id)


PARTITIONED: tuple[type[SpanKey], ...] = (Span, Payload)


def hex_span_id(span_id: int) -> str:
    return f"{span_id & 0xFFFFFFFFFFFFFFFF:016x}"


def span_id_of(hex_id: str) -> int:
    """The stored form of 16 hexadecimal digits."""
    return int.from_bytes(bytes.fromhex(hex_id), signed=True)
