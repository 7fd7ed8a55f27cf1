"""Requests to addresses that users choose, against real servers on loopback."""

import asyncio
import ssl
import tracemalloc
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from gzip import compress
from pathlib import Path

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from catalyst import net
from catalyst.ip_ranges import AllowedTargets
from catalyst.llm import LLM, Endpoint, LLMError
from catalyst.net import BlockedTarget, GuardedTransport, InvalidTarget, NetError, Policy, check_url
from tests.judge_server import JudgeServer, says
from tests.raw_server import Exchange, RawServer, answer

pytestmark = pytest.mark.slow

LOOPBACK = AllowedTargets.parse(["127.0.0.0/8"])
PUBLIC = "93.184.215.14"


class Names:
    """A resolver with scripted answers: one list of addresses for each lookup; the last one is repeated."""

    def __init__(self, *answers: Sequence[str]) -> None:
        self.answers = list(answers)
        self.lookups: list[str] = []

    async def __call__(self, host: str, port: int) -> Sequence[str]:
        assert port
        self.lookups.append(host)
        found = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if not found:
            raise OSError("Name or service not known")
        return found


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.fixture
def server() -> Iterator[RawServer]:
    with RawServer(lambda exchange: exchange.send(answer(b"ok"))) as running:
        yield running


def get(url: str, *names: Sequence[str], timeout: float = 5, **policy: object) -> net.Response:
    resolve = Names(*names or [["127.0.0.1"]])
    return net.request("GET", url, timeout=timeout, policy=Policy(**{"allowed": LOOPBACK, "resolve": resolve} | policy))  # type: ignore[arg-type]


def test_it_sends_a_request_and_returns_the_answer(server: RawServer) -> None:
    server.script = lambda exchange: exchange.send(answer(b"thanks", "201 Created", X_Id="7"))
    response = net.request(
        "POST",
        f"http://hooks.example:{server.port}/in?a=1",
        headers={"Content-Type": "application/json"},
        content=b"{}",
        policy=Policy(allowed=LOOPBACK, resolve=Names(["127.0.0.1"])),
    )
    assert (response.status, response.content, response.headers["x-id"]) == (201, b"thanks", "7")
    (request,) = server.requests
    assert request.startswith(b"POST /in?a=1 HTTP/1.1\r\n")
    assert f"host: hooks.example:{server.port}\r\n".encode() in request.lower()
    assert request.endswith(b"\r\n\r\n{}")


@pytest.mark.parametrize("status", ["400 Bad Request", "404 Not Found", "503 Service Unavailable"])
def test_it_leaves_the_status_to_its_caller(server: RawServer, status: str) -> None:
    server.script = lambda exchange: exchange.send(answer(b"no", status, Retry_After="7"))
    response = get(f"http://hooks.example:{server.port}/")
    assert (response.status, response.headers["retry-after"]) == (int(status[:3]), "7")


# Spellings


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "10.0.0.1",
        "172.16.0.1",
        "192.168.0.1",
        "100.64.0.1",
        "0.0.0.0",
        "255.255.255.255",
        "224.0.0.1",
        "[::1]",
        "[::]",
        "[fd00::1]",
        "[fec0::1]",
        "[ff02::1]",
        "[::ffff:127.0.0.1]",
        "[::FFFF:7F00:1]",
        "[::127.0.0.1]",
        "[::ffff:0:127.0.0.1]",
        "[64:ff9b::127.0.0.1]",
        "[64:ff9b:1::127.0.0.1]",
        "[64:ff9b:1:7f00:0:100::]",
        "[2002:7f00:1::]",
        "[2002:a00:1::1]",
        "[2001:0:808:808::80ff:fffe]",
        "127。0。0。1",
        "0:0:0:0:0:0:0:1",
        "[0000:0000:0000:0000:0000:0000:0000:0001]",
    ],
)
def test_it_refuses_private_addresses_in_every_form(host: str) -> None:
    with pytest.raises((BlockedTarget, InvalidTarget)) as caught:
        check_url(f"http://{host}/")
    assert caught.value.permanent


