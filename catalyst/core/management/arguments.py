"""Command line arguments from the input of an operation.

A required id is positional. Lists repeat their flag, mappings repeat it as NAME=VALUE.
"""

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from enum import Enum
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from django.core.management.base import CommandParser
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from catalyst.core.operation_context import Context
from catalyst.operations import Input, Operation, Page

# Keeps fields apart from options of Django and of every command.
PREFIX = "field:"
STANDARD_INPUT = "-"


def add(parser: CommandParser, operation: Operation) -> None:
    if operation.caller is Context:
        parser.add_argument("--project", metavar="SLUG", help="Project slug (optional if there is only one).")
    parser.add_argument("--json", action="store_true", help="Print JSON.")
    parser.add_argument(
        "--input", type=_json_object, metavar="FILE", help="Read arguments from a JSON file, or - for standard input."
    )
    for name, field in operation.input.model_fields.items():
        _add_field(parser, name, field)
    if operation.preview:
        confirmation = parser.add_mutually_exclusive_group()
        confirmation.add_argument("--preview", action="store_true", help="Show the outcome and change nothing.")
        confirmation.add_argument("--yes", action="store_true", help="Do not ask for confirmation.")
    if is_paged(operation):
        parser.add_argument("--all", action="store_true", help="Every page; with --json one item a line.")
        parser.add_argument("--csv", action="store_true", help="Print CSV.")


def is_paged(operation: Operation) -> bool:
    return get_origin(operation.output) is Page and "after" in operation.input.model_fields


def input_data(operation: Operation, options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the JSON input, overridden by flags."""
    data = dict(options["input"] or {})
    for name, field in operation.input.model_fields.items():
        value = options.get(PREFIX + name)
        if value is not None:
            data[field.alias or name] = _mapping(value) if _kind(field) is dict else value
    return data


def flag(input_type: type[Input], name: str) -> str:
    """Return the name of an input field on the command line."""
    for field_name, field in input_type.model_fields.items():
        if name in (field_name, field.alias):
            return field_name.upper() if _is_positional(field) else _flag(field_name, field)
    return name


def _add_field(parser: CommandParser, name: str, field: FieldInfo) -> None:
    options: dict[str, Any] = {"default": None, "help": _help(field)}
    kind = _kind(field)
    if _is_positional(field):
        parser.add_argument(PREFIX + name, nargs="?", metavar=name.upper(), **options)
        return
    options["dest"] = PREFIX + name
    flag = _flag(name, field)
    if kind is bool:
        parser.add_argument(
            flag, action="store_true" if field.default is False else argparse.BooleanOptionalAction, **options
        )
    elif kind is list:
        # By the name of the list, too.
        flags = dict.fromkeys([flag, f"--{(field.alias or name).replace('_', '-')}"])
        parser.add_argument(*flags, action="append", metavar=_metavar(flag), **options)
    elif kind is dict:
        parser.add_argument(flag, action="append", type=_pair, metavar="NAME=VALUE", **options)
    elif _choices(kind):
        parser.add_argument(flag, choices=_choices(kind), **options)
    elif _is_text(field):
        either = parser.add_mutually_exclusive_group()
        either.add_argument(flag, metavar=_metavar(flag), **options)
        either.add_argument(
            f"{flag}-file", type=_content, metavar="FILE", **options | {"help": "The same from a file."}
        )
    else:
        parser.add_argument(flag, metavar=_metavar(flag), **options)


def _is_positional(field: FieldInfo) -> bool:
    return field.is_required() and _kind(field) is int


def _flag(name: str, field: FieldInfo) -> str:
    text = field.alias or name
    if _kind(field) in (list, dict):
        text = text.removesuffix("s")
    return f"--{text.replace('_', '-')}"


def _metavar(flag: str) -> str:
    return flag.removeprefix("--").replace("-", "_").upper()


def _kind(field: FieldInfo) -> Any:
    # The type without None, annotations and type arguments.
    kind: Any = field.annotation
    if get_origin(kind) in (Union, UnionType):
        kind = next(part for part in get_args(kind) if part is not type(None))
    if get_origin(kind) is Annotated:
        kind = get_args(kind)[0]
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        return dict
    origin = get_origin(kind)
    if origin in (tuple, list):
        return list
    return dict if origin is dict else kind


def _choices(kind: Any) -> list[str]:
    if get_origin(kind) is Literal:
        return [choice for choice in get_args(kind) if choice]
    if isinstance(kind, type) and issubclass(kind, Enum):
        return [str(choice.value) for choice in kind]
    return []


def _is_text(field: FieldInfo) -> bool:
    extra = field.json_schema_extra
    return isinstance(extra, dict) and "contentMediaType" in extra


def _help(field: FieldInfo) -> str:
    text = field.description or ""
    if field.default not in (None, "", False) and not field.is_required():
        text = f"{text} (default: {getattr(field.default, 'value', field.default)})".strip()
    return text.replace("%", "%%")


def _mapping(pairs: Sequence[tuple[str, str]]) -> dict[str, Any]:
    # A repeated name has a list of values.
    values: dict[str, list[str]] = {}
    for name, value in pairs:
        values.setdefault(name, []).append(value)
    repeated = {name: items for name, items in values.items() if len(items) > 1}
    return {name: items[0] for name, items in values.items()} | repeated


def _pair(text: str) -> tuple[str, str]:
    name, is_pair, value = text.partition("=")
    if not is_pair:
        raise argparse.ArgumentTypeError(f"{text!r} has no = between a name and a value")
    return name.strip(), value.strip()


def _content(path: str) -> str:
    try:
        return sys.stdin.read() if path == STANDARD_INPUT else Path(path).read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise argparse.ArgumentTypeError(f"can't read {path}: {error}") from error


def _json_object(path: str) -> dict[str, Any]:
    try:
        data = json.loads(_content(path))
    except (ValueError, RecursionError) as error:
        raise argparse.ArgumentTypeError(f"{path} holds no JSON: {error}") from error
    if not isinstance(data, dict):
        raise argparse.ArgumentTypeError(f"{path} holds no JSON object")
    return data
