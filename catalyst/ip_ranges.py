"""Public network addresses, and the private ones that an operator has opened."""

from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
    ip_network,
)
from re import ASCII, fullmatch
from typing import Self

type IPAddress = IPv4Address | IPv6Address
type IPNetwork = IPv4Network | IPv6Network

MAX_HOST_CHARACTERS = 253

IPV4_COMPATIBLE = IPv6Network("::/96")
IPV4_TRANSLATED = IPv6Network("::ffff:0:0:0/96")
NAT64 = IPv6Network("64:ff9b::/96")
NAT64_LOCAL = IPv6Network("64:ff9b:1::/48")
# Which bytes hold the IPv4 address, for prefixes of 48, 56, 64 and 96 bits (RFC 6052, 2.2). Byte 8 is reserved.
LAST_BYTES = (12, 13, 14, 15)
NAT64_LAYOUTS = ((6, 7, 9, 10), (7, 9, 10, 11), (9, 10, 11, 12), LAST_BYTES)
# The only IPv6 block from which public addresses are given out.
GLOBAL_UNICAST = IPv6Network("2000::/3")
# Not public, but unknown to the `ipaddress` of some Python versions.
RESERVED: tuple[IPNetwork, ...] = (IPv4Network("192.88.99.0/24"), IPv6Network("3fff::/20"))

# Link-local networks, and where clouds serve credentials to whoever asks from inside. No setting opens these.
NEVER_ALLOWED: tuple[IPNetwork, ...] = (
    IPv4Network("169.254.0.0/16"),  # AWS, Azure, Google, DigitalOcean, OpenStack and others
    IPv4Network("100.100.100.200/32"),  # Alibaba
    IPv4Network("168.63.129.16/32"),  # Azure's host agent
    IPv4Network("192.0.0.192/32"),  # Oracle
    IPv6Network("fe80::/10"),
    IPv6Network("fd00:ec2::/32"),  # AWS
    IPv6Network("fd20:ce::254/128"),  # Google
    IPv6Network("fd00:42::42/128"),  # Scaleway
)
NEVER_ALLOWED_NAMES = frozenset(
    {"metadata", "metadata.google.internal", "metadata.goog", "instance-data", "instance-data.ec2.internal"}
)

# Names that mean something in a private network only.
PRIVATE_NAMES = frozenset({"localhost", "localdomain", "local", "internal", "home.arpa", "lan", "corp", "home"})


def parse_address(text: str) -> IPAddress | None:
    """Parse the usual spelling of an address, without its zone. Returns None for other text."""
    try:
        return ip_address(text.partition("%")[0])
    except ValueError:
        return None


def network_of(text: str) -> str:
    """Return the network of one client: an IPv4 address, or the /64 of an IPv6 one. Other text is returned as is."""
    address = parse_address(text)
    if address is None:
        return text
    if isinstance(address, IPv6Address):
        return str(address.ipv4_mapped or IPv6Network((address, 64), strict=False))
    return str(address)


def in_networks(text: str, networks: Iterable[IPNetwork]) -> bool:
    """False for text that is no address."""
    address = parse_address(text)
    return address is not None and any(address in network for network in networks)


def destinations(address: IPAddress) -> tuple[IPAddress, ...]:
    """Return the addresses that packets to this one may reach: itself, or the IPv4 addresses that it embeds."""
    if isinstance(address, IPv4Address):
        return (address,)
    if address.ipv4_mapped:
        return (address.ipv4_mapped,)
    if address.sixtofour:
        return (address.sixtofour,)
    if address.teredo:
        return (address, *address.teredo)
    if address in NAT64:
        return (_ipv4_in(address, LAST_BYTES),)
    if address in NAT64_LOCAL:
        return (address, *(_ipv4_in(address, layout) for layout in NAT64_LAYOUTS))
    if address in IPV4_COMPATIBLE or address in IPV4_TRANSLATED:
        return (address, _ipv4_in(address, LAST_BYTES))
    return (address,)


