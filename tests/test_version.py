"""One version, wherever it is shown. The package has it too: tests/test_package.py."""

import re
import subprocess
import sys
from collections.abc import Callable

import pytest
from django.test import Client

from catalyst import __version__
from catalyst.core.models import User
from tests.page import Page
from tests.processes import ROOT


def test_it_is_the_newest_of_the_changelog() -> None:
    headings = re.findall(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert headings[0] == __version__


@pytest.mark.parametrize("argument", ["--version", "version"])
def test_it_is_printed_by_manage_py(argument: str) -> None:
    command = [sys.executable, str(ROOT / "manage.py"), argument]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == f"Catalyst {__version__}\n"


def test_it_is_shown_in_the_account_menu(client_as: Callable[[User], Client], bob: User) -> None:
    page = Page(client_as(bob).get("/p/default/traces/").text)
    (account,) = page.all(f"//details[summary[@aria-label='Account of {bob}']]")
    assert f"Catalyst {__version__}" in account.text


def test_it_is_shown_to_operators(client_as: Callable[[User], Client], alice: User) -> None:
    User.objects.filter(pk=alice.pk).update(is_staff=True)
    assert f"Catalyst {__version__} is doing" in Page(client_as(alice).get("/operator/").text).text


def test_it_is_not_shown_to_strangers(client: Client) -> None:
    assert __version__ not in client.get("/login/").text


@pytest.mark.django_db
def test_it_is_in_the_metrics(client: Client) -> None:
    text = client.get("/metrics", headers={"Host": "127.0.0.1:8799"}).text
    assert f'catalyst_info{{version="{__version__}"}} 1.0\n' in text
