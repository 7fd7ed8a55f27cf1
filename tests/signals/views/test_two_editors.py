"""Two people who change a signal at once: the second is told."""

from collections.abc import Callable
from dataclasses import replace

import pytest
from django.test import Client

from catalyst.core.actor import Actor
from catalyst.core.models import Project, User
from signals import operations
from signals.definitions.definition import Definition
from signals.models import Signal
from signals.operations import VersionConflict
from tests.factories import make_agent, make_signal
from tests.page import Page, Part
from tests.signals.views.test_signal_editor import as_filled

ASKED = Definition(type="binary", prompt="Does the user ask for a refund?", sample_rate=100)


@pytest.fixture
def signal(project: Project) -> Signal:
    return make_signal(make_agent(project), prompt=ASKED.prompt)


@pytest.fixture
def edit(signal: Signal) -> str:
    return f"/p/default/signals/{signal.pk}/edit/"


@pytest.fixture
def browsers(client_as: Callable[[User], Client], alice: User, bob: User) -> tuple[Client, Client]:
    """Alice's and bob's."""
    return client_as(alice), client_as(bob)


def lines(difference: Part, tag: str) -> list[tuple[str, list[str]]]:
    """The added or removed lines of a difference, each with the marked words."""
    return [(line.text, [mark.text for mark in line.all("mark")]) for line in difference.all(f".//{tag}")]


def prompts(signal: Signal) -> list[str]:
    return list(signal.versions.order_by("number").values_list("prompt", flat=True))


def test_the_second_is_told_what_the_first_changed_and_keeps_the_text(
    signal: Signal, edit: str, browsers: tuple[Client, Client]
) -> None:
    first, second = (as_filled(browser.get(edit).text) for browser in browsers)
    browsers[0].post(edit, first | {"prompt": "Does the customer ask for a refund?"})
    response = browsers[1].post(edit, second | {"prompt": "Does the user ask <twice>?", "name": "Renamed"})
    assert response.status_code == 422
    conflict = Page(response.text).region("Not saved: v2 was saved while you edited")
    assert "by alice" in conflict.text
    theirs = conflict.all(".//*[@aria-label='Changes of the prompt']")[0]
    assert lines(theirs, "del") == [("Does the user ask for a refund?", ["user"])]
    assert lines(theirs, "ins") == [("Does the customer ask for a refund?", ["customer"])]
    filled = as_filled(response.text)
    assert (filled["based_on"], filled["prompt"]) == ("2", "Does the user ask <twice>?")
    assert prompts(signal) == [ASKED.prompt, "Does the customer ask for a refund?"]
    assert Signal.objects.get().name == "Refund wanted"


def test_the_second_may_save_anyway(signal: Signal, edit: str, browsers: tuple[Client, Client]) -> None:
    first, second = (as_filled(browser.get(edit).text) for browser in browsers)
    browsers[0].post(edit, first | {"prompt": "Theirs?"})
    mine = second | {"prompt": "Mine?", "name": "Renamed", "then": "activate"}
    told = browsers[1].post(edit, mine)
    (button,) = Page(told.text).all("//button[normalize-space()='Overwrite with mine']")
    assert (button.attribute("name"), button.attribute("value")) == ("then", "activate")
    assert browsers[1].post(edit, mine | {"based_on": as_filled(told.text)["based_on"]}).status_code == 302
    assert prompts(signal) == [ASKED.prompt, "Theirs?", "Mine?"]
    assert (Signal.objects.get().name, Signal.objects.get().state) == ("Renamed", "active")


def test_the_second_may_start_from_the_new_one(edit: str, browsers: tuple[Client, Client]) -> None:
    first, second = (as_filled(browser.get(edit).text) for browser in browsers)
    browsers[0].post(edit, first | {"prompt": "Theirs?"})
    told = Page(browsers[1].post(edit, second | {"prompt": "Mine?"}).text)
    assert told.link("Discard mine") == f"{edit}?"
    fresh = as_filled(browsers[1].get(edit).text)
    assert (fresh["prompt"], fresh["based_on"]) == ("Theirs?", "2")


def test_a_third_that_goes_live_meanwhile_is_told_as_well(
    signal: Signal, edit: str, browsers: tuple[Client, Client], alice: User
) -> None:
    mine = as_filled(browsers[1].get(edit).text) | {"prompt": "Mine?"}
    operations.publish_version(signal, replace(ASKED, prompt="Second?"), Actor(alice))
    told = as_filled(browsers[1].post(edit, mine).text)
    operations.publish_version(signal, replace(ASKED, prompt="Third?"), Actor(alice))
    page = Page(browsers[1].post(edit, mine | {"based_on": told["based_on"]}).text)
    conflict = page.region("Not saved: v3 was saved while you edited")
    theirs = conflict.all(".//*[@aria-label='Changes of the prompt']")[0]
    assert lines(theirs, "del") == [("Second?", ["Second"])]
    assert lines(theirs, "ins") == [("Third?", ["Third"])]


