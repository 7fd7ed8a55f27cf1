"""Definitions: prompt, labels and settings of a version, with their validation."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

from django.core.exceptions import ValidationError

from catalyst.env import env
from catalyst.json_value import InvalidValue, JsonValue
from catalyst.llms.endpoints import OFFLINE
from catalyst.llms.models import ModelConnection
from signals.definitions import judge_view
from signals.definitions.choices import BINARY_LABELS, Scope, Sentiment, Type
from signals.definitions.judge_view import JudgeView
from traces import filters
from traces.filters import Filter, fields_by_name
from traces.models.settle_queue import MAX_QUIET

MAX_NAME_CHARACTERS = 100
MAX_PROMPT_CHARACTERS = 20_000
MAX_LABEL_CHARACTERS = 60
MAX_DESCRIPTION_CHARACTERS = 500
MAX_QUIET_MINUTES = MAX_QUIET // timedelta(minutes=1)
LABEL_COUNTS = range(2, 11)
QUIET_ERROR = f"Enter a whole number from 1 to {MAX_QUIET_MINUTES:,}"
# Outcomes of a binary as machines write them.
TRUTH = {"true": "yes", "false": "no"}


@dataclass(frozen=True, slots=True)
class Definition:
    """Prompt, labels and settings of a version, stored or not.

    Labels of a binary definition are always yes and no. `default_sentiments` fills outcomes that `sentiments`
    omits. `descriptions`: when to choose a label, as the judge sees it, without empty ones. `connection` is the name
    of a model connection, empty for the instance's endpoint.
    """

    type: str
    prompt: str
    sample_rate: int
    labels: Sequence[str] = ()
    sentiments: Mapping[str, str] = field(default_factory=dict)
    judge_model: str = ""
    filter: Filter = filters.EVERYTHING
    view: JudgeView = judge_view.EVERYTHING
    connection: str = ""
    descriptions: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Changes:
    """A partial edit of a definition. None keeps a field.

    `filter` and `view` change only the fields they contain. An empty value or None resets a field to its default.
    """

    type: str | None = None
    prompt: str | None = None
    labels: Sequence[str] | None = None
    sentiments: Mapping[str, str] | None = None
    descriptions: Mapping[str, str] | None = None
    sample_rate: int | None = None
    connection: str | None = None
    judge_model: str | None = None
    filter: Mapping[str, Any] | None = None
    view: Mapping[str, Any] | None = None


def with_changes(before: Definition, changes: Changes) -> Definition:
    """Return the edited definition, not validated yet. Raises ValidationError for unreadable changes."""
    kind = changes.type or before.type
    labels = tuple(changes.labels or before.labels)
    if changes.labels and kind == Type.BINARY:
        raise ValidationError({"labels": "A binary answers yes or no. Labels need the type string."})
    edits: dict[str, Any] = {}
    for name in ("prompt", "sample_rate", "connection", "judge_model"):
        if (value := getattr(changes, name)) is not None:
            edits[name] = value
    if "judge_model" not in edits and edits.get("connection", before.connection) != before.connection:
        edits["judge_model"] = ""  # another connection has other models
    outcomes = BINARY_LABELS if kind == Type.BINARY else labels
    return replace(
        before,
        **edits,
        type=kind,
        labels=labels,
        sentiments=_changed_sentiments(before, changes, kind, outcomes),
        descriptions=_changed_descriptions(before, changes, outcomes),
        filter=_changed_value(before.filter, changes.filter or {}, "filter"),
        view=_changed_value(before.view, changes.view or {}, "view"),
    )


def _changed_sentiments(before: Definition, changes: Changes, kind: str, labels: Sequence[str]) -> dict[str, str]:
    sentiments: dict[str, str] = {}
    if kind == before.type:
        sentiments = {label: sentiment for label, sentiment in before.sentiments.items() if label in labels}
    for label, sentiment in (changes.sentiments or {}).items():
        sentiments[TRUTH.get(label, label) if kind == Type.BINARY else label] = sentiment
    return sentiments


def _changed_descriptions(before: Definition, changes: Changes, labels: Sequence[str]) -> dict[str, str]:
    kept = {label: text for label, text in before.descriptions.items() if label in labels}
    return {**kept, **(changes.descriptions or {})}


def _changed_value[T: JsonValue](before: T, edits: Mapping[str, Any], field: str) -> T:
    changes = fields_by_name(edits)
    data = before.dump() | {name: _as_list(before, name, value) for name, value in changes.items()}
    data = {name: value for name, value in data.items() if value not in (None, "", [""])}
    if isinstance(changes.get("attributes"), Mapping):
        attributes = before.dump().get("attributes", {}) | changes["attributes"]
        data["attributes"] = {key: value for key, value in attributes.items() if value not in (None, "")}
    try:
        return type(before).parse(data)
    except InvalidValue as error:
        texts = [f"{name}: {text}" for name, text in error.errors.items()]
        raise ValidationError({field: texts}) from error


def _as_list(value: JsonValue, name: str, data: Any) -> Any:
    field = type(value).model_fields.get(name)
    if field is None or not isinstance(field.default, tuple) or not isinstance(data, str):
        return data
    return data.split(",") if name == "kinds" else [data]


def default_sentiments(type_: str, labels: Sequence[str]) -> dict[str, str]:
    if type_ == Type.BINARY:
        return {"yes": Sentiment.NEGATIVE, "no": Sentiment.POSITIVE}
    return dict.fromkeys(labels, Sentiment.NEUTRAL)


def version_columns(checked: Definition, connection: ModelConnection | None) -> dict[str, Any]:
    return {
        "type": checked.type,
        "prompt": checked.prompt,
        "labels": list(checked.labels),
        "sentiments": dict(checked.sentiments),
        "descriptions": dict(checked.descriptions),
        "sample_rate": checked.sample_rate,
        "connection": connection,
        "judge_model": checked.judge_model,
        "filter": checked.filter.dump(),
        "view": checked.view.dump(),
    }


def checked_name(name: str) -> str:
    name = " ".join(name.split())
    if not 1 <= len(name) <= MAX_NAME_CHARACTERS:
        raise ValidationError({"name": f"Enter a name of up to {MAX_NAME_CHARACTERS} characters"})
    return name


def checked_quiet_minutes(minutes: int | None, scope: str) -> int | None:
    """Return None for the instance's quiet time, also for 0."""
    if minutes and scope != Scope.SESSION:
        raise ValidationError({"quiet_minutes": "Only session signals have a quiet time"})
    if minutes and not 1 <= minutes <= MAX_QUIET_MINUTES:
        raise ValidationError({"quiet_minutes": QUIET_ERROR})
    return minutes or None