def is_public(address: IPAddress) -> bool:
    return all(_is_globally_routable(destination) for destination in destinations(address))


def is_never_allowed(address: IPAddress) -> bool:
    candidates = (address, *destinations(address))
    return any(candidate in network for candidate in candidates for network in NEVER_ALLOWED)


def is_private_name(host: str) -> bool:
    # No meaning on the internet: a single label, or a domain reserved for private networks.
    labels = host.split(".")
    suffixes = {".".join(labels[start:]) for start in range(len(labels))}
    return len(labels) == 1 or bool(suffixes & PRIVATE_NAMES)


def is_host_name(host: str) -> bool:
    # Lowercase ASCII only. Resolvers read `127.1`, `0x7f000001` and `2130706433` as IPv4 addresses, but no host name
    # ends in a number.
    labels = host.split(".")
    if len(host) > MAX_HOST_CHARACTERS or fullmatch(r"\d+|0x[0-9a-f]*", labels[-1], ASCII):
        return False
    return all(fullmatch(r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?", label, ASCII) for label in labels)


@dataclass(frozen=True, slots=True)
class AllowedTargets:
    """Networks and endpoints that the operator opened."""

    networks: tuple[IPNetwork, ...] = ()
    endpoints: frozenset[tuple[str, int]] = frozenset()

    @classmethod
    def parse(cls, entries: Iterable[str]) -> Self:
        """Parse entries such as `10.0.0.0/8`, `10.0.0.5`, `ollama:11434` and `[fd00::1]:8080`. Raises ValueError."""
        networks: list[IPNetwork] = []
        endpoints: set[tuple[str, int]] = set()
        for entry in entries:
            network = _parse_network(entry)
            if network is None:
                endpoints.add(_parse_endpoint(entry))
            else:
                networks.append(network)
        return cls(tuple(networks), frozenset(endpoints))

    def has_name(self, host: str, port: int) -> bool:
        return (host, port) in self.endpoints

    def has_address(self, address: IPAddress, port: int) -> bool:
        """True if the operator opened the address and every private address embedded in it."""
        if self._has(address, port):
            return True
        return all(
            _is_globally_routable(destination) or self._has(destination, port) for destination in destinations(address)
        )

    def _has(self, address: IPAddress, port: int) -> bool:
        return any(address in network for network in self.networks) or (str(address), port) in self.endpoints


def _is_globally_routable(address: IPAddress) -> bool:
    if any(address in network for network in RESERVED) or address.is_multicast:
        return False
    return address.is_global and (isinstance(address, IPv4Address) or address in GLOBAL_UNICAST)


def _ipv4_in(address: IPv6Address, layout: tuple[int, ...]) -> IPv4Address:
    return IPv4Address(bytes(address.packed[index] for index in layout))


def _parse_network(entry: str) -> IPNetwork | None:
    if "/" not in entry and parse_address(entry) is None:
        return None
    try:
        network = ip_network(entry)
    except ValueError as error:
        raise ValueError(f"{entry} is not a network ({error}). Write it as 10.0.0.0/8.") from error
    if any(network.version == never.version and network.subnet_of(never) for never in NEVER_ALLOWED):  # type: ignore[arg-type]
        raise ValueError(f"{entry} is link-local or cloud metadata, which can't be opened. Remove it.")
    return network


def _parse_endpoint(entry: str) -> tuple[str, int]:
    host, _, port = entry.lower().rpartition(":")
    address = parse_address(host.removeprefix("[").removesuffix("]"))
    is_port = bool(fullmatch(r"\d{1,5}", port, ASCII)) and 1 <= int(port) <= 65535
    if not is_port or not (address or is_host_name(host)):
        raise ValueError(
            f"{entry} is neither a network such as 10.0.0.0/8 nor a host with its port such as ollama:11434."
        )
    if host in NEVER_ALLOWED_NAMES or (address and is_never_allowed(address)):
        raise ValueError(f"{entry} is link-local or cloud metadata, which can't be opened. Remove it.")
    return (str(address) if address else host), int(port)
