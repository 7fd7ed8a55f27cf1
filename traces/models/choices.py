"""Choices of span and trace columns."""

from django.db import models


class Kind(models.TextChoices):
    """OpenInference's span kinds, and SPAN for others."""

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
    UNSET = "unset", "Unset"
    OK = "ok", "OK"
    ERROR = "error", "Error"


class Outcome(models.TextChoices):
    """The sender's agent.outcome, else from the status."""

    SUCCESS = "success"
    FAILURE = "failure"
    UNKNOWN = "unknown"
