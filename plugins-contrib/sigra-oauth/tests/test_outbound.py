"""The way out: what may be asked, of whom, and how much of an answer is read."""

from __future__ import annotations

import asyncio
import gzip
import ipaddress
import re
import ssl
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import httpx2
import pytest
import trustme
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, RedirectResponse, Response, StreamingResponse
from starlette.routing import Route

from sigra_oauth import outbound
from sigra_oauth.addresses import Allowed, is_public, network_of
from sigra_oauth.errors import OAuthFailed, OAuthUnavailable
from sigra_oauth.outbound import MAXIMUM_BYTES, Outbound, checked, json_of
from tests.oauth.serving import Place, listening, served

NAME = "provider.example"
MIB = 1024 * 1024


async def hello(request: Request) -> Response:
    said = {"host": request.headers["host"], "cookie": request.headers.get("cookie"), "path": request.url.path}
    return JSONResponse(said, headers={"set-cookie": "kept=1; Path=/"})


async def elsewhere(_: Request) -> Response:
    return RedirectResponse("/hello", 302)


async def not_modified(_: Request) -> Response:
    return Response(status_code=304)


async def large(request: Request) -> Response:
    return PlainTextResponse("x" * (MAXIMUM_BYTES + int(request.query_params["more"])))


async def chunked(_: Request) -> Response:
    async def parts():
        for _ in range(64):
            yield b"x" * 65536

    return StreamingResponse(parts())


async def slow(_: Request) -> Response:
    async def parts():
        for _ in range(50):
            yield b" "
            await asyncio.sleep(0.02)
        yield b"{}"

    return StreamingResponse(parts())


BOMB = gzip.compress(b"0" * 4 * MIB)


async def bomb(_: Request) -> Response:
    return Response(BOMB, headers={"content-encoding": "gzip"})


async def status(request: Request) -> Response:
    return JSONResponse({"error": "no"}, int(request.path_params["code"]), headers={"retry-after": "7"})


async def text(_: Request) -> Response:
    return PlainTextResponse("<html>")


SITE = Starlette(
    routes=[
        Route("/hello", hello, methods=["GET", "POST"]),
        Route("/elsewhere", elsewhere, methods=["GET", "POST"]),
        Route("/not-modified", not_modified),
        Route("/large", large),
        Route("/chunked", chunked),
        Route("/slow", slow),
        Route("/bomb", bomb),
        Route("/status/{code}", status),
        Route("/text", text),
    ]
)


@dataclass
class Site:
    """A site over TLS on loopback, that a resolver of the test's finds."""

    port: int
    tls: ssl.SSLContext
    asked: list[str] = field(default_factory=list)
    addresses: list[Sequence[str]] = field(default_factory=list)

    async def resolve(self, host: str, _: int) -> Sequence[tuple[str, int]]:
        """The next of the addresses that the test has put there; loopback when there are none."""
        self.asked.append(host)
        found = self.addresses.pop(0) if self.addresses else ["127.0.0.1"]
        return [(address, self.port) for address in found]

    def way(self, *allowed: str) -> Outbound:
        return Outbound(resolve=self.resolve, tls=self.tls, allowed=Allowed(allowed or ("127.0.0.1",)))


@pytest.fixture(scope="session")
def secure() -> Iterator[tuple[int, ssl.SSLContext]]:
    authority, at = trustme.CA(), listening()
    server, client = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.create_default_context()
    authority.issue_cert(NAME).configure_cert(server)
    authority.configure_trust(client)
    with served(SITE, at, tls=server):
        yield at.getsockname()[1], client


@pytest.fixture
def site(secure: tuple[int, ssl.SSLContext]) -> Site:
    return Site(*secure)


@contextmanager
def refusing(pattern: str, kind: type[Exception] | tuple[type[Exception], ...] = OAuthFailed) -> Iterator[None]:
    """What the operator is told of it, whole."""
    with pytest.raises(kind) as refused:
        yield
    assert re.fullmatch(pattern, refused.value.reason)