@pytest.mark.parametrize(
    "host",
    [
        "127.1",
        "127.0.1",
        "0x7f.1",
        "0x7f.0.0.1",
        "0x7f000001",
        "0X7F000001",
        "2130706433",
        "017700000001",
        "0177.0.0.1",
        "127.0.0.01",
        "127.0.0.1.",
        "127.0.0.256",
        "localhost.",
        "LOCALHOST.",
        "example.com.",
        "example..com",
        "\uff11\uff12\uff17.0.0.1",
        "①②⑦.0.0.1",
        "ⓛocalhost",
        "%31%32%37.0.0.1",
        "127.0.0.1%00.example.com",
        "exa mple.com",
        "[fe80::1%25eth0]",
        "[fe80::1%eth0]",
        "[::1%25lo]",
        "[::1",
        "::1",
        "[v1.a]",
        "example.com:0",
        "example.com:65536",
        "example.com:x",
        "",
        ":80",
        "a" * 64 + ".com",
        "*.example.com",
        "example.com\\@127.0.0.1",
        "example.com\n",
        "user@example.com",
        "user:secret@example.com",
        "example.com@127.0.0.1",
        "127.0.0.1:80@example.com",
        "@example.com:x",
    ],
)
def test_it_refuses_hosts_that_are_not_plainly_written(host: str) -> None:
    with pytest.raises(InvalidTarget) as caught:
        check_url(f"http://{host}/")
    assert caught.value.permanent
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        "ftp://example.com/",
        "file:///etc/passwd",
        "gopher://127.0.0.1/",
        "unix:///tmp/x",
        "javascript:alert(1)",
        "//example.com",
        "example.com",
        "",
        "http:example.com",
        "http:///x",
        "https://",
        "http://example.com/\x00",
        "HTTP+UNIX://x/",
    ],
)
def test_it_takes_http_and_https_urls_only(url: str) -> None:
    with pytest.raises(InvalidTarget):
        check_url(url)


def test_it_takes_urls_of_a_reasonable_length() -> None:
    check_url("https://example.com/" + "a" * 1_900)
    with pytest.raises(InvalidTarget, match="2,000 characters"):
        check_url("https://example.com/" + "a" * 2_000)


def test_it_takes_https_alone_where_its_caller_says_so() -> None:
    check_url("https://example.com/", Policy(https_only=True))
    with pytest.raises(InvalidTarget, match="must begin with https://"):
        check_url("http://example.com/", Policy(https_only=True))


@pytest.mark.parametrize(
    "url",
    [
        "https://example.com",
        "HTTPS://EXAMPLE.COM:8443/a?b#c",
        "http://bücher.example/",
        "http://8.8.8.8/",
        "http://[2001:4860:4860::8888]:81/",
        "http://[64:ff9b::8.8.8.8]/",
        "https://example.com/@127.0.0.1?x=http://localhost",
    ],
)
def test_it_takes_public_urls(url: str) -> None:
    assert refusal(url) == ""


def refusal(url: str) -> str:
    """The error for a URL; empty if it is allowed."""
    try:
        check_url(url)
    except NetError as error:
        return str(error)
    return ""


@pytest.mark.parametrize(
    "host", ["169.254.169.254", "[fd00:ec2::254]", "[fe80::1]", "[::ffff:a9fe:a9fe]", "100.100.100.200"]
)
def test_no_setting_opens_metadata_addresses(host: str) -> None:
    everything = AllowedTargets.parse(["0.0.0.0/0", "::/0"])
    with pytest.raises(BlockedTarget, match="never connects"):
        check_url(f"http://{host}/latest/meta-data", Policy(allowed=everything))
    with pytest.raises(BlockedTarget, match="never connects"):
        get("http://name.example/", [host.strip("[]")], allowed=everything)
    with pytest.raises(BlockedTarget, match="never connects"):
        get("http://name.example/", [host.strip("[]")], allowed=AllowedTargets.parse(["name.example:80"]))
    with pytest.raises(BlockedTarget, match="never connects"):
        check_url("http://Metadata.Google.Internal/")


