"""Which connection is closed when there are too many: one that waits for its client, never one at work."""

import resource
import subprocess
import sys

import pytest

from catalyst.server.connections import MOST_FILES, ConnectionTable, most_connections
from tests.processes import ROOT


class Peer:
    def __init__(self, network: str | None = "198.51.100.1") -> None:
        self.network = network
        self.is_evicted = False
        self.checked_at = 0.0

    def evict(self) -> None:
        self.is_evicted = True

    def check(self, now: float) -> None:
        self.checked_at = now


def opened(table: ConnectionTable, *networks: str | None) -> list[Peer]:
    peers = [Peer(network) for network in networks]
    for peer in peers:
        table.open(peer)
    return peers


def evicted(peers: list[Peer]) -> list[int]:
    return [number for number, peer in enumerate(peers) if peer.is_evicted]


def test_the_oldest_of_a_network_without_a_request_makes_room() -> None:
    table = ConnectionTable(100, 3)
    peers = opened(table, "a", "b", "a", "a", "a", "a")
    assert evicted(peers) == [0, 2]
    assert len(table) == 4


def test_requests_at_work_and_answered_ones_don_t_count_for_a_network() -> None:
    table = ConnectionTable(100, 2)
    peers = opened(table, "a", "a")
    table.work(peers[0])
    table.work(peers[1])
    table.rest(peers[1])
    peers += opened(table, "a", "a")
    assert evicted(peers) == []
    table.receive(peers[1])
    assert evicted(peers) == [2]


def test_a_proxy_counts_only_in_all() -> None:
    table = ConnectionTable(4, 2)
    peers = opened(table, *[None] * 6)
    assert evicted(peers) == [0, 1]


def test_in_all_it_closes_idle_ones_then_those_of_the_network_with_most_then_those_that_don_t_read() -> None:
    table = ConnectionTable(6, 100)
    peers = opened(table, "a", "b", "b", "c", "d", "e")
    table.work(peers[3])
    table.rest(peers[3])
    for busy in peers[4:]:
        table.work(busy)
    table.unread(peers[4])
    newcomers = []
    for _ in range(5):
        newcomers += opened(table, "f")
        table.work(newcomers[-1])
    assert evicted(peers) == [0, 1, 2, 3, 4]
    assert evicted(newcomers) == []
    assert len(table) == 6


def test_a_newcomer_is_closed_if_all_others_are_at_work() -> None:
    table = ConnectionTable(2, 100)
    peers = opened(table, "a", "b")
    for peer in peers:
        table.work(peer)
    newcomer = opened(table, "c")
    assert (evicted(peers), evicted(newcomer), len(table)) == ([], [0], 2)


def test_who_reads_again_is_safe() -> None:
    table = ConnectionTable(1, 100)
    (peer,) = opened(table, "a")
    table.work(peer)
    table.unread(peer)
    table.read(peer)
    opened(table, "b")
    assert not peer.is_evicted


def test_it_forgets_who_is_gone() -> None:
    table = ConnectionTable(2, 1)
    peers = opened(table, "a", "b")
    for peer in peers:
        table.remove(peer)
    assert evicted([*peers, *opened(table, "a", "b")]) == []
    assert len(table) == 2


def test_it_lets_each_check_its_client() -> None:
    table = ConnectionTable(10, 10)
    peers = opened(table, "a", "b")
    table.check(7.5)
    assert [peer.checked_at for peer in peers] == [7.5, 7.5]


@pytest.mark.parametrize(("files", "connections"), [(1_024, 384), (4_096, 1_920), (65_536, 20_000), (300, 64)])
def test_connections_leave_files_for_the_rest(files: int, connections: int) -> None:
    assert most_connections(files) == connections


@pytest.mark.parametrize(("soft", "hard"), [(512, 1_024), (1_024, 1_024), (1_024, 4_096)])
def test_it_raises_the_limit_of_files_as_far_as_it_may(soft: int, hard: int) -> None:
    """In a process of its own, because a limit can't be raised again."""
    if resource.getrlimit(resource.RLIMIT_NOFILE)[1] < hard:
        pytest.skip("this machine allows fewer files")
    script = (
        f"import resource; resource.setrlimit(resource.RLIMIT_NOFILE, ({soft}, {hard}))\n"
        "from catalyst.server.connections import raise_file_limit\n"
        "print(raise_file_limit(), *resource.getrlimit(resource.RLIMIT_NOFILE))"
    )
    said = subprocess.run([sys.executable, "-c", script], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    most = min(hard, MOST_FILES)
    assert said.split() == [str(most), str(most), str(hard)]