PRIVATE = (
    "0.0.0.0",
    "10.0.0.1",
    "100.64.0.1",
    "127.0.0.1",
    "127.255.255.254",
    "169.254.169.254",
    "172.16.0.1",
    "192.0.0.8",
    "192.0.2.1",
    "192.88.99.1",
    "192.168.0.1",
    "198.18.0.1",
    "224.0.0.1",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::7f00:1",
    "::ffff:127.0.0.1",
    "::ffff:169.254.169.254",
    "::ffff:0:127.0.0.1",
    "64:ff9b::127.0.0.1",
    "64:ff9b::a9fe:a9fe",
    "64:ff9b:1::127.0.0.1",
    "100::1",
    "2001::1",
    "2001:db8::1",
    "2002:7f00:1::",
    "3fff::1",
    "5f00::1",
    "fc00::1",
    "fd00:ec2::254",
    "fe80::1",
    "fe80::1%eth0",
    "fec0::1",
    "ff02::1",
    "2606:4700::1111%eth0",
)


@pytest.mark.parametrize("address", PRIVATE)
def test_hc30_an_address_that_is_not_public_is_none(address: str) -> None:
    assert not is_public(ipaddress.ip_address(address))


@pytest.mark.parametrize("address", ["93.184.216.34", "2606:4700::1111", "::ffff:93.184.216.34", "64:ff9b::5db8:d822"])
def test_public_addresses_are_public(address: str) -> None:
    assert is_public(ipaddress.ip_address(address))


def test_allowed_are_hosts_addresses_and_networks() -> None:
    allowed = Allowed(["SSO.internal.", "10.1.2.3", "192.168.0.0/16", "fd00::/8"])

    assert [allowed.host(name) for name in ("sso.internal", "SSO.INTERNAL", "xsso.internal")] == [True, True, False]
    told = {text: allowed.address(ipaddress.ip_address(text)) for text in ("10.1.2.3", "10.1.2.4", "192.168.9.9")}
    assert told == {"10.1.2.3": True, "10.1.2.4": False, "192.168.9.9": True}
    assert allowed.address(ipaddress.ip_address("::ffff:192.168.9.9"))
    assert allowed.address(ipaddress.ip_address("fd12::1"))


def test_a_network_has_no_bits_behind_its_prefix() -> None:
    with pytest.raises(ValueError, match="host bits"):
        network_of("10.0.0.1/8")


SPELLINGS = (
    "https://127.0.0.1/hello",
    "https://127.1/hello",
    "https://0x7f.0.0.1/hello",
    "https://0177.0.0.1/hello",
    "https://2130706433/hello",
    "https://0/hello",
    "https://[::1]/hello",
    "https://[::ffff:127.0.0.1]/hello",
    "https://[::ffff:7f00:1]/hello",
    "https://[64:ff9b::7f00:1]/hello",
    "https://localhost/hello",
    "https://127.0.0.1./hello",
    "https://①②⑦.0.0.1/hello",
)


@pytest.mark.parametrize("url", SPELLINGS, ids=range(len(SPELLINGS)))
async def test_hc30_loopback_is_not_asked_however_it_is_spelt(url: str) -> None:
    with refusing(r".*which is not public.*|.*no URL|.*has no address", (OAuthFailed, OAuthUnavailable)):
        await Outbound().get_json(url)


@pytest.mark.parametrize(
    "url",
    [
        "http://provider.example/",
        "http://localhost/",
        "ftp://provider.example/",
        "file:///etc/passwd",
        "//provider.example/",
        "/path",
        "",
        "https://",
        "https://user@provider.example/",
        "https://provider.example/#part",
        "https://provider.example:99999/",
        "https://provider.example/\n",
        "https://" + "a" * 3000,
        "https://provider.example/\ud800",
        "https://prövider.example/",
        None,
        7,
    ],
    ids=range(17),
)
def test_hc30_only_https_is_asked(url: object) -> None:
    with pytest.raises(OAuthFailed):
        checked(url, development=False)


def test_in_development_http_is_asked_of_this_machine_alone() -> None:
    assert checked("http://localhost:9000/a", development=True) == "http://localhost:9000/a"
    assert checked("http://127.0.0.1:9000/a", development=True)
    with refusing("http://provider.example is not https"):
        checked("http://provider.example/", development=True)


