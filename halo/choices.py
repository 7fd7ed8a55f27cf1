"""Choices of reports, with the names that machine interfaces use."""

from django.db import models


class RunStatus(models.TextChoices):
    PENDING_EXPORT = "pending_export", "Waiting to start"
    EXPORTING = "exporting_traces", "Reading traces"
    QUEUED = "queued", "Waiting for the engine"
    STARTING = "starting", "Starting the engine"
    RUNNING = "running", "Running"
    COMPLETED = "completed", "Completed"
    FAILED = "failed", "Failed"
    CANCELLED = "cancelled", "Cancelled"
    TIMED_OUT = "timed_out", "Ran out of time"
    NO_TRACES = "no_traces", "No traces"


OPEN_STATUSES = (
    RunStatus.PENDING_EXPORT,
    RunStatus.EXPORTING,
    RunStatus.QUEUED,
    RunStatus.STARTING,
    RunStatus.RUNNING,
)


class Origin(models.TextChoices):
    MANUAL = "manual", "Started by hand"
    SCHEDULED = "scheduled", "By its schedule"
    MANUAL_SCHEDULE = "manual_schedule", "A schedule, started by hand"
    FOLLOW_UP = "follow_up", "A question about a report"


class EngineKind(models.TextChoices):
    RULES = "rules", "Offline analyst"
    MODEL = "model", "Model"


class Severity(models.TextChoices):
    """From the worst to the mildest."""

    CRITICAL = "critical", "Critical"
    HIGH = "high", "High"
    MEDIUM = "medium", "Medium"
    LOW = "low", "Low"


class Category(models.TextChoices):
    RELIABILITY = "reliability", "Reliability"
    LATENCY = "latency", "Latency"
    COST = "cost", "Cost"
    QUALITY = "quality", "Quality"
    TOOL_USE = "tool_use", "Tool use"
    SAFETY = "safety", "Safety"


class IssueState(models.TextChoices):
    OPEN = "open", "Open"
    ACKNOWLEDGED = "acknowledged", "Acknowledged"
    FIXED = "fixed", "Fixed"
    DISMISSED = "dismissed", "Dismissed"


OPEN_STATES = (IssueState.OPEN, IssueState.ACKNOWLEDGED)


class Verdict(models.TextChoices):
    """What became of a finding after a fix."""

    RESOLVED = "resolved", "Resolved"
    DECREASED = "decreased", "Decreased"
    UNCHANGED = "unchanged", "Unchanged"
    INCREASED = "increased", "Increased"
    UNKNOWN = "unknown", "Can't tell"


class CitationState(models.TextChoices):
    """What the store knows of a cited ID."""

    VERIFIED = "verified", "Verified"
    OUTSIDE = "outside", "Outside the window"
    UNKNOWN = "unknown", "Unknown"
    AMBIGUOUS = "ambiguous", "Ambiguous"


class QuoteState(models.TextChoices):
    """Whether a quoted text is in the cited span or trace."""

    NONE = "", "No quote"
    FOUND = "found", "Found"
    MISSING = "missing", "Not found"
    UNCHECKED = "unchecked", "Not checked"


class ReasoningEffort(models.TextChoices):
    NONE = "none", "None"
    MINIMAL = "minimal", "Minimal"
    LOW = "low", "Low"
    MEDIUM = "medium", "Medium"
    HIGH = "high", "High"


class Frequency(models.TextChoices):
    HOURLY = "hourly", "Hourly"
    DAILY = "daily", "Daily"
    WEEKLY = "weekly", "Weekly"
    MONTHLY = "monthly", "Monthly"


class PausedReason(models.TextChoices):
    """Why Catalyst stopped a schedule. The rest is in its words."""

    AGENT_NOT_FOUND = "agent_not_found", "The agent is gone"
    FAILED = "failed", "Its reports failed"
    REFUSED = "refused", "Its report can't start"
