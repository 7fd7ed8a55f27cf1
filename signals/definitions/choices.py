"""Choices of signals and their versions."""

from django.db import models


class Scope(models.TextChoices):
    """What one label is about; fixed for a signal's life."""

    SPAN = "span", "Span"
    TRACE = "trace", "Trace"
    SESSION = "session", "Session"


class Sentiment(models.TextChoices):
    """Whether an outcome is good news."""

    POSITIVE = "positive", "Positive"
    NEGATIVE = "negative", "Negative"
    NEUTRAL = "neutral", "Neutral"


class State(models.TextChoices):
    """Whether a signal judges live traffic."""

    DRAFT = "draft", "Draft"
    ACTIVE = "active", "Active"
    DISABLED = "disabled", "Disabled"


class Type(models.TextChoices):
    """What a version answers with."""

    BINARY = "binary", "Yes or no"
    STRING = "string", "One of several labels"


BINARY_LABELS = ("yes", "no")
