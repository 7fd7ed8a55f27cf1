"""The health probe of API keys: usage and refused requests."""

from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from catalyst.core import key_use
from catalyst.core.models import ApiKey
from catalyst.health import RECENT, Check, Metric, Sample, State, check, counter

REASONS = {
    "bad_id": "spans with a wrong id",
    "bad_time": "spans with a wrong time",
    "bad_shape": "spans that can't be read",
    "refused_400": "requests that are no OTLP (400)",
    "refused_401": "without a valid key (401)",
    "refused_403": "with a key that may not post (403)",
    "refused_413": "too large (413)",
    "refused_415": "of another content type (415)",
    "refused_429": "faster than the key may send (429)",
    "refused_503": "while the database was away or too many waited for it (503)",
}


@dataclass(frozen=True, slots=True)
class KeyUsed:
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
        return sum(count for what, count in self.counts.items() if what.startswith("bad_"))

    @property
    def refused(self) -> int:
        """Requests answered with an error."""
        return sum(count for what, count in self.counts.items() if what.startswith("refused_"))

    def reasons(self) -> str:
        return ", ".join(f"{count:,} {REASONS[what]}" for what, count in self.counts.most_common() if what in REASONS)


@dataclass(frozen=True, slots=True)
class KeyUses:
    # In the last 24 hours, and in total.
    recent: list[KeyUsed]
    ever: list[KeyUsed]


def key_uses(now: datetime) -> KeyUses:
    return KeyUses(_uses_since(now - RECENT), _uses_since(key_use.EVER))


def _uses_since(since: datetime) -> list[KeyUsed]:
    totals = key_use.totals(since)
    keys = ApiKey.objects.select_related("project").in_bulk([pk for pk in totals if pk is not None])
    uses = [KeyUsed(keys.get(pk or 0), counts) for pk, counts in totals.items()]
    return sorted(uses, key=lambda used: (-used.received, used.key.pk if used.key else 0))


def check_keys(uses: KeyUses, _now: datetime) -> Iterator[Check]:
    for used in uses.recent:
        name = f"{used.key.project}: {used.key.name}" if used.key else "no valid key"
        text = f"{used.received:,} spans received, {used.stored:,} stored, {used.rejected:,} rejected, "
        text += f"{used.counts['late']:,} late, {used.refused:,} requests refused"
        state: State = "warn" if used.key and (used.rejected or used.refused) else "ok"
        advice = f"{used.reasons()}. Senders repeat what got 429 or 503; of all else only their logs tell."
        yield check("Keys in 24 hours", name, state, text, advice)


def key_metrics(uses: KeyUses, _now: datetime) -> Iterator[Metric]:
    samples: dict[str, list[Sample]] = defaultdict(list)
    for used in uses.ever:
        labels = _labels_of(used.key)
        for what, count in sorted(used.counts.items()):
            kind, _, reason = what.partition("_")
            if what == "accepted" or kind == "refused":
                samples["requests"].append((labels | {"status": reason or "200"}, count))
            elif what in ("late", "cut"):
                samples[what].append((labels, count))
            else:
                samples["spans"].append((labels | {"fate": what}, count))
    text = "Spans of accepted requests, by key and what became of them."
    yield counter("spans_total", text, samples["spans"])
    yield counter("spans_late_total", "Stored spans that came after their trace had settled.", samples["late"])
    yield counter("cut_total", "Values cut, and attributes, events and links left out.", samples["cut"])
    yield counter("requests_total", "Requests with traces, by key and status.", samples["requests"])


def _labels_of(key: ApiKey | None) -> dict[str, str]:
    return {"project": key.project.slug, "key": str(key.pk), "name": key.name} if key else {}
