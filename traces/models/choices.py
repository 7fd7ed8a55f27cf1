"""Values that columns of spans and traces choose from."""

from django.db import models


class Kind(models.TextChoices):
    """What a span observes; OpenInference's kinds, and SPAN for anything else."""

    LLM = "LLM"
    TOOL = "TOOL"
    CHAIN = "CHAIN"
    RETRIEVER = "RETRIEVER"
    EMBEDDING = "EMBEDDING"
    AGENT = "AGENT"
    RERANKER = "RERANKER"
    GUARDRAIL = "GUARDRAIL"
    EVALUATOR = "EVALUATOR"
    PROMPT = "PROMPT"
    UNKNOWN = "UNKNOWN"
    SPAN = "SPAN"


class Status(models.TextChoices):
    """OpenTelemetry's status codes."""

    UNSET = "unset", "Unset"
    OK = "ok", "OK"
    ERROR = "error", "Error"


class Outcome(models.TextChoices):
    """How a run ended, as far as it says: agent.outcome, else its status."""

    SUCCESS = "success"
    FAILURE = "failure"
    UNKNOWN = "unknown"
