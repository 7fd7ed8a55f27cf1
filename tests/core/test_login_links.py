"""A login link signs in once."""

from datetime import datetime, timedelta

import pytest

from catalyst.core import login_links
from catalyst.core.models import User

pytestmark = pytest.mark.django_db
MINUTE = timedelta(minutes=1)


def test_it_signs_in_once(alice: User, now: datetime) -> None:
    token = login_links.make(alice, now)
    assert login_links.redeem(token, now + MINUTE) == alice
    assert login_links.redeem(token, now + MINUTE) is None
    alice.refresh_from_db()
    assert alice.last_login == now + MINUTE


def test_it_signs_in_who_has_signed_in_before(alice: User, now: datetime) -> None:
    assert login_links.redeem(login_links.make(alice, now), now)
    alice.refresh_from_db()
    assert login_links.redeem(login_links.make(alice, now), now + MINUTE) == alice


def test_it_is_void_after_another_sign_in(alice: User, now: datetime) -> None:
    first, second = login_links.make(alice, now), login_links.make(alice, now)
    assert login_links.redeem(second, now)
    assert login_links.redeem(first, now) is None


def test_it_is_void_after_a_day_and_for_people_locked_out(alice: User, now: datetime) -> None:
    token = login_links.make(alice, now)
    assert login_links.redeem(token, now + timedelta(hours=25)) is None
    User.objects.filter(pk=alice.pk).update(is_active=False)
    assert login_links.redeem(token, now) is None


@pytest.mark.parametrize("token", ["", "x", "a:b:c"])
def test_it_refuses_what_it_did_not_sign(token: str, now: datetime) -> None:
    assert login_links.redeem(token, now) is None