# Names


def test_it_refuses_localhost_by_the_systems_resolver(server: RawServer) -> None:
    with pytest.raises(BlockedTarget, match="localhost leads to an address that is not public"):
        net.request("GET", f"http://LocalHost:{server.port}/", policy=Policy(allowed=AllowedTargets()))
    assert server.connections == 0


def test_an_operator_opens_a_name_with_its_port(server: RawServer) -> None:
    allowed = AllowedTargets.parse([f"localhost:{server.port}"])
    assert net.request("GET", f"http://localhost:{server.port}/", policy=Policy(allowed=allowed)).content == b"ok"
    with RawServer(server.script) as other, pytest.raises(BlockedTarget):
        net.request("GET", f"http://localhost:{other.port}/", policy=Policy(allowed=allowed))


@pytest.mark.parametrize(
    "addresses", [["10.0.0.1"], [PUBLIC, "10.0.0.1"], ["127.0.0.1", "10.0.0.1"], [PUBLIC, "fe80::1%2"]]
)
def test_it_refuses_a_name_if_one_of_its_addresses_is_blocked(server: RawServer, addresses: list[str]) -> None:
    with pytest.raises(BlockedTarget) as caught:
        get(f"http://hooks.example:{server.port}/", addresses)
    assert caught.value.permanent
    assert "hooks.example" in str(caught.value)
    assert "10.0.0.1" not in str(caught.value)
    assert server.connections == 0


def test_it_connects_to_the_address_that_it_judged(server: RawServer) -> None:
    names = Names(["127.0.0.1"], ["10.0.0.1"])
    policy = Policy(allowed=LOOPBACK, resolve=names)
    assert net.request("GET", f"http://hooks.example:{server.port}/", policy=policy).content == b"ok"
    assert names.lookups == ["hooks.example"]
    with pytest.raises(BlockedTarget):
        net.request("GET", f"http://hooks.example:{server.port}/", policy=policy)
    assert len(server.requests) == 1


def test_an_open_connection_is_used_again_without_a_lookup(server: RawServer) -> None:
    names = Names(["127.0.0.1"], ["10.0.0.1"])

    async def twice() -> list[bytes]:
        async with GuardedTransport(Policy(allowed=LOOPBACK, resolve=names)) as transport:
            request = httpx.Request("GET", f"http://hooks.example:{server.port}/")
            return [await (await transport.handle_async_request(request)).aread() for _ in range(2)]

    assert asyncio.run(twice()) == [b"ok", b"ok"]
    assert (names.lookups, server.connections) == (["hooks.example"], 1)


def test_it_tries_the_next_address_where_one_does_not_answer(server: RawServer) -> None:
    assert get(f"http://hooks.example:{server.port}/", ["127.0.0.2", "127.0.0.1"]).content == b"ok"


@pytest.mark.parametrize("names", [[[]], [["no address"]]])
def test_a_name_without_address_may_get_one(names: list[list[str]]) -> None:
    with pytest.raises(NetError, match=r"hooks\.example has (no|an) address.*Check the name") as caught:
        get("http://hooks.example/", *names)
    assert not caught.value.permanent


def test_a_server_that_is_not_there_may_come_back() -> None:
    with RawServer(lambda _: None) as gone:
        pass
    with pytest.raises(NetError, match=r"hooks\.example can't be reached") as caught:
        get(f"http://hooks.example:{gone.port}/")
    assert not caught.value.permanent


# Answers


def test_it_follows_no_redirect(server: RawServer) -> None:
    with RawServer(lambda exchange: exchange.send(answer(b"inside"))) as inside:
        location = f"http://127.0.0.1:{inside.port}/"
        server.script = lambda exchange: exchange.send(answer(b"", "302 Found", Location=location))
        with pytest.raises(NetError, match=r"redirects to another address \(302\)") as caught:
            get(f"http://hooks.example:{server.port}/")
        assert caught.value.permanent
        assert inside.connections == 0