def test_it_says_that_the_others_changed_nothing_in_the_end(
    signal: Signal, edit: str, browsers: tuple[Client, Client]
) -> None:
    mine = as_filled(browsers[1].get(edit).text) | {"prompt": "Mine?"}
    operations.publish_version(signal, replace(ASKED, prompt="Second?"))
    operations.restore_version(signal, 1)
    assert "No net change" in Page(browsers[1].post(edit, mine).text).text


def test_who_changes_nothing_of_the_question_undoes_nothing(
    signal: Signal, edit: str, browsers: tuple[Client, Client]
) -> None:
    first, second = (as_filled(browser.get(edit).text) for browser in browsers)
    browsers[0].post(edit, first | {"prompt": "Theirs?"})
    assert browsers[1].post(edit, second | {"name": "Renamed"}).status_code == 302
    assert prompts(signal) == [ASKED.prompt, "Theirs?"]
    assert Signal.objects.get().name == "Renamed"


def test_two_who_want_the_same_agree(signal: Signal, edit: str, browsers: tuple[Client, Client]) -> None:
    filled = [as_filled(browser.get(edit).text) for browser in browsers]
    answers = [browser.post(edit, form | {"prompt": "Same?"}) for browser, form in zip(browsers, filled, strict=True)]
    assert [answer.status_code for answer in answers] == [302, 302]
    assert prompts(signal) == [ASKED.prompt, "Same?"]


@pytest.mark.parametrize("nonsense", ["x", "-1", "9" * 30, ""])
def test_it_survives_nonsense_about_the_version(
    edit: str, browsers: tuple[Client, Client], signal: Signal, nonsense: str
) -> None:
    form = as_filled(browsers[0].get(edit).text) | {"prompt": "Mine?", "based_on": nonsense}
    assert browsers[0].post(edit, form).status_code == (422 if nonsense else 302)


def test_it_says_which_version_overtook(signal: Signal, alice: User) -> None:
    version = operations.publish_version(signal, replace(ASKED, prompt="Second?"), Actor(alice), based_on=1)
    with pytest.raises(VersionConflict, match="Version 2 went live") as caught:
        operations.publish_version(signal, replace(ASKED, prompt="Mine?\r\n"), Actor(alice), based_on=1)
    assert (caught.value.current, caught.value.definition.prompt) == (version, "Mine?")


def test_the_second_to_rename_is_told_and_may_rename_again(
    signal: Signal, edit: str, browsers: tuple[Client, Client]
) -> None:
    first, second = (as_filled(browser.get(edit).text) for browser in browsers)
    browsers[0].post(edit, first | {"name": "Theirs"})
    mine = second | {"name": "Mine", "prompt": "Does the user want money back?"}
    told = browsers[1].post(edit, mine)
    assert told.status_code == 422
    assert "It was renamed to “Theirs” after this edit was begun." in Page(told.text).text
    assert "Edit Theirs" in Page(told.text).headings
    assert as_filled(told.text)["name"] == "Mine"
    assert prompts(signal) == [ASKED.prompt]
    assert browsers[1].post(edit, as_filled(told.text)).status_code == 302
    assert Signal.objects.get().name == "Mine"
    assert prompts(signal) == [ASKED.prompt, mine["prompt"]]


def test_an_edit_that_leaves_the_name_alone_leaves_a_new_one(edit: str, browsers: tuple[Client, Client]) -> None:
    first, second = (as_filled(browser.get(edit).text) for browser in browsers)
    browsers[0].post(edit, first | {"name": "Theirs"})
    assert browsers[1].post(edit, second | {"prompt": "Does the user want money back?"}).status_code == 302
    assert Signal.objects.get().name == "Theirs"


def test_who_edits_something_else_keeps_the_quiet_time_of_the_other(
    project: Project, browsers: tuple[Client, Client]
) -> None:
    signal = make_signal(make_agent(project), scope="session")
    edit = f"/p/default/signals/{signal.pk}/edit/"
    first, second = (as_filled(browser.get(edit).text) for browser in browsers)
    browsers[0].post(edit, first | {"quiet_minutes": "5"})
    browsers[1].post(edit, second | {"prompt": "Mine?"})
    signal.refresh_from_db()
    assert (signal.quiet_minutes, signal.versions.count()) == (5, 2)
