"""Findings, the traces they touch, and what they cite."""

from django.db import models
from django.urls import reverse

from catalyst.agents.models import Agent
from catalyst.core.models import Project
from halo.choices import Category, CitationState, QuoteState, Severity
from halo.models.issue import Issue
from halo.models.run import Run

MAX_TITLE_CHARACTERS = 300
MAX_QUERY_CHARACTERS = 4_000


class Finding(models.Model):
    """One thing that is wrong, as a report says it."""

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="findings", db_index=False)
    agent = models.ForeignKey(Agent, on_delete=models.CASCADE, related_name="findings")
    run = models.ForeignKey(Run, on_delete=models.CASCADE, related_name="findings", db_index=False)
    issue = models.ForeignKey(
        Issue, on_delete=models.SET_NULL, null=True, related_name="findings", help_text="Null until it is matched."
    )
    rank = models.PositiveSmallIntegerField(help_text="1 is the most harmful.")
    title = models.CharField(max_length=MAX_TITLE_CHARACTERS)
    severity = models.CharField(max_length=8, choices=Severity)
    category = models.CharField(max_length=11, choices=Category)
    kind = models.CharField(max_length=40, blank=True, help_text="The rule that found it; empty from a model.")
    signature = models.CharField(max_length=500, blank=True, help_text="The same in several reports: the same cause.")
    happens = models.TextField(blank=True)
    evidence = models.TextField(blank=True)
    fix = models.TextField(blank=True)
    trace_count = models.PositiveIntegerField(null=True, help_text="Traces it touches, of the rows; null: not counted.")
    claimed_count = models.PositiveIntegerField(null=True, help_text="The model's word for it.")
    trace_total = models.PositiveIntegerField(default=0, help_text="Traces that the report is about.")
    prior_count = models.PositiveIntegerField(null=True, help_text="The same in the window before.")
    prior_total = models.PositiveIntegerField(null=True)
    query = models.CharField(
        max_length=MAX_QUERY_CHARACTERS, blank=True, help_text="Parameters of a list of traces that match the same."
    )
    cost = models.DecimalField(max_digits=20, decimal_places=9, null=True, help_text="US dollars wasted.")
    tokens = models.BigIntegerField(null=True, help_text="Tokens wasted.")
    duration_us = models.BigIntegerField(null=True, help_text="Time wasted.")
    created_at = models.DateTimeField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["run", "rank"], name="halo_finding_rank")]
        indexes = [models.Index(fields=["project", "-id"], name="halo_finding_newest")]

    def __str__(self) -> str:
        return self.title

    def get_absolute_url(self) -> str:
        return f"{reverse('halo:report', args=[self.project.slug, self.run_id])}#finding-{self.rank}"


class FindingTrace(models.Model):
    """A trace that a finding touches. Lists show these with `finding=ID`."""

    finding = models.ForeignKey(Finding, on_delete=models.CASCADE, related_name="traces", db_index=False)
    trace_id = models.UUIDField(help_text="In the project of the finding. The trace may have expired.")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["finding", "trace_id"], name="halo_findingtrace_key")]
        verbose_name = "trace of a finding"
        verbose_name_plural = "traces of findings"

    def __str__(self) -> str:
        return self.trace_id.hex


class Citation(models.Model):
    """An ID that a report names, checked against the store when the report was stored."""

    run = models.ForeignKey(Run, on_delete=models.CASCADE, related_name="citations", db_index=False)
    finding = models.ForeignKey(
        Finding, on_delete=models.CASCADE, null=True, related_name="citations", help_text="Null: of the text."
    )
    position = models.PositiveIntegerField()
    text = models.CharField(max_length=200, help_text="The ID as the report writes it.")
    trace_id = models.UUIDField(null=True, help_text="Null: no such trace, or several.")
    span_id = models.BigIntegerField(null=True)
    state = models.CharField(max_length=9, choices=CitationState)
    quote = models.TextField(blank=True)
    quote_state = models.CharField(max_length=9, choices=QuoteState, blank=True)
    note = models.CharField(max_length=200, blank=True, help_text="Why it is cited.")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["run", "position"], name="halo_citation_key")]

    def __str__(self) -> str:
        return self.text
