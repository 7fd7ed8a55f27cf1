"""Choices of signals and their versions."""

from django.db import models


class Scope(models.TextChoices):
    SPAN = "span", "Span"
    TRACE = "trace", "Trace"
    SESSION = "session", "Session"


class Sentiment(models.TextChoices):
    POSITIVE = "positive", "Positive"
    NEGATIVE = "negative", "Negative"
    NEUTRAL = "neutral", "Neutral"


class State(models.TextChoices):
    DRAFT = "draft", "Draft"
    ACTIVE = "active", "Active"
    DISABLED = "disabled", "Disabled"


class Type(models.TextChoices):
    BINARY = "binary", "Binary"
    STRING = "string", "Labels"


BINARY_LABELS = ("yes", "no")