@pytest.mark.parametrize(
    "head", [b"Transfer-Encoding: chunked\r\n\r\n", b"Content-Length: 999999999999\r\n\r\n", b"\r\n"]
)
def test_it_stops_reading_an_endless_body(server: RawServer, head: bytes) -> None:
    def endless(exchange: Exchange) -> None:
        exchange.send(b"HTTP/1.1 200 OK\r\n" + head)
        exchange.send_forever(b"1000\r\n" + b"x" * 0x1000 + b"\r\n")

    server.script = endless
    with pytest.raises(NetError, match="sent more than 100,000 bytes"):
        get(f"http://hooks.example:{server.port}/", max_bytes=100_000)


def test_it_takes_a_body_of_the_largest_size(server: RawServer) -> None:
    server.script = lambda exchange: exchange.send(answer(b"x" * 1_000))
    assert len(get(f"http://hooks.example:{server.port}/", max_bytes=1_000).content) == 1_000
    with pytest.raises(NetError, match="more than 999 bytes"):
        get(f"http://hooks.example:{server.port}/", max_bytes=999)


def test_it_stops_reading_endless_headers(server: RawServer) -> None:
    def endless(exchange: Exchange) -> None:
        exchange.send(b"HTTP/1.1 200 OK\r\n")
        exchange.send_forever(b"X-More: " + b"x" * 1_000 + b"\r\n")

    server.script = endless
    with pytest.raises(NetError, match="does not speak HTTP"):
        get(f"http://hooks.example:{server.port}/")


def silent(exchange: Exchange) -> None:
    exchange.hang()


def dripping_head(exchange: Exchange) -> None:
    exchange.send(b"HTTP/1.1 200 OK\r\nX-Slow: ")
    exchange.send_forever(b"x", pause=0.01)


def dripping_body(exchange: Exchange) -> None:
    exchange.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
    exchange.send_forever(b"x", pause=0.01)


def always_continue(exchange: Exchange) -> None:
    exchange.send_forever(b"HTTP/1.1 100 Continue\r\n\r\n", pause=0.01)


@pytest.mark.parametrize("script", [silent, dripping_head, dripping_body, always_continue])
def test_one_deadline_holds_for_all_of_it(server: RawServer, script: Callable[[Exchange], None]) -> None:
    server.script = script
    with pytest.raises(NetError, match=r"hooks\.example did not finish its answer within 0\.2 seconds") as caught:
        get(f"http://hooks.example:{server.port}/", timeout=0.2)
    assert not caught.value.permanent


def test_the_deadline_holds_for_the_lookup_too() -> None:
    async def never(host: str, port: int) -> Sequence[str]:
        await asyncio.Event().wait()
        return []

    with pytest.raises(NetError, match=r"within 0\.1 seconds"):
        net.request("GET", "http://hooks.example/", timeout=0.1, policy=Policy(resolve=never))


@pytest.mark.parametrize("encoding", ["gzip", "GZIP, gzip", "zstd", "br", "identity, gzip"])
def test_it_unpacks_nothing(server: RawServer, encoding: str) -> None:
    bomb = compress(b"\0" * 50_000_000, 9)
    server.script = lambda exchange: exchange.send(answer(bomb, Content_Encoding=encoding))
    tracemalloc.start()
    with pytest.raises(NetError, match="compressed answer"):
        get(f"http://hooks.example:{server.port}/")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 10_000_000
    assert b"accept-encoding: identity\r\n" in server.requests[0].lower()


@pytest.mark.parametrize("nonsense", [b"hello\r\n\r\n", b"HTTP/1.1 999999 Odd\r\n\r\n", b"", b"\x16\x03\x01" * 50])
def test_it_says_that_a_server_does_not_speak_http(server: RawServer, nonsense: bytes) -> None:
    def script(exchange: Exchange) -> None:
        exchange.send(nonsense)
        raise OSError("closed")

    server.script = script
    with pytest.raises(NetError, match=r"hooks\.example broke the connection or does not speak HTTP"):
        get(f"http://hooks.example:{server.port}/")


