"""Addresses of channels that mail: they are confirmed by a mailed link, and their owners can stop mails.

Links are signed, so nothing secret is stored. Whoever reads the mail of an address may use them, signed in or not.
"""

from collections.abc import Callable, Collection
from datetime import datetime

from django.conf import settings
from django.core import signing
from django.core.exceptions import ValidationError
from django.core.mail import EmailMessage
from django.db import transaction
from django.db.models import QuerySet
from django.template.loader import render_to_string
from django.urls import reverse

from alerts.channels.kind import SendError
from alerts.channels.mail import deliver
from alerts.models import Channel, Delivery, Recipient
from alerts.models.channel import LINK_LIFETIME
from catalyst.core.actor import Actor
from catalyst.core.audit import record
from catalyst.core.models import User
from catalyst.core.token_buckets import Limit, database_buckets

LINKS_OF_ADDRESS = Limit("links to confirm an address", 3, 1 / 1200)
LINKS_OF_PROJECT = Limit("links to confirm addresses of a project", 40, 1 / 180)
TOO_MANY = "Too many links were mailed. Wait 20 minutes, then ask again."

_CONFIRM = "alerts.recipients.confirm"
_STOP = "alerts.recipients.stop"


def replace(channel: Channel, addresses: Collection[str], now: datetime) -> list[Recipient]:
    """Have the channel mail these addresses, and return the new ones. One that was removed is confirmed anew."""
    channel.recipients.exclude(address__in=addresses).delete()
    known = set(channel.recipients.values_list("address", flat=True))
    new = [Recipient(channel=channel, address=each, created_at=now) for each in addresses if each not in known]
    for recipient in new:
        _want_link(recipient, now)
    return Recipient.objects.bulk_create(new)


def ask_again(recipient: Recipient, *, by: Actor, now: datetime) -> None:
    """Mail another link. Raises ValidationError if there were too many."""
    if recipient.is_active:
        raise ValidationError(f"{recipient.address} is confirmed already.")
    _want_link(recipient, now)
    if recipient.link_error:
        raise ValidationError(recipient.link_error)
    with transaction.atomic():
        recipient.save(update_fields=["link_due_at", "link_error"])
        record(by, "asked for an address of", recipient.channel, detail=recipient.address)


def _want_link(recipient: Recipient, now: datetime) -> None:
    # Of each project, so that none uses up what another one may mail.
    project = str(recipient.project_id)
    allowed = database_buckets.take(LINKS_OF_ADDRESS, f"{project} {recipient.address}", now) and database_buckets.take(
        LINKS_OF_PROJECT, project, now
    )
    recipient.link_due_at, recipient.link_error = (now, "") if allowed else (None, TOO_MANY)


def has_links(now: datetime) -> bool:
    return Recipient.objects.filter(link_due_at__lte=now).exists()


def send_links(now: datetime, until: Callable[[], bool] = lambda: False) -> int:
    """Mail links that are due, each at most once: if the mail server does not take it, an owner asks again."""
    count = 0
    for pk in Recipient.objects.filter(link_due_at__lte=now).order_by("link_due_at", "pk").values_list("pk", flat=True):
        if until():
            break
        # Two workers mail it once.
        waiting = Recipient.objects.filter(pk=pk, link_due_at__lte=now)
        if waiting.update(link_due_at=None, asked_at=now):
            _send_link(_with_channels().get(pk=pk), now)
            count += 1
    return count


def _send_link(recipient: Recipient, now: datetime) -> None:
    claim = {"recipient": recipient.pk, "asked": now.isoformat()}
    path = reverse("alerts:mail-confirm", args=[signing.dumps(claim, salt=_CONFIRM)])
    context = {"channel": recipient.channel, "link": f"{settings.PUBLIC_URL}{path}", "days": LINK_LIFETIME.days}
    text = render_to_string("alerts/mail/confirm.txt", context)
    headers = {"Auto-Submitted": "auto-generated"}
    mail = EmailMessage("Confirm your address for Catalyst", text, None, [recipient.address], headers=headers)
    try:
        deliver(mail)
    except SendError as error:
        Recipient.objects.filter(pk=recipient.pk).update(link_error=str(error)[:500], asked_at=None)


def to_confirm(token: str, now: datetime) -> Recipient | None:
    """The recipient that a link confirms. None if it is invalid, expired, replaced or used."""
    claim = _claim(token, _CONFIRM)
    asked_at = datetime.fromisoformat(claim["asked"]) if claim else None
    if asked_at is None or not asked_at <= now <= asked_at + LINK_LIFETIME:
        return None
    waiting = _with_channels().filter(pk=claim["recipient"], asked_at=asked_at, channel__deleted_at=None)
    return next((each for each in waiting if not each.is_active), None)


@transaction.atomic
def confirm(recipient: Recipient, now: datetime) -> None:
    """Mails begin, also after somebody stopped them, or the mail server refused the address."""
    Recipient.objects.filter(pk=recipient.pk).update(confirmed_at=now, stopped_at=None, refused="", asked_at=None)
    record(_owner(recipient), "confirmed an address of", recipient.channel)


def stop_url(recipient: Recipient) -> str:
    token = signing.dumps({"recipient": recipient.pk}, salt=_STOP)
    return f"{settings.PUBLIC_URL}{reverse('alerts:mail-stop', args=[token])}"


def of_stop_link(token: str) -> Recipient | None:
    """The recipient whose mails a link stops. It works as long as the channel has the address."""
    claim = _claim(token, _STOP)
    return _with_channels().filter(pk=claim["recipient"], channel__deleted_at=None).first() if claim else None


@transaction.atomic
def stop(recipient: Recipient, *, now: datetime) -> None:
    stopped = Recipient.objects.filter(pk=recipient.pk, stopped_at=None).update(stopped_at=now)
    if stopped:
        record(_owner(recipient), "stopped mails of", recipient.channel, detail=recipient.address)


@transaction.atomic
def resume(recipient: Recipient) -> None:
    resumed = Recipient.objects.filter(pk=recipient.pk, stopped_at__isnull=False).update(stopped_at=None)
    if resumed:
        record(_owner(recipient), "resumed mails of", recipient.channel, detail=recipient.address)


def _owner(recipient: Recipient) -> Actor:
    """Whoever reads the mail of an address."""
    return Actor(other_name=recipient.address[:150])


def refuse(delivery: Delivery, reason: str) -> bool:
    """Stop mails to an address that the mail server refused. Returns False if others of the channel remain."""
    Recipient.objects.filter(channel=delivery.channel_id, address=delivery.address).update(refused=reason[:500])
    return not Recipient.objects.active().filter(channel=delivery.channel_id).exists()


def of_person(user: User) -> QuerySet[Recipient]:
    """Confirmed recipients with the address of a person, in projects of theirs."""
    if not user.email:
        return Recipient.objects.none()
    projects = [membership.project_id for membership in user.own_memberships]
    rows = _with_channels().filter(channel__project__in=projects, channel__deleted_at=None)
    return rows.filter(address__iexact=user.email, confirmed_at__isnull=False).order_by(
        "channel__project__name", "channel__name", "pk"
    )


def _with_channels() -> QuerySet[Recipient]:
    return Recipient.objects.select_related("channel__project")


def _claim(token: str, salt: str) -> dict[str, str]:
    try:
        claim: dict[str, str] = signing.loads(token, salt=salt)
    except signing.BadSignature:
        return {}
    return claim
