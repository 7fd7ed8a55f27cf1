"""What `manage.py signals` is told: its arguments, and the question that some of them make."""

import argparse
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError, CommandParser

from catalyst import timerange
from catalyst.json_value import InvalidValue, JsonValue
from catalyst.params import cursor
from catalyst.querysets import Cursor
from catalyst.timerange import TimeRange
from signals import filters
from signals.definitions.choices import Scope
from signals.definitions.definition import Definition
from signals.definitions.judge_view import JudgeView
from signals.definitions.templates import TEMPLATES
from signals.filters import LabelFilter
from signals.models import Signal, SignalVersion
from signals.runs import signal_tests
from traces.filters import Filter

USAGE = 2
"""The exit code of a command that can't be understood."""
BUCKETS = {"hour": timerange.HOUR, "day": timerange.DAY}
BINARY = {"true": "yes", "false": "no"}
OPTIONS = {
    "type": "--classifier",
    "labels": "--label",
    "sentiments": "--sentiment",
    "sample_rate": "--sample-rate",
    "judge_model": "--judge-model",
    "start": "--from",
}
"""Where the rules of `signals.operations` and `signals.runs.backfill` and the command name a thing differently."""


def add(parser: CommandParser) -> None:
    """Every subcommand."""
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    common = CommandParser(add_help=False)
    common.add_argument("--project", metavar="SLUG", help="Its address; not needed while there is only one.")
    common.add_argument("--json", action="store_true", help="Print JSON.")

    def command(name: str, words: str, *, of_signal: bool = True) -> CommandParser:
        made = commands.add_parser(name, help=words, description=words, parents=[common])
        if of_signal:
            made.add_argument("signal", type=int, metavar="ID", help="Of the signal, as list shows it.")
        return made

    _add_list(command("list", "Every signal with its labels in a range of time.", of_signal=False))
    _add_range(command("show", "One signal: what it asks, its labels and its costs."))
    _add_create(command("create", "Make a signal: a draft, unless --activate is given.", of_signal=False))
    edit = command("edit", "Make a new version; what is not given keeps its value.")
    edit.add_argument("--name", help="Rename it; this makes no version.")
    _add_question(edit)
    _add_test(command("test", "Judge recent targets and save nothing; what is not given is asked as it stands."))
    command("activate", "Judge what arrives from now on.")
    command("disable", "Stop judging; labels stay.")
    command("archive", "Stop it and take it off the list; labels stay.")
    command("unarchive", "Put it back on the list, as disabled or as a draft.")
    _add_backfill(command("backfill", "Judge what is stored: what it takes is shown first."))
    _add_runs(command("runs", "Manual runs with their progress, newest first.", of_signal=False))
    _add_labels(command("labels", "Labels, those of the newest targets first; --json prints one on each line."))
    _add_distribution(command("distribution", "How many targets got which label, by hour or day."))


def _add_list(parser: CommandParser) -> None:
    parser.add_argument("--agent", metavar="IDENTITY", help="Only those of one agent.")
    parser.add_argument("--state", choices=Signal.State.values)
    parser.add_argument("--scope", choices=Scope.values)
    parser.add_argument("--search", default="", metavar="TEXT", help="In the name.")
    parser.add_argument("--sort", choices=filters.SORTS, default=filters.SORTS[0])
    parser.add_argument("--include-archived", action="store_true")
    _add_range(parser)


def _add_range(parser: CommandParser) -> None:
    words = "Whose labels are counted; %(default)s when it is not given."
    parser.add_argument("--range", choices=list(timerange.RANGES), default=timerange.DEFAULT, help=words)


def _add_create(parser: CommandParser) -> None:
    parser.add_argument("--agent", required=True, metavar="IDENTITY", help="Whose traffic is judged.")
    parser.add_argument("--name", help="Needed without a template.")
    parser.add_argument("--template", choices=list(TEMPLATES), help="Start from it; what is given beside it counts.")
    _add_question(parser)
    parser.add_argument("--activate", action="store_true", help="Judge what arrives from now on.")


