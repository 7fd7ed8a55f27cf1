"""Names of accounts mix no scripts, so that nobody can be taken for somebody else."""

from collections.abc import Callable

import pytest
from django.test import Client
from django.utils import timezone

from catalyst.core import operations
from catalyst.core.actor import Actor
from catalyst.core.forms import SignUpForm
from catalyst.core.models import Project, User
from tests.page import Page

CYRILLIC_ALICE = "\u0430lice"
PASSWORD = "correct horse battery"
NAMES = (
    *("alice", "ålesund", "alice_2.b+c@d-e", "123", "алиса", "алиса_7", "Ελένη", "שלום", "राम", "สมชาย"),
    *("ひらがな", "田中さん", "タナカー太郎", "佐々木", "太郎taro", "\uff8a\uff85", "김민준", "金민준", "王ㄅ"),
)
REFUSED = "Use letters of one alphabet. This name mixes Cyrillic and Latin."


@pytest.fixture
def operator(client_as: Callable[[User], Client], db: None) -> Client:
    """The browser of somebody who runs the server."""
    return client_as(User.objects.create_superuser("operator"))


def errors(username: str) -> list[str]:
    """What the form for new accounts says of a name."""
    form = SignUpForm({"username": username, "password1": PASSWORD, "password2": PASSWORD})
    return [str(error) for error in form.errors.get("username", ())]


@pytest.mark.parametrize("username", NAMES)
@pytest.mark.django_db
def test_it_takes_names_in_one_script(username: str) -> None:
    assert not [error for error in errors(username) if "alphabet" in error]


@pytest.mark.parametrize(
    ("username", "mixed"),
    [
        (CYRILLIC_ALICE, "Cyrillic and Latin"),
        ("alice\u0430", "Cyrillic and Latin"),
        ("\u03bfwner", "Greek and Latin"),
        ("\u043a\u03bf\u0442", "Cyrillic and Greek"),
        ("a\u0561", "Armenian and Latin"),
        ("\u3072\uae40", "Hangul and Hiragana"),
    ],
)
@pytest.mark.django_db
def test_it_refuses_names_of_mixed_scripts(username: str, mixed: str) -> None:
    assert errors(username) == [f"Use letters of one alphabet. This name mixes {mixed}."]


def test_nobody_signs_up_as_a_lookalike(client: Client, project: Project, alice: User) -> None:
    _, token = operations.invite(project, role="member", by=Actor(alice), now=timezone.now())
    form = {"username": CYRILLIC_ALICE, "password1": PASSWORD, "password2": PASSWORD}
    response = client.post(f"/invitations/{token}/", form)
    assert response.status_code == 422
    assert Page(response.text).field("Username").errors == [REFUSED]
    assert not User.objects.filter(username=CYRILLIC_ALICE).exists()


def test_operators_neither_make_nor_rename_to_a_lookalike(operator: Client, bob: User) -> None:
    new = {"username": CYRILLIC_ALICE, "usable_password": "true", "password1": PASSWORD, "password2": PASSWORD}
    joined = {"date_joined_0": "2026-11-01", "date_joined_1": "12:00:00"}
    for url, form in (
        ("/admin/core/user/add/", new),
        (f"/admin/core/user/{bob.pk}/change/", {"username": CYRILLIC_ALICE, "is_active": "on", **joined}),
    ):
        assert REFUSED in Page(operator.post(url, form).text).text
    assert not User.objects.filter(username=CYRILLIC_ALICE).exists()


def test_operators_can_deactivate_a_lookalike_of_earlier_times(operator: Client, project: Project) -> None:
    lookalike = User.objects.create_user(CYRILLIC_ALICE)
    form = {"username": CYRILLIC_ALICE, "date_joined_0": "2026-11-01", "date_joined_1": "12:00:00"}
    assert operator.post(f"/admin/core/user/{lookalike.pk}/change/", form).status_code == 302
    lookalike.refresh_from_db()
    assert not lookalike.is_active
