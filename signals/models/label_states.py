"""The states of a label, and the columns that each event writes."""

from collections.abc import Mapping
from decimal import Decimal
from enum import StrEnum
from typing import Any

from django.db import models
from django.db.models import F

MAX_ATTEMPTS = 5
CANCELLED = "Taken out of the queue when the signal was changed or disabled, or the backfill was cancelled."
WORKER_DIED = f"The worker stopped {MAX_ATTEMPTS} times while judging this."


class Status(models.TextChoices):
    QUEUED = "queued", "Pending"
    RUNNING = "running", "Being judged"
    DONE = "done", "Labelled"
    FAILED = "failed", "Failed"
    SKIPPED = "skipped", "No content"


class Event(StrEnum):
    ENQUEUE = "enqueue"  # its target has grown
    LEASE = "lease"
    EXTEND_LEASE = "extend lease"
    RELEASE = "release"
    RETRY_LATER = "retry later"
    WAIT_FOR_JUDGE = "wait for judge"
    FINISH = "finish"
    SKIP = "skip"
    FAIL = "fail"
    JUDGE_AGAIN = "judge again"  # the target had grown when its judging ended
    GIVE_UP = "give up"  # its workers died
    RETRY = "retry"
    CANCEL = "cancel"  # dequeued without a value
    KEEP_VALUE = "keep value"  # dequeued with the value of an earlier revision
    RESUME = "resume"  # its model connection changed
    CLAMP_FUTURE_TIMES = "clamp future times"


# Placeholder in the table for a value that the event supplies.
GIVEN = "given"

_GROWN = {"wanted_revision": GIVEN, "target_time": GIVEN, "settled_at": GIVEN, "settled_live": GIVEN}
_ALL_TRIES = {"status": Status.QUEUED, "attempts": 0, "outages": 0}
_WAITS_ANEW = _ALL_TRIES | {"tried_at": None, "not_before": GIVEN, "error": ""}
_LEASED = {"status": Status.RUNNING, "attempts": F("attempts") + 1, "lease_until": GIVEN, "reserved": GIVEN}
_FREED = {"lease_until": None, "reserved": Decimal(0)}
_TRIED = _FREED | {"status": Status.QUEUED, "error": GIVEN, "tried_at": GIVEN, "not_before": GIVEN}
_JUDGED = _FREED | {"error": GIVEN, "tried_at": None, "not_before": GIVEN, "judged_revision": GIVEN}
_ANSWERED = {"value": GIVEN, "reason": GIVEN, "judge": GIVEN, "labelled_at": GIVEN}
_GAVE_UP = _FREED | {"status": Status.FAILED, "error": WORKER_DIED, "judged_revision": F("wanted_revision")}

# What an event writes in a state. An event that is not listed for a state changes nothing of it.
# A new label is QUEUED; one that was dequeued before its first try is deleted.
TRANSITIONS: Mapping[tuple[Status, Event], Mapping[str, Any]] = {
    (Status.QUEUED, Event.ENQUEUE): _GROWN,
    (Status.QUEUED, Event.LEASE): _LEASED,
    (Status.QUEUED, Event.GIVE_UP): _GAVE_UP,
    (Status.QUEUED, Event.CANCEL): {"status": Status.FAILED, "error": CANCELLED, "tried_at": None},
    (Status.QUEUED, Event.KEEP_VALUE): {
        "status": Status.DONE,
        "wanted_revision": F("judged_revision"),
        # When that revision settled is not known any more.
        "settled_at": None,
        "error": "",
        "tried_at": None,
    },
    (Status.QUEUED, Event.RESUME): {"not_before": GIVEN},
    (Status.QUEUED, Event.CLAMP_FUTURE_TIMES): {"not_before": GIVEN},
    (Status.RUNNING, Event.ENQUEUE): _GROWN,
    (Status.RUNNING, Event.LEASE): _LEASED,  # its worker died: the lease ran out
    (Status.RUNNING, Event.EXTEND_LEASE): {"lease_until": GIVEN},
    (Status.RUNNING, Event.RELEASE): _FREED | {"status": Status.QUEUED},
    (Status.RUNNING, Event.RETRY_LATER): _TRIED,
    (Status.RUNNING, Event.WAIT_FOR_JUDGE): _TRIED | {"attempts": GIVEN, "outages": GIVEN},
    (Status.RUNNING, Event.FINISH): _JUDGED | _ANSWERED | {"status": Status.DONE},
    (Status.RUNNING, Event.SKIP): _JUDGED | {"status": Status.SKIPPED},
    (Status.RUNNING, Event.FAIL): _JUDGED | {"status": Status.FAILED},
    (Status.RUNNING, Event.GIVE_UP): _GAVE_UP,
    (Status.RUNNING, Event.CLAMP_FUTURE_TIMES): {"lease_until": GIVEN, "not_before": GIVEN},
    (Status.DONE, Event.ENQUEUE): _WAITS_ANEW | _GROWN,
    (Status.DONE, Event.JUDGE_AGAIN): _ALL_TRIES,
    (Status.FAILED, Event.ENQUEUE): _WAITS_ANEW | _GROWN,
    (Status.FAILED, Event.JUDGE_AGAIN): _ALL_TRIES,
    (Status.FAILED, Event.RETRY): _WAITS_ANEW,
    (Status.SKIPPED, Event.ENQUEUE): _WAITS_ANEW | _GROWN,
    (Status.SKIPPED, Event.JUDGE_AGAIN): _ALL_TRIES,
}


def columns(status: str, event: Event, **given: Any) -> dict[str, Any]:
    """Return the columns that an event writes.

    Raises KeyError if the event cannot happen in this state, or if `given` lacks a value.
    """
    written = TRANSITIONS[Status(status), event]
    return {name: given[name] if value is GIVEN else value for name, value in written.items()}
