"""What `manage.py signals` says to people: lines, as wide as the terminal."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal

from catalyst import formats
from catalyst.formats import ago, short, usd
from catalyst.llms.amounts import SpentToday
from catalyst.package import command
from catalyst.terminal import facts, table
from catalyst.timerange import TimeRange
from signals.definitions import diff
from signals.judging import judges
from signals.models import SignalTestItem
from signals.results.charts import Outcome
from signals.results.rows import LabelRow
from signals.results.summaries import Summary
from signals.runs.backfill import Preview, Progress
from signals.runs.estimates import Estimate
from signals.runs.signal_tests import Results

type Lines = Iterable[str]

SIGNALS = ("ID", "NAME", "AGENT", "SCOPE", "STATE", "V", "RATE", "LABELS", "SHARES", "WAIT", "FAILED", "COST", "LAST")
RUNS = ("RUN", "SIGNAL", "V", "STATE", "WINDOW", "RATE", "FOUND", "SAMPLED", "LABELLED", "WAIT", "FAILED", "LEFT")
TEST = ("LABEL", "TARGET", "ABOUT", "REASON", "COST")
LABELS = ("ID", "TARGET TIME", "LABEL", "TARGET", "ABOUT", "REASON", "V", "RUN", "COST")


def signals(found: Sequence[Summary], now: datetime, width: int | None) -> Lines:
    """A list of signals."""
    if not found:
        return [f"No signals. Make one with {command('signals create')}."]
    return table(SIGNALS, [_signal(each, now) for each in found], width)


def _signal(each: Summary, now: datetime) -> list[str | int]:
    signal, version = each.signal, each.signal.current_version
    return [
        str(signal.pk),
        signal.name,
        str(signal.agent),
        signal.scope,
        _state(each),
        version.number if version else "",
        f"{version.sample_rate}%" if version else "",
        each.labelled,
        _shares(each),
        each.waiting,
        each.coverage.failed,
        usd(each.cost),
        ago(each.last, now) if each.last else "",
    ]


def _state(each: Summary) -> str:
    state = "archived" if each.signal.archived_at else each.signal.state
    held = ["capped"] if each.stop else []
    held += [each.silence.title.lower()] if each.silence else []
    return ", ".join([state, *held])


def _shares(each: Summary) -> str:
    """The outcome that tells most comes first, where a narrow terminal shows it."""
    said = sorted((one for one in each.outcomes if one.count), key=lambda one: one != each.headline)
    shares = ", ".join(f"{one.value} {formats.percent(one.count, one.total)}" for one in said)
    return f"{shares} ({each.given_by})" if each.given_by else shares


def signal(each: Summary, time_range: TimeRange, today: SpentToday, now: datetime, width: int | None) -> Lines:
    """One signal: what it asks and what it found."""
    signal, version, covered = each.signal, each.signal.current_version, each.coverage
    last = f", the newest {ago(each.last, now)}" if each.last else ""
    waits_for = "a cap" if each.stop else "the judge"
    counts = (
        f"{covered.waiting:,} wait for {waits_for}",
        f"{covered.failed:,} failed",
        f"{covered.skipped:,} without content",
    )
    pairs = [
        ("Signal", f"{signal.name} ({signal.pk})"),
        ("Agent", signal.agent.identity),
        ("Scope", signal.scope),
        ("State", _state(each)),
        (f"In {time_range.text}", f"{each.labelled:,} labels{last}; {', '.join(counts)}"),
        (f"Shares of {each.given_by}" if each.given_by else "Shares", _intervals(each.outcomes)),
        ("Cost", f"{usd(each.cost) or 'not known'}; {_spent(today)}"),
        ("Not judged now", each.held_up),
    ]
    if version is not None:
        judge = judges.judge_of(version)
        felt = (f"{label} ({version.sentiments[label]})" for label in version.labels)
        pairs += [
            ("Version", f"{version.number}, {ago(version.created_at, now)}"),
            ("Answer", f"{diff.TYPES[version.type]}: {', '.join(felt)}"),
            ("Sample rate", f"{version.sample_rate}%"),
            ("Looks at", version.traffic_filter.text),
            ("Judge", f"{judge.name}; sees {version.judge_view.text}"),
            ("Question", version.prompt),
        ]
    return facts(pairs, width)


def _intervals(outcomes: Iterable[Outcome]) -> str:
    said = (
        f"{one.value} {formats.percent(one.count, one.total)} (95% interval {one.interval[0]:.1f} to "
        f"{one.interval[1]:.1f}%)"
        for one in outcomes
        if one.count
    )
    return "\n".join(said)


def _spent(today: SpentToday) -> str:
    return f"{today.text} (UTC)"


def preview(found: Preview, estimate: Estimate, width: int | None) -> Lines:
    """What a manual run would find and take."""
    about = "" if found.is_exact else "about "
    labels = f"{about}{found.labelled:,} of these have a label of this version and keep it"
    tokens = f"about {short(estimate.input_tokens)} tokens in, {short(estimate.output_tokens)} out"
    told = "as earlier calls of this version took" if estimate.seen else "guessed by their length"
    pairs = [
        ("Found", f"{found.matched:,} targets"),
        ("Sampled", f"{about}{found.sampled:,}; {labels}"),
        ("To judge", f"{about}{found.to_judge:,} by {judges.judge_name(estimate.model)}"),
        ("Cost", _price(estimate.cost, found.to_judge)),
        ("Takes", f"about {estimate.text}; {tokens}, {told}" if estimate.takes else ""),
    ]
    return facts(pairs, width)


def _price(cost: Decimal | None, calls: int) -> str:
    if not calls:
        return "nothing: there is nothing to judge"
    return "not known: this model has no public price" if cost is None else f"about {usd(cost)}"


def runs(found: Sequence[Progress], width: int | None) -> Lines:
    """A list of manual runs."""
    if not found:
        return [f"No runs. Start one with {command('signals backfill')}."]
    rows = [
        (
            str(each.run.pk),
            each.run.version.signal.name,
            each.run.version.number,
            _run_state(each),
            f"{each.run.window_start:%Y-%m-%d %H:%M} to {each.run.window_end:%Y-%m-%d %H:%M}",
            f"{each.run.sample_rate}%",
            each.run.matched,
            each.run.sampled,
            each.covered.done,
            each.covered.waiting,
            each.covered.failed,
            each.left_words,
        )
        for each in found
    ]
    return table(RUNS, rows, width)


def _run_state(each: Progress) -> str:
    state = each.run.get_state_display().lower()
    if each.run.error:
        return f"{state}: {each.run.error}"
    return f"{state}, {each.percent}%" if each.run.is_open else state


def labels(rows: Sequence[LabelRow], width: int | None) -> Lines:
    """A page of labels."""
    return table(LABELS, [_label(row) for row in rows], width, whole=("TARGET",))


def _label(row: LabelRow) -> list[str | int]:
    label = row.label
    return [
        str(label.pk),
        f"{label.target_time:%Y-%m-%d %H:%M:%S}",
        label.value if label.status == label.Status.DONE else f"{label.value} ({label.status})".strip(),
        row.id,
        row.title or "not stored any more",
        label.reason or label.error,
        label.version.number,
        str(label.run_id or ""),
        usd(label.cost),
    ]


def test_items(rows: Sequence[LabelRow[SignalTestItem]], width: int | None) -> Lines:
    """Targets of a test that were judged."""
    judged = [
        (
            row.label.value or row.label.status,
            row.id,
            row.title,
            row.label.reason or row.label.error,
            usd(row.label.cost),
        )
        for row in rows
    ]
    return table(TEST, judged, width, whole=("TARGET",)) if judged else ()


def test(found: Results, width: int | None) -> Lines:
    """What a test found in all, and what its question would take on a day."""
    calls, cost = found.test.calls_per_day, found.test.cost_per_day
    counts = f"{len(found.ended):,}: {found.failed:,} failed, {found.skipped:,} without content"
    pairs = [
        ("Judged", f"{counts}; kept for a day, never as labels"),
        ("Shares", _intervals(found.outcomes)),
        ("Cost", f"{usd(found.cost) or 'not known'}; {found.tokens:,} tokens"),
        ("Live, a day", f"about {calls:,} calls; {_price(cost, calls)}"),
    ]
    return facts(pairs, width)


def distribution(
    counts: Mapping[tuple[datetime, str], int], values: Sequence[str], step: timedelta, width: int | None
) -> Lines:
    """Counts by bar, and each label's share of the whole."""
    starts = sorted({start for start, _ in counts})
    if not starts:
        return ["No labels of targets that began in this time."]
    written = "%Y-%m-%d" if step >= timedelta(days=1) else "%Y-%m-%d %H:%M"
    rows: list[Sequence[str | int]] = [
        (f"{start:{written}}", *(counts.get((start, value), 0) for value in values)) for start in starts
    ]
    sums = [sum(counts.get((start, value), 0) for start in starts) for value in values]
    shares = [formats.percent(each, sum(sums)) for each in sums]
    return table(("BEGAN (UTC)", *values), [*rows, ("All", *sums), ("Share", *shares)], width)
