"""Email, by the mail server of the instance: one mail to each address, as HTML and as plain text."""

import hashlib
import smtplib
from collections.abc import Iterator
from email.message import MIMEPart
from email.utils import parseaddr

from django.conf import settings as site
from django.core.exceptions import ValidationError
from django.core.mail import EmailMessage, EmailMultiAlternatives
from django.core.validators import validate_email
from django.template.loader import render_to_string

from alerts.channels import pictures
from alerts.channels.kind import Fault, Field, Kind, Notice, Secrets, SendError, Settings, cut
from alerts.channels.texts import as_text, one_line, sparkline, title_of
from catalyst.llm import plain
from catalyst.notifications import Curve, Severity

MAX_ADDRESSES = 20
MAX_ADDRESS_CHARACTERS = 254
MAX_SUBJECT = 200
CHART = "chart@catalyst"
NO_SERVER = "No mail server is set up (CATALYST_MAIL_URL). Messages go to the log."

COLORS = {
    Severity.CRITICAL: "#c62828",
    Severity.WARNING: "#b26a00",
    Severity.INFO: "#1565c0",
    Severity.RESOLVED: "#2e7d32",
}


def addresses_of(settings: Settings) -> list[str]:
    """The addresses, each once. The part before the @ is kept as it was typed."""
    found: dict[str, str] = {}
    for text in settings.get("addresses", "").replace(",", "\n").split():
        local, _, domain = text.rpartition("@")
        found.setdefault(text.casefold(), f"{local}@{domain.lower()}" if local else text)
    return list(found.values())


class Mail(Kind):
    key = "email"
    name = "Email"
    about = "Mails people. Each address is confirmed first."
    fields = (
        Field(
            "addresses",
            "Addresses",
            "One a line. Each gets a mail with a link, and nothing else before somebody there confirms it.",
            is_long=True,
            max_characters=MAX_ADDRESSES * (MAX_ADDRESS_CHARACTERS + 2),
        ),
    )

    def errors(self, settings: Settings, secrets: Secrets) -> Iterator[tuple[str, str]]:
        addresses = addresses_of(settings)
        if len(addresses) > MAX_ADDRESSES:
            yield "addresses", f"A channel has at most {MAX_ADDRESSES} addresses."
        elif wrong := next((address for address in addresses if not _is_address(address)), ""):
            yield "addresses", f"{plain(wrong, 80)} is no email address, such as ada@example.com."

    def address(self, settings: Settings, secrets: Secrets) -> str:
        first, *others = addresses_of(settings)
        return f"{first} and {len(others)} more" if others else first

    def send(self, settings: Settings, secrets: Secrets, notice: Notice) -> str:
        deliver(_mail(notice))
        return f"The mail server took the mail to {notice.to}." if site.SENDS_MAIL else NO_SERVER


def deliver(mail: EmailMessage) -> None:
    """Raises SendError."""
    try:
        mail.send()
    except (smtplib.SMTPException, OSError) as error:
        raise _error_of(error) from error
    except ValueError as error:
        # Python refuses headers that could hold others.
        raise SendError(f"The mail can't be written: {plain(str(error), 200)}", Fault.MESSAGE) from error


def _is_address(address: str) -> bool:
    try:
        validate_email(address)
    except ValidationError:
        return False
    return address.isascii() and len(address) <= MAX_ADDRESS_CHARACTERS


def _mail(notice: Notice) -> EmailMultiAlternatives:
    message = notice.message
    context = {
        "message": message,
        "title": title_of(message),
        "text": as_text(message),
        "color": COLORS[message.severity],
        "chart": CHART,
        "chart_text": sparkline(message.curve) if message.curve else "",
        "chart_width": pictures.WIDTH // 2,
        "chart_height": pictures.HEIGHT // 2,
        "stop_url": notice.stop_url,
    }
    headers = {
        "Message-ID": _message_id(f"{notice.key} {notice.to}"),
        # Mails about the same thing become one conversation.
        "References": _message_id(f"group {message.project} {message.group} {notice.to}"),
        "Auto-Submitted": "auto-generated",
        "X-Auto-Response-Suppress": "All",
        "X-Catalyst-Key": notice.key,
    }
    if notice.stop_url:
        headers |= {"List-Unsubscribe": f"<{notice.stop_url}>", "List-Unsubscribe-Post": "List-Unsubscribe=One-Click"}
    mail = EmailMultiAlternatives(
        cut(title_of(message), MAX_SUBJECT),
        render_to_string("alerts/mail/message.txt", context),
        None,
        [notice.to],
        headers=headers,
    )
    mail.attach_alternative(render_to_string("alerts/mail/message.html", context), "text/html")
    if message.curve:
        mail.attach(_picture(message.curve))
    return mail


def _message_id(text: str) -> str:
    domain = parseaddr(site.DEFAULT_FROM_EMAIL)[1].rpartition("@")[2] or "localhost"
    return f"<{hashlib.sha256(text.encode()).hexdigest()[:32]}@{one_line(domain)}>"


def _picture(curve: Curve) -> MIMEPart:
    """The chart as an image within the mail, which mail programs show without asking a server for it."""
    part = MIMEPart()
    part.set_content(pictures.draw(curve), "image", "png", disposition="inline", filename="chart.png", cid=f"<{CHART}>")
    return part


def _error_of(error: Exception) -> SendError:
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        code, said = next(iter(error.recipients.values()))
        fault = Fault.CHANNEL if code >= 500 else Fault.NOW
        return SendError(f"The mail server refused the address: {code} {_said(said)}", fault)
    if isinstance(error, smtplib.SMTPNotSupportedError):
        return SendError("The mail server can't send to this address.", Fault.CHANNEL)
    if isinstance(error, smtplib.SMTPDataError):
        fault = Fault.MESSAGE if error.smtp_code >= 500 else Fault.NOW
        return SendError(f"The mail server refused the mail: {error.smtp_code} {_said(error.smtp_error)}", fault)
    if isinstance(error, smtplib.SMTPResponseException):
        # Its sender or password is the operator's matter.
        return SendError(f"The mail server answered {error.smtp_code} {_said(error.smtp_error)}")
    return SendError(f"The mail server can't be reached: {plain(str(error), 200) or type(error).__name__}")


def _said(answer: bytes | str) -> str:
    return plain(answer.decode("utf-8", "replace") if isinstance(answer, bytes) else answer, 200)
