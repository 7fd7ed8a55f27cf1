"""Deliveries: from an event to a message in each of its channels. The row is the job (docs/adr/0002).

A message is claimed by moving `due_at` ahead and counting the attempt, sent outside of any transaction, and recorded if
the claim still holds. A worker that dies in between sends it once more, with the same key. Projects take turns, and so
do the channels of a project. Messages of one group keep their order.
"""

import hashlib
import logging
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings
from django.db import transaction
from django.urls import reverse

from alerts import channel_settings, recipients
from alerts.channels.kind import Fault, Notice, Secrets, SendError
from alerts.channels.kinds import KINDS
from alerts.channels.mail import Mail
from alerts.models import Channel, Delivery, Recipient
from alerts.models.channel import ChannelQuerySet
from alerts.models.delivery import DeliveryQuerySet
from catalyst import database, fairness
from catalyst.core.encrypted_fields import SecretUnreadable
from catalyst.core.token_buckets import Limit, database_buckets
from catalyst.notifications import Curve, Excerpt, Fact, Link, Message, Severity

logger = logging.getLogger(__name__)

# A call takes less than this, so that no living worker's message is sent by another one.
LEASE = timedelta(minutes=2)
# Then a message fails.
MAX_AGE = timedelta(hours=12)
MAX_ATTEMPTS = 20
FIRST_RETRY = timedelta(seconds=30)
MAX_RETRY = timedelta(hours=1)
# After a failure the rest of a channel waits no longer than this for its next try.
MAX_HOLD = timedelta(minutes=1)
AT_ONCE = 16
# Projects below their share get more than AT_ONCE.
MAX_THREADS = 64
POLL_SECONDS = 0.2

TESTS = Limit("tests of channels", capacity=20, tokens_per_second=20 / 600)
TOO_MANY_TESTS = "This channel was tested 20 times in ten minutes. Wait a minute, then test again."
UNCONFIRMED = "No address of this channel gets mails: none is confirmed, or all are stopped or refused."
NONE_HELD: Mapping[int, int] = {}


def queue(project_id: int, kind: str, key: str, message: Message, channels: Collection[int], now: datetime) -> None:
    """`catalyst.notifications.Deliver`: one delivery for each channel, and for each address of one that mails."""
    found = Channel.objects.undeleted().filter(project=project_id, pk__in=channels).order_by("pk")
    stored = message.model_dump(mode="json")
    about = {"project_id": project_id, "kind": kind, "event_key": key, "message": stored, "group": message.group[:200]}
    rows = [
        Delivery(**about, channel=channel, address=address, created_at=now, due_at=now, **_start(why, now))
        for channel in found
        for address, why in _receivers(channel)
    ]
    Delivery.objects.bulk_create(rows, ignore_conflicts=True)


def _receivers(channel: Channel) -> list[tuple[str, str]]:
    """Return the addresses of mails (an empty one for other kinds), and why nothing is sent."""
    if not channel.is_usable:
        return [("", f"The channel is disabled: {channel.disabled_reason}")]
    if channel.kind != Mail.key:
        return [("", "")]
    active = channel.recipients.active().for_list().values_list("address", flat=True)
    return [(address, "") for address in active] or [("", UNCONFIRMED)]


def _start(why_not: str, now: datetime) -> dict[str, object]:
    return {"state": Delivery.State.DROPPED, "ended_at": now, "error": why_not[:500]} if why_not else {}


def chosen(project_id: int, after: str) -> list[int]:
    """`catalyst.notifications.Choose`."""
    if after:
        return told(project_id, after)
    channels = Channel.objects.usable().filter(project=project_id, judge_outages=True)
    return list(channels.values_list("pk", flat=True))


def names(project_id: int) -> list[tuple[int, str]]:
    """`catalyst.notifications.Names`."""
    return list(Channel.objects.for_list().filter(project=project_id).values_list("pk", "name"))


def told(project_id: int, key: str) -> list[int]:
    """Ids of the channels that got a message, or will."""
    rows = Delivery.objects.filter(project=project_id, event_key=key)
    got = rows.filter(state__in=[Delivery.State.SENT, Delivery.State.QUEUED])
    return list(got.order_by("channel").values_list("channel", flat=True).distinct())


def has_work(now: datetime) -> bool:
    return Delivery.objects.due(now).exists()


def work(clock: Callable[[], datetime], until: Callable[[], bool] = lambda: False) -> int:
    """Send what is due, and end when nothing is. After `until`, only what is under way ends. Return the attempts."""
    attempts = 0
    running: dict[Future[str], Delivery] = {}
    with ThreadPoolExecutor(MAX_THREADS, thread_name_prefix="deliver") as pool:
        while True:
            found = _claimed(running.values(), clock(), enough=until())
            started = {pool.submit(_deliver, each, _recipient(each), clock()): each for each in found if each.is_open}
            running |= started
            attempts += len(started)
            if not running and not found:
                return attempts
            ended, _ = wait(running, timeout=POLL_SECONDS, return_when=FIRST_COMPLETED)
            for future in ended:
                _record(running.pop(future), future, clock())


