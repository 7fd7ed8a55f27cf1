"""The health probe of API keys: usage and refused requests."""

from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from catalyst.core import key_use
from catalyst.core.models import ApiKey
from catalyst.health import RECENT, Check, Metric, Sample, check, counter

REASONS = {
    "bad_id": "spans with a wrong id",
    "bad_time": "spans with a wrong time",
    "bad_expired": "spans of traces that have expired",
    "bad_full": "spans of traces that have as many as they may",
    "bad_shape": "spans that can't be read",
    "refused_400": "requests that are no OTLP (400)",
    "refused_401": "without a valid key (401)",
    "refused_403": "with a key that may not post (403)",
    "refused_404": "to a path that takes no traces (404)",
    "refused_413": "too large (413)",
    "refused_415": "of another content type (415)",
    "refused_429": "faster than the key may send (429)",
    "refused_503": "while the database was away or too many waited for it (503)",
}


@dataclass(frozen=True, slots=True)
class KeyUsage:
    # Without a key: requests with no key or an unknown one.
    key: ApiKey | None
    counts: Counter[str]

    @property
    def received(self) -> int:
        """Spans of accepted requests."""
        return self.stored + self.counts["duplicate"] + self.rejected

    @property
    def stored(self) -> int:
        """New and updated spans."""
        return self.counts["new"] + self.counts["replaced"]

    @property
    def rejected(self) -> int:
        """Spans that could not be stored."""
        return sum(count for event, count in self.counts.items() if event.startswith("bad_"))

    @property
    def refused(self) -> int:
        """Requests answered with an error."""
        return sum(count for event, count in self.counts.items() if event.startswith("refused_"))

    @property
    def other(self) -> int:
        """Stored spans that count under (other)."""
        return self.counts["other"]

    def reasons(self) -> str:
        return ", ".join(
            f"{count:,} {REASONS[event]}" for event, count in self.counts.most_common() if event in REASONS
        )


TOO_MANY_NAMES = (
    "The project brings more new agents, models or tools in an hour than CATALYST_MAX_NEW_NAMES_PER_HOUR. If they are "
    "meant, run manage.py agents regroup."
)


@dataclass(frozen=True, slots=True)
class UsageOfKeys:
    # In the last 24 hours, and in total.
    recent: list[KeyUsage]
    ever: list[KeyUsage]


def usage_of_keys(now: datetime) -> UsageOfKeys:
    return UsageOfKeys(_usage_since(now - RECENT), _usage_since(key_use.TOTALS_HOUR))


def _usage_since(since: datetime) -> list[KeyUsage]:
    totals = key_use.totals(since)
    keys = ApiKey.objects.select_related("project").in_bulk([pk for pk in totals if pk is not None])
    usages = [KeyUsage(keys.get(pk or 0), counts) for pk, counts in totals.items()]
    return sorted(usages, key=lambda usage: (-usage.received, usage.key.pk if usage.key else 0))


def check_keys(usages: UsageOfKeys, _now: datetime) -> Iterator[Check]:
    for usage in usages.recent:
        name = f"{usage.key.project}: {usage.key}" if usage.key else "no valid key"
        text = f"{usage.received:,} spans received, {usage.stored:,} stored, {usage.rejected:,} rejected, "
        text += f"{usage.counts['late']:,} late, {usage.refused:,} requests refused"
        if usage.other:
            text += f", {usage.other:,} spans under the name (other)"
        advice = " ".join(_advice(usage))
        yield check("Keys in 24 hours", name, "warn" if usage.key and advice else "ok", text, advice)


def _advice(usage: KeyUsage) -> Iterator[str]:
    if usage.rejected or usage.refused:
        yield f"{usage.reasons()}. Senders repeat what got 429 or 503; of all else only their logs tell."
    if usage.other:
        yield TOO_MANY_NAMES


def key_metrics(usages: UsageOfKeys, _now: datetime) -> Iterator[Metric]:
    samples: dict[str, list[Sample]] = defaultdict(list)
    for usage in usages.ever:
        labels = _labels_of(usage.key)
        for event, count in sorted(usage.counts.items()):
            kind, _, reason = event.partition("_")
            if event == "accepted" or kind == "refused":
                samples["requests"].append((labels | {"status": reason or "200"}, count))
            elif event in ("late", "cut", "other", "dropped"):
                samples[event].append((labels, count))
            else:
                samples["spans"].append((labels | {"fate": event}, count))
    text = "Spans of accepted requests, by key and what became of them."
    yield counter("spans_total", text, samples["spans"])
    yield counter("spans_late_total", "Stored spans that came after their trace counted as complete.", samples["late"])
    text = "Stored spans that count under the name (other), because too many names are new."
    yield counter("spans_other_total", text, samples["other"])
    yield counter("cut_total", "Values cut, and attributes, events, links and ends left out.", samples["cut"])
    yield counter("requests_total", "Requests with traces, by key and status.", samples["requests"])
    yield counter("requests_dropped_total", "Requests with metrics or logs, which are dropped.", samples["dropped"])


def _labels_of(key: ApiKey | None) -> dict[str, str]:
    return {"project": key.project.slug, "key": str(key.pk), "name": key.name} if key else {}