def _add_question(parser: CommandParser) -> None:
    parser.add_argument("--scope", choices=Scope.values, help="Fixed for the signal's life.")
    parser.add_argument(
        "--classifier", choices=SignalVersion.Type.values, help="Of a new signal: string with --label, else binary."
    )
    prompts = parser.add_mutually_exclusive_group()
    prompts.add_argument("--prompt", help="The question.")
    prompts.add_argument("--prompt-file", dest="prompt", type=_content, metavar="PATH", help="The question is in it.")
    parser.add_argument("--label", action="append", help="One of 2 to 10; repeat it, or put commas between.")
    parser.add_argument("--sentiment", action="append", type=_pair, metavar="OUTCOME=SENTIMENT")
    parser.add_argument("--sample-rate", type=int, metavar="PERCENT", help="0 to 100; a new signal's is 100.")
    parser.add_argument("--judge-model", metavar="MODEL", help="Empty: the instance's.")
    words = "Look only at such traffic; repeatable. Fields: {}, attribute.KEY. Without a value: any."
    fields = ", ".join(name for name in Filter.model_fields if name != "attributes")
    parser.add_argument("--filter", action="append", type=_pair, metavar="FIELD=VALUE", help=words.format(fields))
    words = "What the judge sees; repeatable. Fields: {}. Without a value: as usual."
    fields = ", ".join(JudgeView.model_fields)
    parser.add_argument("--view", action="append", type=_pair, metavar="FIELD=VALUE", help=words.format(fields))


def _add_test(parser: CommandParser) -> None:
    parser.add_argument(
        "--sample-size", type=_count, default=20, help=f"1 to {signal_tests.MAX_TARGETS}; %(default)s are usual."
    )
    _add_window(parser)
    _add_question(parser)


def _add_backfill(parser: CommandParser) -> None:
    _add_window(parser, start_required=True)
    parser.add_argument("--sample-rate", type=int, default=100, metavar="PERCENT", help="0 to 100, which is usual.")
    how = parser.add_mutually_exclusive_group()
    how.add_argument("--preview", action="store_true", help="Only show what it would find and take.")
    how.add_argument("--yes", action="store_true", help="Start without asking.")


def _add_runs(parser: CommandParser) -> None:
    parser.add_argument("signal", nargs="?", type=int, metavar="ID", help="Of a signal; without, all of the project.")
    parser.add_argument("--cancel", type=int, metavar="RUN", help="Judge no more of this run; its labels stay.")
    parser.add_argument("--limit", type=_count, default=20)


def _add_labels(parser: CommandParser) -> None:
    _add_window(parser)
    parser.add_argument("--label", default="", help="Only this one; yes or no of a binary.")
    parser.add_argument("--status", choices=filters.STATUSES, default="")
    parser.add_argument("--signal-version", type=int, metavar="NUMBER")
    parser.add_argument("--search", default="", metavar="TEXT", help="In the reason.")
    parser.add_argument("--run", type=int, help="Only what this manual run had judged.")
    how_many = parser.add_mutually_exclusive_group()
    how_many.add_argument("--limit", type=_count, default=50, help="At most so many; %(default)s are usual.")
    how_many.add_argument("--all", action="store_const", const=None, dest="limit", help="Every one.")
    parser.add_argument("--after", default="", metavar="CURSOR", help="Go on behind it, as the end of a page says.")


def _add_distribution(parser: CommandParser) -> None:
    _add_window(parser, start_required=True)
    parser.add_argument("--bucket", choices=list(BUCKETS), default="hour")
    parser.add_argument("--signal-version", type=int, metavar="NUMBER")


def _add_window(parser: CommandParser, *, start_required: bool = False) -> None:
    words = "ISO 8601, as 2026-11-20 or 2026-11-20T08:00; in UTC unless it says otherwise."
    parser.add_argument("--from", dest="start", type=_time, required=start_required, metavar="TIME", help=words)
    parser.add_argument("--to", dest="end", type=_time, metavar="TIME", help="Left out itself; else until now.")


def question(given: Mapping[str, Any], before: Definition) -> Definition:
    """The question before with what is given in its place."""
    labels = [label.strip() for each in given["label"] or () for label in each.split(",") if label.strip()]
    kind = given["classifier"] or before.type
    if labels and kind == SignalVersion.Type.BINARY:
        raise CommandError("--label: a binary answers yes or no. Add --classifier string.", returncode=USAGE)
    outcomes = BINARY.values() if kind == SignalVersion.Type.BINARY else labels or before.labels
    kept = {label: felt for label, felt in before.sentiments.items() if kind == before.type and label in outcomes}
    return replace(
        before,
        type=kind,
        labels=labels or before.labels,
        sentiments=kept | _sentiments(given["sentiment"] or (), kind),
        filter=_changed(before.filter, given["filter"] or (), "--filter"),
        view=_changed(before.view, given["view"] or (), "--view"),
        **{name: given[name] for name in ("prompt", "sample_rate", "judge_model") if given[name] is not None},
    )