def _claimed(running: Collection[Delivery], now: datetime, *, enough: bool) -> list[Delivery]:
    if enough:
        return []
    held = Counter(delivery.project_id for delivery in running)
    return claim(AT_ONCE, now, held=held, busy=[delivery.channel_id for delivery in running])


@transaction.atomic
def claim(
    limit: int, now: datetime, *, held: Mapping[int, int] = NONE_HELD, busy: Collection[int] = ()
) -> list[Delivery]:
    """Claim due deliveries and return them with their channels, at most one of each channel.

    `held`: how many the caller holds by project, of the `limit`. `busy`: channels that it holds one of. Those that can
    no longer be sent end here, and are returned as such.
    """
    # A message that waited for a thread could outlast its lease. Those that wait longest come first.
    free = max(0, MAX_THREADS - sum(held.values()))
    projects = list(fairness.waiting_projects("due_at", Delivery.objects.due(now)))[:free]

    def take(project: int, most: int) -> list[Delivery]:
        heads = Delivery.objects.heads(project, busy, now)[:most]
        rows = Delivery.objects.due(now).filter(pk__in=heads).select_related("channel")
        return list(rows.order_by("pk").select_for_update(skip_locked=True, of=("self",)))

    rows = fairness.divide(limit, projects, take, held)
    for row in rows:
        _start_attempt(row, now)
    return rows


def _start_attempt(delivery: Delivery, now: datetime) -> None:
    if why_not := _obstacle(delivery):
        _end(delivery, Delivery.State.DROPPED, now, error=why_not)
    elif _is_last(delivery, now):
        error = delivery.error or delivery.channel.last_error or "Every attempt ended without an answer."
        _end(delivery, Delivery.State.FAILED, now, error=error)
    else:
        delivery.attempts += 1
        delivery.due_at = now + LEASE
        delivery.save(update_fields=["attempts", "due_at"])


def _obstacle(delivery: Delivery) -> str:
    if not delivery.channel.is_usable:
        return f"The channel is disabled: {delivery.channel.disabled_reason}"
    if delivery.channel.kind == Mail.key and _recipient(delivery) is None:
        return "The address gets no mails any more."
    return ""


def _recipient(delivery: Delivery) -> Recipient | None:
    if not delivery.address:
        return None
    return Recipient.objects.active().filter(channel=delivery.channel_id, address=delivery.address).first()


def _deliver(delivery: Delivery, recipient: Recipient | None, now: datetime) -> str:
    """Send in a thread, without the database. Whatever is wrong with the row is an error of this delivery alone."""
    notice = Notice(
        kind=delivery.kind,
        key=delivery.event_key,
        message=Message.model_validate(delivery.message),
        now=now,
        to=delivery.address,
        stop_url=recipients.stop_url(recipient) if recipient else "",
    )
    return _send(delivery.channel, _secrets_of(delivery.channel), notice)


def _secrets_of(channel: Channel) -> Secrets | None:
    """None if they can't be decrypted."""
    try:
        return channel.reveal_secrets()
    except SecretUnreadable:
        return None


def _send(channel: Channel, secrets: Secrets | None, notice: Notice) -> str:
    kind = KINDS[channel.kind]
    if secrets is None:
        raise SendError("The secrets of the channel can't be decrypted. Enter them again.", Fault.CHANNEL)
    if kind.unavailable:
        raise SendError(kind.unavailable, Fault.CHANNEL)
    return kind.send(channel.settings, secrets, notice)


def _record(delivery: Delivery, future: Future[str], now: datetime) -> None:
    try:
        answer = future.result()
    except SendError as error:
        _record_failure(delivery, error, now)
        return
    except Exception as error:  # a mistake of ours must not end the deliveries of others
        logger.exception("Delivery %s failed", delivery.pk)
        text = f"Catalyst failed: {type(error).__name__}. Its log has more."
        _record_failure(delivery, SendError(text, Fault.MESSAGE), now)
        return
    with _channel_first(delivery) as channel:
        if _end(delivery, Delivery.State.SENT, now, answer=answer):
            channel.update(last_sent_at=now)


@contextmanager
def _channel_first(delivery: Delivery) -> Iterator[ChannelQuerySet]:
    # Whoever disables or deletes a channel locks it before its deliveries, too.
    with transaction.atomic():
        channel = Channel.objects.filter(pk=delivery.channel_id)
        channel.select_for_update(no_key=True).first()
        yield channel