def checked_definition(
    definition: Definition, scope: str, connection: ModelConnection | None = None, kept_model: str = ""
) -> Definition:
    """Return the normalized definition. Raises ValidationError with all errors, by field.

    `kept_model` is the judge model of the previous version, which stays valid even if it is no longer allowed.
    """
    model = definition.judge_model.strip() or (connection.default_model if connection else "")
    labels = _labels(definition)
    prompt = definition.prompt.replace("\r\n", "\n").strip()
    sentiments = default_sentiments(definition.type, labels) | dict(definition.sentiments)
    descriptions = _descriptions(definition)
    errors = _text_errors(definition, prompt) | _label_errors(labels)
    errors |= _view_errors(definition, scope) | _model_errors(model, connection, kept_model)
    if "labels" not in errors:
        errors |= _sentiment_errors(definition.type, labels, sentiments) | _description_errors(labels, descriptions)
    if errors:
        raise ValidationError(errors)
    return Definition(
        type=str(definition.type),
        prompt=prompt,
        sample_rate=definition.sample_rate,
        labels=labels,
        sentiments={label: str(sentiments[label]) for label in labels},
        connection=connection.name if connection else "",
        descriptions={label: descriptions[label] for label in labels if label in descriptions},
        judge_model=model,
        filter=definition.filter,
        view=definition.view,
    )


