"""Which addresses are public, however they are written."""

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy
from pydantic import ValidationError

from catalyst.env import Env
from catalyst.ip_ranges import (
    NEVER_ALLOWED,
    AllowedTargets,
    IPAddress,
    is_host_name,
    is_never_allowed,
    is_private_name,
    is_public,
)

EVERYTHING = AllowedTargets.parse(["0.0.0.0/0", "::/0"])
PRIVATE_NETWORKS = [
    IPv4Network(text)
    for text in (
        "0.0.0.0/8",
        "10.0.0.0/8",
        "100.64.0.0/10",
        "127.0.0.0/8",
        "169.254.0.0/16",
        "172.16.0.0/12",
        "192.0.0.0/29",
        "192.0.2.0/24",
        "192.88.99.0/24",
        "192.168.0.0/16",
        "198.18.0.0/15",
        "198.51.100.0/24",
        "203.0.113.0/24",
        "224.0.0.0/3",
    )
]


def within(network: IPv4Network | IPv6Network) -> SearchStrategy[IPAddress]:
    first, last = int(network.network_address), int(network.broadcast_address)
    make = IPv4Address if network.version == 4 else IPv6Address
    return st.integers(first, last).map(make)


def carriers(address: IPv4Address) -> list[IPv6Address]:
    """The IPv6 addresses by which packets may reach an IPv4 address."""
    number = int(address)
    high, low = number >> 16, number & 0xFFFF
    prefixes = {"::ffff:0:0": number, "::ffff:0:0:0": number, "64:ff9b::": number, "64:ff9b:1::": number}
    carried = [IPv6Address(int(IPv6Address(prefix)) | value) for prefix, value in prefixes.items()]
    carried.append(IPv6Address(number))
    carried.append(IPv6Address((0x2002 << 112) | (number << 80) | 1))
    carried.append(IPv6Address((0x20010000 << 96) | (number << 64) | (0xF7F7F7F7)))
    carried.append(IPv6Address((0x20010000 << 96) | (0x08080808 << 64) | (number ^ 0xFFFFFFFF)))
    carried.append(IPv6Address(int(IPv6Address("64:ff9b:1::")) | (high << 64) | (low << 40)))
    return carried


private_ipv4 = st.sampled_from(PRIVATE_NETWORKS).flatmap(within).map(lambda address: IPv4Address(int(address)))
metadata = st.sampled_from(NEVER_ALLOWED).flatmap(within)


@given(private_ipv4)
def test_it_finds_a_private_ipv4_address_in_every_form(address: IPv4Address) -> None:
    assert not is_public(address)
    assert [str(carrier) for carrier in carriers(address) if is_public(carrier)] == []


@given(metadata)
def test_nothing_opens_link_local_and_metadata_addresses_in_any_form(address: IPAddress) -> None:
    assert not is_public(address) or address == IPv4Address("168.63.129.16")
    assert is_never_allowed(address)
    if isinstance(address, IPv4Address):
        assert [str(carrier) for carrier in carriers(address) if not is_never_allowed(carrier)] == []


@given(st.ip_addresses(v=4))
def test_public_ipv4_addresses_are_public_behind_nat64_and_6to4(address: IPv4Address) -> None:
    mapped, _, nat64 = carriers(address)[:3]
    sixtofour = carriers(address)[5]
    assert {is_public(form) for form in (mapped, nat64, sixtofour)} == {is_public(address)}


@given(st.ip_addresses())
def test_what_is_public_is_globally_routable(address: IPAddress) -> None:
    translated = address in IPv6Network("64:ff9b::/96") or getattr(address, "ipv4_mapped", None)
    if is_public(address) and not translated and address not in IPv6Network("2002::/16"):
        assert address.is_global
        assert not address.is_private
        assert not address.is_multicast


@given(st.ip_addresses(v=6))
def test_ipv6_outside_global_unicast_is_not_public(address: IPv6Address) -> None:
    known = ("2000::/3", "64:ff9b::/96", "::ffff:0:0/96")
    if not any(address in IPv6Network(network) for network in known):
        assert not is_public(address)


@pytest.mark.parametrize("text", ["8.8.8.8", "1.1.1.1", "2001:4860:4860::8888", "2606:4700::1111", "64:ff9b::808:808"])
def test_addresses_of_the_internet_are_public(text: str) -> None:
    assert is_public(ip_address(text))


@pytest.mark.parametrize(
    "text",
    [
        "::",
        "::1",
        "fc00::1",
        "fd00::1",
        "fe80::1",
        "fec0::1",
        "ff02::1",
        "ff0e::1",
        "100::1",
        "2001:db8::1",
        "3fff::1",
        "2001::1",
        "2002:7f00:1::",
        "5f00::1",
        "64:ff9b:1::808:808",
        "::8.8.8.8",
        "::ffff:0:8.8.8.8",
    ],
)
def test_these_ipv6_addresses_are_not_public(text: str) -> None:
    assert not is_public(ip_address(text))