def _record_failure(delivery: Delivery, error: SendError, now: datetime) -> None:
    text = str(error)[:500]
    with _channel_first(delivery) as channel:
        if error.permanent or _is_last(delivery, now):
            holds = _end(delivery, Delivery.State.FAILED, now, error=text)
        else:
            holds = _retry(delivery, error, now)
        if holds:
            channel.update(last_failed_at=now, last_error=text)
        if holds and error.fault == Fault.CHANNEL:
            _disable(delivery, text, now)


def _disable(delivery: Delivery, reason: str, now: datetime) -> None:
    # Of several addresses, only the one that is refused ends.
    if not delivery.address or recipients.refuse(delivery, reason):
        channel_settings.disable_unchanged(delivery.channel, reason, now=now)


def _is_last(delivery: Delivery, now: datetime) -> bool:
    return delivery.attempts >= MAX_ATTEMPTS or now - delivery.created_at > MAX_AGE


def _end(delivery: Delivery, state: str, now: datetime, *, error: str = "", answer: str = "") -> bool:
    """Return False if the claim was lost."""
    held = _held(delivery).update(state=state, ended_at=now, error=error[:500], answer=answer[:500])
    delivery.state = state
    return bool(held)


def _retry(delivery: Delivery, error: SendError, now: datetime) -> bool:
    pause = backoff(delivery) if error.retry_after is None else timedelta(seconds=max(error.retry_after, 1))
    if not _held(delivery).update(due_at=now + pause, error=str(error)[:500]):
        return False
    # The service would refuse the others, too.
    until = now + (min(pause, MAX_HOLD) if error.retry_after is None else pause)
    others = Delivery.objects.open().filter(channel=delivery.channel_id, address=delivery.address, attempts=0)
    others.filter(due_at__lt=until).update(due_at=until)
    return True


def _held(delivery: Delivery) -> DeliveryQuerySet:
    # Each claim counts an attempt, so that the count names the claim.
    return Delivery.objects.open().filter(pk=delivery.pk, attempts=delivery.attempts)


def backoff(delivery: Delivery) -> timedelta:
    """Doubles from FIRST_RETRY up to MAX_RETRY. Up to 20 % more keep messages from coming back in one moment."""
    seed = f"{delivery.pk}:{delivery.attempts}"
    jitter = 1 + hashlib.sha256(seed.encode()).digest()[0] / 255 / 5
    doubled: timedelta = FIRST_RETRY * 2 ** min(delivery.attempts - 1, 20)
    return min(doubled, MAX_RETRY) * jitter


@dataclass(frozen=True, slots=True)
class ChannelTest:
    """The result of a test message. `answer`: what the service said, or why nothing was sent."""

    delivered: bool
    answer: str


def test(channel: Channel, now: datetime) -> ChannelTest:
    """Send one message now, to each active address of a channel that mails. It is no delivery."""
    if not database_buckets.take(TESTS, str(channel.pk), now):
        return ChannelTest(False, TOO_MANY_TESTS)
    active = list(channel.recipients.active().for_list()) if channel.kind == Mail.key else [None]
    if not active:
        return ChannelTest(False, UNCONFIRMED)
    secrets = _secrets_of(channel)
    notices = [_test_notice(channel, recipient, now) for recipient in active]
    # A call may take long, and pages share few connections to the database.
    database.release()
    try:
        answers = [_send(channel, secrets, notice) for notice in notices]
    except SendError as error:
        return ChannelTest(False, str(error))
    return ChannelTest(True, " ".join(filter(None, answers)) or "The service took it without a word.")


def _test_notice(channel: Channel, recipient: Recipient | None, now: datetime) -> Notice:
    page = f"{settings.PUBLIC_URL}{reverse('alerts:channel-edit', args=[channel.project.slug, channel.pk])}"
    link = Link(text="Open the channel", url=page)
    key = f"test-{channel.pk}-{now:%Y%m%dT%H%M%S%f}Z"
    message = Message(
        severity=Severity.RESOLVED if channel.kind == "pagerduty" else Severity.INFO,
        title=f"Test of the channel {channel.name}",
        text="This is a test. Messages of Catalyst look like this one.",
        project=channel.project.name,
        sent_for=now,
        group=key,
        facts=(Fact(name="Channel", value=channel.name),),
        excerpts=(Excerpt(label="yes", reason="An example names its label and its reason.", link=link),),
        curve=Curve(title="A small chart with a threshold", points=(2, 3, 2, 4, 3, 5, 9, 12), threshold=8),
        links=(link,),
    )
    stop_url = recipients.stop_url(recipient) if recipient else ""
    return Notice("channel.test", key, message, now, recipient.address if recipient else "", stop_url)
