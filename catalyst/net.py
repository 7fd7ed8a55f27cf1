"""HTTP to addresses that users choose: webhooks, chat services, models. Independent of Django.

    response = net.request("POST", url, headers={"Content-Type": "application/json"}, content=body)
    response = await net.arequest("GET", url)
    Endpoint(url, key, guarded=True)

Only public addresses and those in CATALYST_ALLOWED_PRIVATE_TARGETS are reached. Every address of a name is checked, and
the connection uses a checked address without a second lookup. Redirects and compressed answers are refused.
The endpoint in CATALYST_JUDGE_URL is the operator's choice and does not come through here. Model connections do.
Apprise makes its own requests (alerts/channels/apprise_services.py), if the operator allows it.
"""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Self
from urllib.request import getproxies, proxy_bypass

import anyio.to_thread
import httpcore
import httpx

from catalyst import __version__
from catalyst.env import env
from catalyst.ip_ranges import (
    NEVER_ALLOWED_NAMES,
    AllowedTargets,
    IPAddress,
    is_host_name,
    is_never_allowed,
    is_private_name,
    is_public,
    parse_address,
)

type Resolve = Callable[[str, int], Awaitable[Sequence[str]]]

USER_AGENT = f"catalyst/{__version__}"
MAX_URL_CHARACTERS = 2_000
MAX_PORT = 65_535
MAX_RESPONSE_BYTES = 1 << 20
TIMEOUT_SECONDS = 10.0
# For each address of a name, so that one silent address leaves time for the next.
CONNECT_TIMEOUT_SECONDS = 5.0
# Behind a proxy, names of the internet often have no address here.
PROXIED_LOOKUP_SECONDS = 2.0