async def test_in_development_this_machine_is_asked(place: Place) -> None:
    place.app = SITE

    told = await Outbound(development=True).get_json(f"{place.origin}/hello")

    assert told["path"] == "/hello"


async def test_hc30_a_name_that_becomes_loopback_is_not_asked_in_development_either(site: Site) -> None:
    way = Outbound(development=True, resolve=site.resolve, tls=site.tls)

    with refusing(r".* has the address 127\.0\.0\.1, which is not public: .*"):
        await way.get_json(f"https://{NAME}/hello")


async def test_a_site_is_asked_by_its_name(site: Site) -> None:
    told = await site.way().get_json(f"https://{NAME}/hello")

    assert told == {"host": NAME, "cookie": None, "path": "/hello"}


async def test_the_certificate_is_of_the_name(site: Site) -> None:
    with refusing(r"other\.example has a certificate that does not hold: Hostname mismatch.*", OAuthUnavailable):
        await site.way().get_json("https://other.example/hello")


async def test_hc30_a_certificate_that_nobody_vouches_for_is_none(site: Site) -> None:
    way = Outbound(resolve=site.resolve, allowed=Allowed(["127.0.0.1"]))

    with refusing(rf"{NAME} has a certificate that does not hold: .*", OAuthUnavailable):
        await way.get_json(f"https://{NAME}/hello")


async def test_certificates_are_held_against_ssl_cert_file(
    site: Site, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    authority = trustme.CA()
    bundle = tmp_path_factory.mktemp("ca") / "ca.pem"
    authority.cert_pem.write_to_path(str(bundle))
    monkeypatch.setenv("SSL_CERT_FILE", str(bundle))
    server, at = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), listening()
    authority.issue_cert(NAME).configure_cert(server)
    site.port = at.getsockname()[1]

    with served(SITE, at, tls=server):
        told = await Outbound(resolve=site.resolve, allowed=Allowed(["127.0.0.1"])).get_json(f"https://{NAME}/hello")

    assert told["host"] == NAME


async def test_hc30_a_name_is_looked_up_once_and_what_was_found_is_asked(site: Site) -> None:
    """Rebinding: whoever answers otherwise the second time is not asked a second time."""
    site.addresses = [["127.0.0.1"], ["127.0.0.2"]]
    way = site.way()

    await way.get_json(f"https://{NAME}/hello")
    once = list(site.asked)
    with refusing(r".* has the address 127\.0\.0\.2, which is not public: .*"):
        await way.get_json(f"https://{NAME}/hello")

    assert once == [NAME]


async def test_hc30_what_was_checked_is_asked_and_not_looked_up_again(site: Site) -> None:
    await site.way().get_json(f"https://{NAME}/hello")

    assert site.asked == [NAME]


async def test_hc30_a_name_with_one_private_address_is_not_asked_at_all(site: Site) -> None:
    site.addresses = [["127.0.0.1", "10.0.0.1"]]

    with refusing(r".* has the address 10\.0\.0\.1, which is not public: .*"):
        await site.way().get_json(f"https://{NAME}/hello")


async def test_the_next_address_is_asked_where_one_does_not_take_calls(site: Site) -> None:
    site.addresses = [["127.0.0.9", "127.0.0.1"]]

    assert await site.way("127.0.0.0/8").get_json(f"https://{NAME}/hello")


async def test_a_name_without_addresses_is_unavailable(site: Site) -> None:
    site.addresses = [[]]

    with refusing(f"{NAME} has no address", OAuthUnavailable):
        await site.way().get_json(f"https://{NAME}/hello")


async def test_a_name_that_is_none_is_unavailable() -> None:
    with refusing("nobody.invalid has no address", OAuthUnavailable):
        await Outbound().get_json("https://nobody.invalid/")


async def test_nobody_at_home_is_unavailable(site: Site) -> None:
    closed = listening()
    site.port = closed.getsockname()[1]
    closed.close()

    with refusing(f"{NAME} cannot be reached: ConnectError", OAuthUnavailable):
        await site.way().get_json(f"https://{NAME}/hello")


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_hc30_a_redirect_is_not_followed(site: Site, method: str) -> None:
    with refusing(f"{NAME} answered 302, and redirects are not followed"):
        await site.way().get_json(f"https://{NAME}/elsewhere", method=method)