def _labels(definition: Definition) -> tuple[str, ...]:
    if definition.type == Type.BINARY:
        return BINARY_LABELS
    return tuple(" ".join(label.split()) for label in definition.labels if label.strip())


def _descriptions(definition: Definition) -> dict[str, str]:
    if definition.type == Type.BINARY:
        return {}
    return {label: " ".join(text.split()) for label, text in definition.descriptions.items() if text.strip()}


def _text_errors(definition: Definition, prompt: str) -> dict[str, str]:
    errors: dict[str, str] = {}
    if definition.type not in Type.values:
        errors["type"] = "The type is binary or string"
    if not 1 <= len(prompt) <= MAX_PROMPT_CHARACTERS or "\0" in prompt:
        errors["prompt"] = f"Enter a prompt of up to {MAX_PROMPT_CHARACTERS:,} characters"
    if not 0 <= definition.sample_rate <= 100:
        errors["sample_rate"] = "Enter a sample rate from 0 to 100"
    return errors


def _model_errors(model: str, connection: ModelConnection | None, kept_model: str) -> dict[str, str]:
    if connection is not None:
        if model in {*connection.allowed_models, kept_model}:
            return {}
        return {"judge_model": f"The connection {connection.name} does not allow the model {model}."}
    if model in ["", OFFLINE, env.judge_model, *judge_models(kept_model)]:
        return {}
    return {"judge_model": f"The model {model} is not one of those that CATALYST_JUDGE_MODELS allows."}


def _view_errors(definition: Definition, scope: str) -> dict[str, str]:
    if scope == Scope.SPAN and (definition.view.kinds or definition.view.names):
        return {"view": "Span kinds and names need the scope trace or session"}
    return {}


def judge_models(kept_model: str = "") -> list[str]:
    """Return the models that a version may name: the allowed ones and `kept_model`."""
    kept_models = [kept_model] if kept_model else []
    return list(dict.fromkeys([*env.judge_models, *kept_models]))


def _label_errors(labels: Sequence[str]) -> dict[str, str]:
    if len(labels) not in LABEL_COUNTS:
        return {"labels": f"Enter {LABEL_COUNTS[0]} to {LABEL_COUNTS[-1]} labels, not {len(labels)}"}
    if len({label.casefold() for label in labels}) < len(labels):
        return {"labels": "Labels must differ in more than upper and lower case"}
    if any(len(label) > MAX_LABEL_CHARACTERS or not label.isprintable() for label in labels):
        return {"labels": f"Enter up to {MAX_LABEL_CHARACTERS} printable characters for a label"}
    return {}


def _sentiment_errors(type_: str, labels: Sequence[str], sentiments: Mapping[str, str]) -> dict[str, str]:
    if unknown := set(sentiments) - set(labels):
        return {"sentiments": f"There is no label {', '.join(sorted(unknown))}"}
    used = [sentiments[label] for label in labels]
    if not set(used) <= set(Sentiment.values):
        return {"sentiments": "A sentiment is positive, negative or neutral"}
    if type_ == Type.BINARY and sorted(used) != [Sentiment.NEGATIVE, Sentiment.POSITIVE]:
        return {"sentiments": "Of yes and no, one is positive and the other negative"}
    return {}


def _description_errors(labels: Sequence[str], descriptions: Mapping[str, str]) -> dict[str, str]:
    if unknown := set(descriptions) - set(labels):
        return {"descriptions": f"There is no label {', '.join(sorted(unknown))}"}
    if any(len(text) > MAX_DESCRIPTION_CHARACTERS or "\0" in text for text in descriptions.values()):
        return {"descriptions": f"Enter up to {MAX_DESCRIPTION_CHARACTERS} characters for a description"}
    return {}
