"""Mail, as a real server receives it."""

import re
from datetime import datetime
from email.message import EmailMessage
from html import unescape
from io import BytesIO

import pytest
from PIL import Image

from alerts.channels.kind import Fault, Notice, SendError, check
from alerts.channels.mail import MAX_ADDRESSES, Mail, addresses_of
from catalyst.notifications import Excerpt, Fact, Link, Message
from tests.alerts.mail_server import MailServer
from tests.factories import make_message
from tests.page import Page

STOP = "https://catalyst.example/mails/stop/token/"


def send(message: Message, now: datetime, to: str = "ada@example.com") -> str:
    notice = Notice("alert.fired", "alert-7-fired", message, now, to, STOP)
    return Mail().send({"addresses": to}, {}, notice)


def parts(mail: EmailMessage) -> tuple[str, str]:
    """The plain and the HTML part."""
    plain, html = mail.get_body(("plain",)), mail.get_body(("html",))
    assert plain
    assert html
    return str(plain.get_content()), str(html.get_content())


def test_a_mail_has_both_parts_and_its_headers(mail_server: MailServer, now: datetime) -> None:
    assert send(make_message(), now) == "The mail server took the mail to ada@example.com."
    (mail,) = mail_server.mails
    assert mail_server.recipients == [["ada@example.com"]]
    assert mail["From"] == "Catalyst <catalyst@example.com>"
    assert mail["To"] == "ada@example.com"
    assert mail["Subject"].endswith("Refunds fired")
    assert mail["Auto-Submitted"] == "auto-generated"
    assert mail["List-Unsubscribe"] == f"<{STOP}>"
    assert mail["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    assert re.fullmatch(r"<[0-9a-f]{32}@example\.com>", mail["Message-ID"])
    plain, html = parts(mail)
    page = Page(html)
    for text in (plain, page.text):
        for part in ("42%", "480 of 512 judged", "Asks for money back.", "I want a refund.", "Share of yes"):
            assert part in text
    assert "▃▅ █" in plain
    (image,) = page.all("//img")
    assert image.attribute("alt") == "▃▅ █"
    (picture,) = (part for part in mail.walk() if part.get_content_maintype() == "image")
    assert image.attribute("src") == f"cid:{str(picture['Content-ID']).strip('<>')}"
    assert picture.get_content_disposition() == "inline"
    with Image.open(BytesIO(picture.get_content())) as drawn:
        assert (drawn.format, drawn.size) == ("PNG", (2 * 520, 2 * 80))
    assert STOP in plain
    assert page.link("Stop these mails to your address") == STOP
    assert page.link("Open the alert").startswith("https://catalyst.example/")


def test_the_same_key_gives_the_same_message_id(mail_server: MailServer, now: datetime) -> None:
    for to in ("ada@example.com", "ada@example.com", "bob@example.com"):
        send(make_message(), now, to)
    first, again, other = (mail["Message-ID"] for mail in mail_server.mails)
    assert first == again != other


def test_nobody_adds_headers_or_receivers(mail_server: MailServer, now: datetime) -> None:
    hostile = "Fired\r\nBcc: eve@example.com\nX-Injected: yes\r\n\r\n<b>body</b>"
    send(make_message(title=hostile, project=hostile, group=hostile), now)
    (mail,) = mail_server.mails
    assert mail_server.recipients == [["ada@example.com"]]
    assert mail["Bcc"] is None
    assert mail["X-Injected"] is None
    assert "Bcc: eve@example.com" in mail["Subject"]
    head = mail_server.raw[0].partition(b"\r\n\r\n")[0]
    assert b"\nBcc:" not in head
    assert b"\nX-Injected" not in head


def test_hostile_text_stays_text(mail_server: MailServer, now: datetime) -> None:
    text = '<script>alert(1)</script><img src=x onerror=alert(1)> & "quotes"'
    link = Link(text=text, url='https://catalyst.example/?a=1&b="><script>')
    excerpt = Excerpt(label=text, reason=text, text=text, link=link)
    send(make_message(text=text, excerpts=(excerpt,), facts=(Fact(name=text, value=text),), links=(link,)), now)
    html = parts(mail_server.mails[0])[1]
    assert "<script" not in html
    assert "<img src=x" not in html
    assert text in unescape(html)


def test_long_lines_and_all_of_unicode_arrive(mail_server: MailServer, now: datetime) -> None:
    send(make_message(title="Déjà vu ☂ " * 60, text=f"{'x' * 5_000} ☂"), now)
    (mail,) = mail_server.mails
    assert "Déjà vu ☂" in mail["Subject"]
    assert len(mail["Subject"]) <= 200
    assert all(len(line) <= 1_000 for line in mail_server.raw[0].split(b"\r\n"))
    assert "x" * 5_000 in parts(mail)[0]


@pytest.mark.parametrize(
    ("answer", "fault", "said"),
    [
        ("550 No such person", Fault.CHANNEL, "The mail server refused the address: 550 No such person"),
        ("451 Try later", Fault.NOW, "451 Try later"),
    ],
)
def test_an_address_is_refused(mail_server: MailServer, now: datetime, answer: str, fault: Fault, said: str) -> None:
    mail_server.refuse = {"ada@example.com": answer}
    with pytest.raises(SendError, match=said) as caught:
        send(make_message(), now)
    assert caught.value.fault == fault


@pytest.mark.parametrize(("answer", "fault"), [("554 Spam", Fault.MESSAGE), ("452 Full", Fault.NOW)])
def test_a_mail_is_refused(mail_server: MailServer, now: datetime, answer: str, fault: Fault) -> None:
    mail_server.data_answer = answer
    with pytest.raises(SendError, match=answer) as caught:
        send(make_message(), now)
    assert caught.value.fault == fault


def test_a_server_that_is_away_is_tried_again(mail_server: MailServer, now: datetime) -> None:
    mail_server.stop()
    with pytest.raises(SendError, match="can't be reached") as caught:
        send(make_message(), now)
    assert caught.value.fault == Fault.NOW


def test_without_a_mail_server_it_goes_to_the_log(now: datetime) -> None:
    assert "No mail server is set up" in send(make_message(), now)


@pytest.mark.parametrize(
    "addresses",
    ["", "ada", "ada@example.com, bob", "ada@example.com\nBcc: eve@example.com", "ä@example.com", "a@b@example.com"],
)
def test_it_refuses_what_is_no_address(addresses: str) -> None:
    assert list(check(Mail(), {"addresses": addresses}, {})) == ["addresses"]


def test_an_address_is_listed_once() -> None:
    assert addresses_of({"addresses": "Ada@Example.com, ada@example.com\nbob@example.com"}) == [
        "Ada@example.com",
        "bob@example.com",
    ]
    many = "\n".join(f"a{number}@example.com" for number in range(MAX_ADDRESSES + 1))
    assert list(check(Mail(), {"addresses": many}, {})) == ["addresses"]