def blank(given: Mapping[str, Any]) -> Definition:
    """What a new signal asks before anything is said of it."""
    if template := TEMPLATES.get(given["template"] or ""):
        return Definition(template.type, template.prompt, 100, template.labels, template.sentiments)
    missing = [f"--{name}" for name in ("name", "scope", "prompt") if not given[name]]
    if missing:
        raise CommandError(f"Give {', '.join(missing)}, or --template.", returncode=USAGE)
    return Definition(SignalVersion.Type.STRING if given["label"] else SignalVersion.Type.BINARY, "", 100)


def window(given: Mapping[str, Any], now: datetime) -> TimeRange:
    """The time that labels are asked of; of what is not given, all."""
    start, end = given["start"] or timerange.EARLIEST, given["end"] or now + timerange.AHEAD
    return TimeRange(timerange.CUSTOM, start, end, timerange.HOUR)


def wanted_labels(given: Mapping[str, Any], signal: Signal) -> LabelFilter:
    """Which labels of a signal are asked for."""
    version, value = signal.current_version, given["label"]
    if version is not None and version.type == SignalVersion.Type.BINARY:
        value = BINARY.get(value, value)
    return LabelFilter(value, given["status"], given["signal_version"], given["run"], given["search"].strip())


def behind(given: Mapping[str, Any]) -> Cursor | None:
    """Behind which label they go on."""
    after = cursor(given["after"])
    if given["after"] and after is None:
        raise CommandError(f"--after: {given['after']} is not what a list ended with.", returncode=USAGE)
    return after


def _sentiments(given: Iterable[tuple[str, str]], kind: str) -> dict[str, str]:
    is_binary = kind == SignalVersion.Type.BINARY
    return {BINARY.get(outcome, outcome) if is_binary else outcome: felt for outcome, felt in given}


def _changed[T: JsonValue](before: T, given: Sequence[tuple[str, str]], option: str) -> T:
    """A filter or view with these fields changed; an empty value takes one back. Lists are all that is given."""
    data = before.dump()
    lists: dict[str, list[str]] = {}
    for name, value in given:
        field, _, key = name.partition(".")
        field = field.replace("-", "_") if not key else "attributes" if field == "attribute" else name
        if field not in type(before).model_fields or (field == "attributes") != bool(key):
            raise CommandError(f"{option}: there is no field {name}. See --help.", returncode=USAGE)
        if key:
            data["attributes"] = data.get("attributes", {}) | {key: value}
        elif isinstance(type(before).model_fields[field].default, tuple):
            lists.setdefault(field, []).extend(value.split(",") if field == "kinds" else [value])
        else:
            data[field] = value
    data |= lists
    if "attributes" in data:
        data["attributes"] = {key: value for key, value in data["attributes"].items() if value}
    try:
        return type(before).parse({field: value for field, value in data.items() if value not in ("", [""])})
    except InvalidValue as error:
        said = "; ".join(f"{field}: {words}" for field, words in error.errors.items())
        raise CommandError(f"{option} {said}", returncode=USAGE) from error


def _pair(text: str) -> tuple[str, str]:
    name, is_pair, value = text.partition("=")
    if not is_pair:
        raise argparse.ArgumentTypeError(f"{text!r} has no = between a name and a value")
    return name.strip(), value.strip()


def _content(path: str) -> str:
    try:
        return Path(path).read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise argparse.ArgumentTypeError(f"can't read {path}: {error}") from error


def _count(text: str) -> int:
    if not text.isascii() or not text.isdigit() or not 0 < int(text) < 10**9:
        raise argparse.ArgumentTypeError(f"{text!r} is no number above zero")
    return int(text)


def _time(text: str) -> datetime:
    try:
        when = datetime.fromisoformat(text)
        return (when if when.tzinfo else when.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise argparse.ArgumentTypeError(f"{text!r} is no time; write one as 2026-11-20T08:00") from error