@pytest.mark.parametrize(
    "host", ["example.com", "xn--bcher-kva.example", "a", "_dmarc.example.com", "1.example", "1e100"]
)
def test_it_knows_a_host_name(host: str) -> None:
    assert is_host_name(host)


@pytest.mark.parametrize(
    "host",
    [
        "",
        ".",
        "127.1",
        "0x7f.1",
        "0x7f000001",
        "2130706433",
        "017700000001",
        "127.0.0.1",
        "a.0x",
        "example.com.",
        "a..b",
        "-a.com",
        "a-.com",
        "EXAMPLE.com",
        "bücher.example",
        "a b",
        "%31",
        "a\n",
        "a" * 64,
        "a." * 126 + "ab",
        "::1",
    ],
)
def test_it_knows_what_is_no_host_name(host: str) -> None:
    assert not is_host_name(host)


def test_it_knows_names_of_private_networks() -> None:
    private = ["localhost", "a.localhost", "ollama", "printer.local", "db.prod.internal", "nas.home.arpa"]
    assert all(map(is_private_name, private))
    assert not any(map(is_private_name, ["example.com", "localhost.example.com", "mylocal.net"]))


def test_an_operator_opens_networks_and_endpoints() -> None:
    allowed = AllowedTargets.parse(
        ["10.0.0.0/8", "192.168.1.5", "fd00::/64", "127.0.0.1:8080", "[::1]:9000", "Ollama:11434"]
    )
    assert allowed.has_address(ip_address("10.1.2.3"), 443)
    assert allowed.has_address(ip_address("192.168.1.5"), 443)
    assert not allowed.has_address(ip_address("192.168.1.6"), 443)
    assert allowed.has_address(ip_address("fd00::5"), 443)
    assert [allowed.has_address(ip_address("127.0.0.1"), port) for port in (8080, 8081)] == [True, False]
    assert [allowed.has_address(ip_address("::1"), port) for port in (9000, 9001)] == [True, False]
    assert [allowed.has_name("ollama", port) for port in (11434, 80)] == [True, False]


@given(st.ip_addresses(v=4, network="10.0.0.0/8"))
def test_an_open_network_is_open_in_the_forms_that_lead_there(address: IPv4Address) -> None:
    allowed = AllowedTargets.parse(["10.0.0.0/8"])
    mapped, _, nat64 = carriers(address)[:3]
    assert allowed.has_address(mapped, 443)
    assert allowed.has_address(nat64, 443)


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        ("ollama", "neither a network such as 10.0.0.0/8 nor a host with its port"),
        ("ollama:", "neither a network"),
        ("ollama:0", "neither a network"),
        ("ollama:65536", "neither a network"),
        ("ollama:٣", "neither a network"),
        ("http://ollama:11434", "not a network"),
        ("127.1:80", "neither a network"),
        ("*:80", "neither a network"),
        ("10.0.0.1/8", "host bits"),
        ("10.0.0.0/33", "not a network"),
        ("ollama/8", "not a network"),
        ("169.254.169.254", "can't be opened"),
        ("169.254.169.254:80", "can't be opened"),
        ("[::ffff:169.254.169.254]:80", "can't be opened"),
        ("169.254.0.0/17", "can't be opened"),
        ("fe80::/64", "can't be opened"),
        ("fd00:ec2::254", "can't be opened"),
        ("metadata.google.internal:80", "can't be opened"),
    ],
)
def test_a_wrong_entry_stops_the_start_and_says_why(entry: str, words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CATALYST_ALLOWED_PRIVATE_TARGETS", f"10.0.0.0/8, {entry}")
    with pytest.raises(ValidationError, match="allowed_private_targets") as caught:
        Env()
    assert words in str(caught.value)
    assert entry in str(caught.value)


def test_the_setting_is_a_list_and_nothing_is_open_without_it(monkeypatch: pytest.MonkeyPatch) -> None:
    assert Env().allowed_private_targets == AllowedTargets()
    monkeypatch.setenv("CATALYST_ALLOWED_PRIVATE_TARGETS", " 10.0.0.0/8 ,, ollama:11434,")
    assert Env().allowed_private_targets == AllowedTargets.parse(["10.0.0.0/8", "ollama:11434"])


def test_everything_opened_is_still_without_metadata() -> None:
    assert EVERYTHING.has_address(ip_address("127.0.0.1"), 80)
    assert is_never_allowed(ip_address("169.254.169.254"))