# Secrets


@pytest.mark.parametrize(
    "headers",
    [{"Authorization": "Bearer s3cret\r\nX-Evil: 1"}, {"Authorization": "Bearer s3cret…"}, {"bad name": "s3cret"}],
)
def test_it_does_not_show_a_header_that_it_cant_send(server: RawServer, headers: dict[str, str]) -> None:
    policy = Policy(allowed=LOOPBACK, resolve=Names(["127.0.0.1"]))
    with pytest.raises(NetError, match="header that HTTP does not allow") as caught:
        net.request("GET", f"http://hooks.example:{server.port}/", headers=headers, policy=policy)
    assert caught.value.permanent
    assert "s3cret" not in str(caught.value)
    assert caught.value.__suppress_context__
    assert not server.requests


@pytest.mark.parametrize(
    "name", ["Host", "host", "Content-Length", "Transfer-Encoding", "Connection", "Accept-Encoding"]
)
def test_its_caller_cant_set_headers_that_frame_the_request(name: str) -> None:
    with pytest.raises(NetError, match=f"can't set the header {name}"):
        net.request("GET", "https://hooks.example/", headers={name: "x"})


@pytest.mark.parametrize("script", [silent, lambda exchange: exchange.send(b"nonsense\r\n\r\n")])
def test_errors_name_the_host_alone(server: RawServer, script: Callable[[Exchange], None]) -> None:
    server.script = script
    with pytest.raises(NetError) as caught:
        get(f"http://hooks.example:{server.port}/services/T0/s3cret?token=s3cret", timeout=0.2)
    assert "s3cret" not in str(caught.value)