async def test_hc30_nothing_that_is_said_to_be_known_is_taken(site: Site) -> None:
    with refusing(f"{NAME} answered 304, and redirects are not followed"):
        await site.way().get_json(f"https://{NAME}/not-modified")


async def test_hc30_a_mebibyte_is_read_and_no_more(site: Site) -> None:
    async with site.way().client() as client:
        whole = await client.get(f"https://{NAME}/large?more=0")
        with pytest.raises(OAuthFailed) as refused:
            await client.get(f"https://{NAME}/large?more=1")

    assert len(whole.content) == MIB == MAXIMUM_BYTES
    assert refused.value.reason == f"{NAME} answered with more than {MIB} bytes"


async def test_hc30_an_answer_that_does_not_say_how_long_it_is_is_read_no_longer(site: Site) -> None:
    with refusing(f"{NAME} answered with more than {MIB} bytes"):
        await site.way().get_json(f"https://{NAME}/chunked")


async def test_hc30_nothing_is_unpacked(site: Site) -> None:
    with refusing(f"{NAME} answered compressed, which was not asked for"):
        await site.way().get_json(f"https://{NAME}/bomb")


async def test_hc30_an_answer_drop_by_drop_is_too_slow(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every part comes in time; the whole does not."""
    monkeypatch.setattr(outbound, "SECONDS", 0.3)

    with refusing(f"{NAME} did not answer within .*", OAuthUnavailable):
        await site.way().get_json(f"https://{NAME}/slow")


async def test_hc30_a_look_up_without_end_is_too_slow(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbound, "SECONDS", 0.1)

    async def never(*_: object) -> Sequence[tuple[str, int]]:
        await asyncio.Event().wait()
        raise AssertionError

    with pytest.raises(OAuthUnavailable):
        await Outbound(resolve=never, tls=site.tls).get_json(f"https://{NAME}/hello")


def test_a_request_has_five_seconds() -> None:
    assert outbound.SECONDS == 5
    assert outbound.CONNECT_SECONDS < outbound.SECONDS


@pytest.mark.parametrize("code", [500, 502, 503, 429])
async def test_what_says_that_it_cannot_now_is_unavailable(site: Site, code: int) -> None:
    with refusing(f"{NAME} answered {code}", OAuthUnavailable):
        await site.way().get_json(f"https://{NAME}/status/{code}")


@pytest.mark.parametrize("path", ["status/201", "status/400", "status/401", "status/404", "text"])
async def test_another_answer_is_none(site: Site, path: str) -> None:
    with pytest.raises(OAuthFailed):
        await site.way().get_json(f"https://{NAME}/{path}")


async def test_hc30_cookies_are_not_kept(site: Site) -> None:
    way = site.way()

    async with way.client() as client:
        first = await client.get(f"https://{NAME}/hello")
        second = await client.get(f"https://{NAME}/hello")
    third = await way.get_json(f"https://{NAME}/hello")

    assert "set-cookie" not in first.headers
    assert (second.json()["cookie"], third["cookie"]) == (None, None)


async def test_hc30_proxies_of_the_environment_are_not_asked(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.9:1")

    try:
        told = await site.way().get_json(f"https://{NAME}/hello")
    except httpx2.HTTPError:
        told = None
    assert told


def test_one_way_out_serves_one_loop_after_the_other(site: Site) -> None:
    way = site.way()

    for _ in range(2):
        assert asyncio.run(way.get_json(f"https://{NAME}/hello"))


@pytest.mark.parametrize("content", ["", "{", "NaN", '{"a": Infinity}', "[" * 100_000, "\xff", "1" * 5000, b"\xff\xfe"])
def test_hc30_what_is_no_json_is_refused(content: str | bytes) -> None:
    with refusing("the answer is no JSON"):
        json_of(content, "the answer")


async def test_what_was_sent_is_in_no_reason(site: Site) -> None:
    async with site.way().client() as client:
        with pytest.raises(OAuthFailed) as refused:
            await client.post(f"https://{NAME}/elsewhere?token=s3cret", data={"client_secret": "s3cret"})

    assert "s3cret" not in repr(refused.value) + refused.value.reason + str(refused.value)
