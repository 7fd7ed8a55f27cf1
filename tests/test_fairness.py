"""What one owner takes leaves the others their share, and their turns."""

import asyncio
from collections.abc import Sequence

import pytest

from catalyst.fairness import FairShare, Turns


def test_one_owner_may_take_it_all() -> None:
    share = FairShare[str](100)
    assert share.take("a", 60)
    assert share.take("a", 40)
    assert not share.take("a", 1)
    assert share.sum == 100


def test_an_owner_finds_its_share_though_another_took_it_all() -> None:
    share = FairShare[str](100)
    share.take("busy", 100)
    assert share.take("b", 30)
    assert share.take("b", 20)
    assert not share.take("b", 1)
    assert not share.take("busy", 1)


def test_an_owner_without_anything_is_never_refused() -> None:
    share = FairShare[str](100)
    share.take("busy", 100)
    assert share.take("large", 1_000)
    assert not share.take("large", 1)


def test_what_is_given_back_can_be_taken_again() -> None:
    share = FairShare[str](100)
    share.take("a", 70)
    share.take("b", 30)
    share.give_back("a", 50)
    assert (share.sum, share.take("b", 50), share.take("b", 1)) == (50, True, False)
    share.give_back("a", 20)
    share.give_back("b", 80)
    assert (share.sum, share.take("b", 10), share.take("b", 90)) == (0, True, True)


def order_of(owners: Sequence[str], at_once: int, cancelled: Sequence[int] = ()) -> tuple[list[str], int]:
    """The owners in the order in which they had their turns, and how many had one at the same time at most."""

    async def run() -> tuple[list[str], int]:
        turns, order, holding, most = Turns[str](at_once), [], 0, 0

        async def work(owner: str) -> None:
            nonlocal holding, most
            async with turns.turn(owner):
                holding, most = holding + 1, max(most, holding + 1)
                order.append(owner)
                await asyncio.sleep(0)
                holding -= 1

        tasks = [asyncio.create_task(work(owner)) for owner in owners]
        await asyncio.sleep(0)
        for number in cancelled:
            tasks[number].cancel()
        await asyncio.wait_for(asyncio.gather(*tasks, return_exceptions=True), 5)
        async with asyncio.timeout(5), turns.turn("free again"):
            return order, most

    return asyncio.run(run())


@pytest.mark.parametrize(
    ("at_once", "order"),
    [(1, ["a", "a", "b", "c", "a", "a"]), (2, ["a", "a", "a", "b", "c", "a"]), (9, ["a", "a", "a", "a", "b", "c"])],
)
def test_owners_take_turns(at_once: int, order: list[str]) -> None:
    assert order_of(["a", "a", "a", "a", "b", "c"], at_once) == (order, min(at_once, 6))


def test_who_gives_up_its_place_stops_nobody() -> None:
    assert order_of(["a", "a", "b", "a"], 1, cancelled=[1, 2]) == (["a", "a"], 1)


def test_who_is_cancelled_at_its_turn_passes_it_on() -> None:
    assert order_of(["a", "b", "c"], 1, cancelled=[0, 1])[0] == ["a", "c"]