# TLS


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Key and certificate of hooks.example, which signs itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "hooks.example")])
    today = datetime.now(UTC)
    signed = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(today - timedelta(days=1))
        .not_valid_after(today + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("hooks.example")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path_factory.mktemp("tls") / "hooks.pem"
    pem = serialization.Encoding.PEM
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    path.write_bytes(private + signed.public_bytes(pem))
    return path


def test_tls_is_spoken_with_the_name_though_the_address_is_pinned(certificate: Path) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    asked: list[str | None] = []
    context.sni_callback = lambda _socket, name, _context: asked.append(name)
    trusting = ssl.create_default_context(cafile=str(certificate))
    with RawServer(lambda exchange: exchange.send(answer(b"ok")), context=context) as server:
        assert get(f"https://hooks.example:{server.port}/", ssl_context=trusting, https_only=True).content == b"ok"
        with pytest.raises(NetError, match=r"other\.example can't be reached: .*certificate") as caught:
            get(f"https://other.example:{server.port}/", ssl_context=trusting)
        with pytest.raises(NetError, match="self-signed certificate"):
            get(f"https://hooks.example:{server.port}/")
    assert asked == ["hooks.example", "other.example", "hooks.example"]
    assert not caught.value.permanent
    assert len(server.requests) == 1


# Proxies


@pytest.fixture
def proxy(server: RawServer, monkeypatch: pytest.MonkeyPatch) -> RawServer:
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{server.port}")
    return server


@pytest.mark.parametrize("names", [[], [PUBLIC]])
def test_a_proxy_gets_names_that_are_public_or_unknown_here(proxy: RawServer, names: list[str]) -> None:
    assert get("http://hooks.example/path", names, allowed=AllowedTargets()).content == b"ok"
    assert proxy.requests[0].startswith(b"GET http://hooks.example/path HTTP/1.1\r\n")


@pytest.mark.parametrize(
    ("host", "names"),
    [
        ("10.0.0.1", []),
        ("169.254.169.254", []),
        ("[::1]", []),
        ("localhost", []),
        ("db", []),
        ("db.prod.internal", []),
        ("metadata.google.internal", [PUBLIC]),
        ("hooks.example", ["10.0.0.1"]),
        ("hooks.example", [PUBLIC, "169.254.169.254"]),
    ],
)
def test_a_proxy_gets_nothing_that_is_blocked(proxy: RawServer, host: str, names: list[str]) -> None:
    with pytest.raises(BlockedTarget):
        get(f"http://{host}/", names, allowed=AllowedTargets())
    assert proxy.connections == 0


def test_a_proxy_gets_private_names_that_the_operator_opened(proxy: RawServer) -> None:
    assert get("http://db:8080/", [], allowed=AllowedTargets.parse(["db:8080"])).content == b"ok"
    assert get("http://db:8080/", ["10.0.0.1"], allowed=AllowedTargets.parse(["10.0.0.0/8"])).content == b"ok"


def test_a_proxy_does_not_wait_long_for_a_lookup(proxy: RawServer, monkeypatch: pytest.MonkeyPatch) -> None:
    async def never(host: str, port: int) -> Sequence[str]:
        await asyncio.Event().wait()
        return []

    monkeypatch.setattr(net, "PROXIED_LOOKUP_SECONDS", 0.05)
    assert get("http://hooks.example/", resolve=never).content == b"ok"


def test_it_says_that_the_proxy_refused(proxy: RawServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("https_proxy", f"http://127.0.0.1:{proxy.port}")
    proxy.script = lambda exchange: exchange.send(answer(b"", "403 Not allowed"))
    with pytest.raises(NetError, match=r"The proxy did not connect to hooks\.example: 403 Not allowed") as caught:
        get("https://hooks.example/", [PUBLIC])
    assert not caught.value.permanent
    assert proxy.requests[0].startswith(b"CONNECT hooks.example:443 HTTP/1.1\r\n")


@pytest.mark.parametrize("setting", ["socks5://me:s3cret@127.0.0.1:1080", "ftp://me:s3cret@127.0.0.1"])
def test_it_names_a_proxy_setting_that_it_cant_use(setting: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", setting)
    with pytest.raises(NetError, match="proxy setting can't be used") as caught:
        get("http://hooks.example/", [PUBLIC])
    assert "s3cret" not in str(caught.value)


def test_hosts_without_proxy_are_pinned(proxy: RawServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "hooks.example")
    assert get(f"http://hooks.example:{proxy.port}/path").content == b"ok"
    assert proxy.requests[0].startswith(b"GET /path HTTP/1.1\r\n")
    with pytest.raises(BlockedTarget):
        get("http://hooks.example/", ["10.0.0.1"])


# Models that users connect


def ask(url: str, transport: GuardedTransport) -> str:
    async def once() -> str:
        async with LLM(Endpoint(url), transport=transport, timeout=5) as llm:
            return (await llm.ask([{"role": "user", "content": "Hello"}], model="m")).text

    return asyncio.run(once())


def test_a_model_is_asked_through_the_same_way() -> None:
    with JudgeServer(lambda _: says("yes")) as judge:
        allowed = GuardedTransport(Policy(allowed=LOOPBACK, resolve=Names(["127.0.0.1"])))
        url = judge.url.replace("127.0.0.1", "models.example")
        assert "yes" in ask(url, allowed)
        with pytest.raises(LLMError, match="not public") as caught:
            ask(url, GuardedTransport(Policy(allowed=AllowedTargets(), resolve=Names(["127.0.0.1"]))))
        assert caught.value.permanent
        assert len(judge.asked) == 1


def test_a_model_cant_answer_with_a_bomb(server: RawServer) -> None:
    server.script = lambda exchange: exchange.send(answer(compress(b"{}"), Content_Encoding="gzip"))
    with pytest.raises(LLMError, match="compressed answer"):
        ask(
            f"http://models.example:{server.port}",
            GuardedTransport(Policy(allowed=LOOPBACK, resolve=Names(["127.0.0.1"]))),
        )