DEFAULT_PORTS = {"http": 80, "https": 443}
# They frame the message or choose another host behind the same address.
RESERVED_HEADERS = frozenset(
    {
        "accept-encoding",
        "connection",
        "content-length",
        "expect",
        "host",
        "keep-alive",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)


class NetError(Exception):
    """No usable response. The text is for people, without path, header or body. `permanent`: retrying can't help."""

    def __init__(self, message: str, *, permanent: bool = False) -> None:
        super().__init__(message)
        self.permanent = permanent


class InvalidTarget(NetError):
    """The URL is malformed or has an unsupported scheme."""

    def __init__(self, message: str) -> None:
        super().__init__(message, permanent=True)


class BlockedTarget(NetError):
    """The address is not public, and the operator did not open it."""

    def __init__(self, message: str) -> None:
        super().__init__(message, permanent=True)


@dataclass(frozen=True, slots=True)
class Response:
    # The body is complete.
    status: int
    headers: Mapping[str, str]
    content: bytes


@dataclass(frozen=True, slots=True)
class Target:
    """The scheme, host and port of a URL. `address` is set if the host is an IP address."""

    scheme: str
    host: str
    port: int
    address: IPAddress | None

    @classmethod
    def parse(cls, url: str | httpx.URL) -> Self:
        """Raises InvalidTarget."""
        if len(str(url)) > MAX_URL_CHARACTERS:
            raise InvalidTarget(f"The URL is longer than {MAX_URL_CHARACTERS:,} characters. Use a shorter one.")
        try:
            parsed = httpx.URL(url)
        except (httpx.InvalidURL, UnicodeError) as error:
            raise InvalidTarget("This is not a valid URL. Write it as https://example.com/path.") from error
        if parsed.scheme not in DEFAULT_PORTS or not parsed.host:
            raise InvalidTarget("The URL needs http:// or https:// and a host. Write it as https://example.com/path.")
        if parsed.userinfo:
            raise InvalidTarget("The URL contains a user name or password. Remove everything up to the @.")
        port = DEFAULT_PORTS[parsed.scheme] if parsed.port is None else parsed.port
        if not 1 <= port <= MAX_PORT:
            raise InvalidTarget(f"The port in the URL must be between 1 and {MAX_PORT}.")
        host = parsed.raw_host.decode("ascii")
        address = None if "%" in host else parse_address(host)
        if address is None and not is_host_name(host):
            raise InvalidTarget(
                "The host in the URL is neither a name such as example.com nor an address such as 192.0.2.1. "
                "Write an address in full, without a zone, and a name without a dot at its end."
            )
        return cls(parsed.scheme, host, port, address)


async def resolve(host: str, port: int) -> Sequence[str]:
    """Raises OSError. Canceling leaves the lookup running in its thread."""
    infos = await anyio.to_thread.run_sync(
        lambda: socket.getaddrinfo(host, port, type=socket.SOCK_STREAM), abandon_on_cancel=True
    )
    return [str(sockaddr[0]) for *_, sockaddr in infos]


@cache
def ssl_context() -> ssl.SSLContext:
    # Loading the certificates takes a while.
    return httpx.create_ssl_context()


def proxy_for(url: str) -> str | None:
    # From HTTPS_PROXY, HTTP_PROXY, ALL_PROXY and NO_PROXY.
    scheme, _, rest = url.partition("://")
    proxies = getproxies()
    proxy = proxies.get(scheme) or proxies.get("all")
    if not proxy or proxy_bypass(rest.partition("/")[0]):
        return None
    return proxy if "://" in proxy else f"http://{proxy}"


@dataclass(frozen=True, slots=True)
class Policy:
    """The targets that are allowed, and how many bytes they may answer."""

    https_only: bool = False
    max_bytes: int = MAX_RESPONSE_BYTES
    allowed: AllowedTargets = field(default_factory=lambda: env.allowed_private_targets)
    resolve: Resolve = resolve
    ssl_context: ssl.SSLContext = field(default_factory=ssl_context)

    def check(self, target: Target) -> None:
        """Check a target without a lookup. Raises NetError."""
        if self.https_only and target.scheme != "https":
            raise InvalidTarget("The URL must begin with https://.")
        if target.host in NEVER_ALLOWED_NAMES:
            raise BlockedTarget(_NEVER.format(target.host, "is"))
        if target.address:
            self._check_address(target.host, target.port, target.address, "is")

    async def addresses(self, host: str, port: int) -> list[str]:
        """Return the addresses to connect to. Raises NetError if any is blocked, or if there is none."""
        literal = parse_address(host)
        try:
            addresses = [host] if literal else await self.resolve(host, port)
        except (OSError, UnicodeError) as error:
            raise NetError(f"{host} has no address ({error}). Check the name.") from error
        if not addresses:
            raise NetError(f"{host} has no address. Check the name.")
        return [self._checked(host, port, text) for text in addresses]

    async def check_behind_proxy(self, target: Target) -> None:
        """Check a target that the proxy will look up again. Raises NetError."""
        if target.address:
            return
        try:
            async with asyncio.timeout(PROXIED_LOOKUP_SECONDS):
                addresses = await self.resolve(target.host, target.port)
        except (OSError, UnicodeError):
            addresses = []  # the proxy may know it
        if not addresses and is_private_name(target.host) and not self.allowed.has_name(target.host, target.port):
            raise BlockedTarget(_PRIVATE.format(target.host, "may lead to"))
        for text in addresses:
            self._checked(target.host, target.port, text)

    def _checked(self, host: str, port: int, text: str) -> str:
        address = parse_address(text)
        if address is None:
            raise NetError(f"{host} has an address that can't be used. Check the name.")
        self._check_address(host, port, address, "leads to")
        return str(address)

    def _check_address(self, host: str, port: int, address: IPAddress, verb: str) -> None:
        # The message keeps the looked-up address to itself: it would show the private network to users.
        if is_never_allowed(address):
            raise BlockedTarget(_NEVER.format(host, verb))
        if is_public(address) or self.allowed.has_name(host, port) or self.allowed.has_address(address, port):
            return
        raise BlockedTarget(_PRIVATE.format(host, verb))


_NEVER = "{} {} a link-local or cloud metadata address, which Catalyst never connects to. Use another address."
_PRIVATE = (
    "{} {} an address that is not public. Use a public one, "
    "or ask the operator to add it to CATALYST_ALLOWED_PRIVATE_TARGETS."
)


def check_url(url: str, policy: Policy | None = None) -> None:
    """Check a URL without a lookup, for forms. Raises NetError."""
    (policy or Policy()).check(Target.parse(url))


class GuardedTransport(httpx.AsyncBaseTransport):
    """An httpx transport that applies the policy. Raises NetError and httpx's errors.

    Sets no time limit: callers use `asyncio.timeout`.
    """

    def __init__(self, policy: Policy | None = None, *, max_connections: int = 10) -> None:
        self._policy = policy or Policy()
        self._limits = httpx.Limits(max_connections=max_connections, max_keepalive_connections=max_connections)
        self._direct = _PinnedTransport(self._policy, self._limits)
        self._proxied: dict[str, httpx.AsyncHTTPTransport] = {}

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        target = Target.parse(request.url)
        self._policy.check(target)
        proxy = proxy_for(str(request.url))
        if proxy:
            await self._policy.check_behind_proxy(target)
        transport = self._through(proxy) if proxy else self._direct
        response = await transport.handle_async_request(request)
        encoding = response.headers.get("content-encoding", "identity").strip().lower()
        if encoding not in {"", "identity"}:
            await response.aclose()
            raise NetError(f"{target.host} sent a compressed answer. Turn compression off there.", permanent=True)
        return httpx.Response(
            response.status_code,
            headers=response.headers,
            stream=_BoundedStream(response, target.host, self._policy.max_bytes),
            extensions=response.extensions,
        )

    async def aclose(self) -> None:
        for transport in (self._direct, *self._proxied.values()):
            await transport.aclose()

    def _through(self, proxy: str) -> httpx.AsyncHTTPTransport:
        if proxy not in self._proxied:
            try:
                self._proxied[proxy] = httpx.AsyncHTTPTransport(
                    verify=self._policy.ssl_context, limits=self._limits, proxy=proxy
                )
            except (ImportError, ValueError, httpx.InvalidURL):
                # Its text quotes the proxy's address, which may contain a password.
                raise NetError("The operator's proxy setting can't be used. It must be an http:// address.") from None
        return self._proxied[proxy]


class _PinnedTransport(httpx.AsyncHTTPTransport):
    def __init__(self, policy: Policy, limits: httpx.Limits) -> None:
        super().__init__(verify=policy.ssl_context, limits=limits)
        # httpx has no argument for httpcore's network backend. Above it the host stays the name, as TLS needs it.
        self._pool = httpcore.AsyncConnectionPool(
            ssl_context=policy.ssl_context,
            max_connections=limits.max_connections,
            max_keepalive_connections=limits.max_keepalive_connections,
            keepalive_expiry=limits.keepalive_expiry,
            network_backend=_PinnedBackend(policy),
        )


class _PinnedBackend(httpcore.AsyncNetworkBackend):
    # Looks up, checks and connects in one step, so that no second lookup can return another address.
    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self._backend = httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        timeout = min(timeout or CONNECT_TIMEOUT_SECONDS, CONNECT_TIMEOUT_SECONDS)
        failure: Exception = httpcore.ConnectError(f"{host} has no address.")
        for address in await self._policy.addresses(host, port):
            try:
                return await self._backend.connect_tcp(address, port, timeout, local_address, socket_options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failure = error
        raise failure


class _BoundedStream(httpx.AsyncByteStream):
    def __init__(self, response: httpx.Response, host: str, max_bytes: int) -> None:
        self._response = response
        self._host = host
        self._max_bytes = max_bytes

    async def __aiter__(self) -> AsyncIterator[bytes]:
        received = 0
        async for chunk in self._response.aiter_raw():
            received += len(chunk)
            if received > self._max_bytes:
                raise NetError(f"{self._host} sent more than {self._max_bytes:,} bytes.", permanent=True)
            yield chunk

    async def aclose(self) -> None:
        await self._response.aclose()


async def arequest(
    method: str,
    url: str,
    *,
    headers: Mapping[str, str] | None = None,
    content: bytes = b"",
    timeout: float = TIMEOUT_SECONDS,
    policy: Policy | None = None,
) -> Response:
    """Send one request on a new connection. `timeout`: seconds in total. Raises NetError."""
    target = Target.parse(url)
    request = _build(target, method, url, headers or {}, content)
    try:
        async with asyncio.timeout(timeout), GuardedTransport(policy, max_connections=1) as transport:
            answer = await transport.handle_async_request(request)
            body = await answer.aread()
    except TimeoutError as error:
        raise NetError(f"{target.host} did not finish its answer within {timeout:g} seconds.") from error
    except httpx.NetworkError as error:
        raise NetError(f"{target.host} can't be reached: {error or 'the connection broke.'}") from error
    except httpx.LocalProtocolError:
        # Its text quotes the header, which may be a secret.
        raise NetError(_BAD_HEADERS.format(target.host), permanent=True) from None
    except httpx.ProxyError as error:
        raise NetError(f"The proxy did not connect to {target.host}: {error}") from error
    except httpx.HTTPError as error:
        raise NetError(f"{target.host} broke the connection or does not speak HTTP.") from error
    if answer.is_redirect:
        raise NetError(
            f"{target.host} redirects to another address ({answer.status_code}), which Catalyst does not follow. "
            "Use the final address.",
            permanent=True,
        )
    return Response(answer.status_code, answer.headers, body)


def request(
    method: str,
    url: str,
    *,
    headers: Mapping[str, str] | None = None,
    content: bytes = b"",
    timeout: float = TIMEOUT_SECONDS,
    policy: Policy | None = None,
) -> Response:
    """`arequest` for threads without an event loop."""
    return asyncio.run(arequest(method, url, headers=headers, content=content, timeout=timeout, policy=policy))


_BAD_HEADERS = "The request to {} has a header that HTTP does not allow. Check its name and look for line breaks."


def _build(target: Target, method: str, url: str, headers: Mapping[str, str], content: bytes) -> httpx.Request:
    host = target.host
    reserved = sorted(name for name in headers if name.strip().lower() in RESERVED_HEADERS)
    if reserved:
        raise NetError(f"The request to {host} can't set the header {reserved[0]}. Remove it.", permanent=True)
    try:
        return httpx.Request(
            method,
            url,
            headers={"User-Agent": USER_AGENT, **headers, "Accept-Encoding": "identity"},
            content=content,
        )
    except UnicodeError:
        raise NetError(_BAD_HEADERS.format(host), permanent=True) from None
