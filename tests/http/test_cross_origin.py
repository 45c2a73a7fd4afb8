"""Cross-origin: the decision of the contract, rule by rule and in order."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sigra.http.cross_origin import is_refused, parse_origin

BASE = "https://example.com"
TRUSTED = frozenset({"https://app.example.org", "http://localhost:3000", "https://[2001:db8::1]:8443"})


def decide(scope, *, base_origin=BASE, session_cookie=False):
    return is_refused(scope, base_origin=base_origin, trusted_origins=TRUSTED, session_cookie=session_cookie)


def headers(origin=None, site=None):
    return [*([("origin", origin)] if origin is not None else []), *([("sec-fetch-site", site)] if site else [])]


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS", "TRACE"])
def test_hc35_a_safe_method_passes_from_anywhere(http_scope, method):
    assert not decide(http_scope(*headers("https://evil.test", "cross-site"), method=method))


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "get", "Get", "QUERY", "PROPFIND", ""])
def test_hc35_every_other_method_is_decided(http_scope, method):
    assert decide(http_scope(*headers("https://evil.test"), method=method))


@pytest.mark.parametrize(
    ("origin", "site", "refused"),
    [
        # 1. a trusted origin passes, whatever the browser says of the site
        ("https://app.example.org", None, False),
        ("https://app.example.org", "cross-site", False),
        ("https://app.example.org", "same-site", False),
        ("https://app.example.org", "garbage", False),
        ("https://APP.example.org", "cross-site", False),
        ("https://app.example.org:443", "cross-site", False),
        ("http://localhost:3000", "cross-site", False),
        ("https://[2001:DB8:0::1]:8443", "cross-site", False),
        # 2. the browser's word
        ("https://example.com", "same-origin", False),
        (None, "same-origin", False),
        (None, "none", False),
        ("null", "same-origin", False),
        ("https://example.com", "same-site", True),
        ("https://example.com", "cross-site", True),
        (None, "same-site", True),
        (None, "cross-site", True),
        (None, "Same-Origin", True),
        (None, "same-origin ", True),
        (None, "same-origin, same-origin", True),
        (None, "something-new", True),
        ("https://evil.test", "cross-site", True),
        # 3. our own origin, from a browser without that header
        ("https://example.com", None, False),
        ("https://EXAMPLE.com", None, False),
        ("https://example.com:443", None, False),
        # 4. any other origin
        ("null", None, True),
        ("", None, True),
        ("https://evil.test", None, True),
        ("http://example.com", None, True),
        ("https://example.com:444", None, True),
        ("https://example.com:0", None, True),
        ("https://example.com.evil.test", None, True),
        ("https://evil.test/https://example.com", None, True),
        ("https://evil-example.com", None, True),
        ("https://sub.example.com", None, True),
        ("https://example.com@evil.test", None, True),
        ("https://example.com.", None, True),
        ("https://example.com/", None, True),
        ("https://example.com\n", None, True),
        (" https://example.com", None, True),
        ("https://example.com https://example.com", None, True),
        ("https://app.example.org.evil.test", None, True),
        ("https://xapp.example.org", None, True),
        ("http://app.example.org", None, True),
        ("http://localhost", None, True),
        ("https://ex\xe4mple.com", None, True),
        ("https://\u0065xample.com\xa0", None, True),
        # 5. neither: no browser
        (None, None, False),
    ],
)
def test_hc35_the_first_rule_that_fits_holds(http_scope, origin, site, refused):
    scope = http_scope(*headers(origin, site))

    assert decide(scope) is refused
    assert decide(scope, session_cookie=True) is refused


def test_hc35_two_origins_are_no_origin(http_scope):
    trusted = ("origin", "https://app.example.org")

    assert decide(http_scope(trusted, trusted))
    assert decide(http_scope(trusted, ("origin", "https://evil.test"), ("sec-fetch-site", "same-origin")))


def test_hc35_a_doubled_site_is_no_word(http_scope):
    assert decide(http_scope(("sec-fetch-site", "same-origin"), ("sec-fetch-site", "same-origin")))
    assert decide(http_scope(("sec-fetch-site", "same-origin"), ("sec-fetch-site", "cross-site")))


@pytest.mark.parametrize(
    ("origin", "site", "cookie", "refused"),
    [
        ("https://app.example.org", "cross-site", True, False),
        ("https://example.com", None, True, False),
        ("https://evil.test", None, True, True),
        ("https://evil.test", None, False, True),
        ("null", None, True, True),
        (None, "same-origin", True, False),
        (None, "cross-site", True, True),
        (None, None, True, True),
        (None, None, False, False),
    ],
)
def test_hc35_a_websocket_handshake_is_never_safe(http_scope, origin, site, cookie, refused):
    scope = {**http_scope(*headers(origin, site), method="GET"), "type": "websocket"}

    assert decide(scope, session_cookie=cookie) is refused


@pytest.mark.parametrize(
    ("text", "origin"),
    [
        ("https://example.com", "https://example.com"),
        ("https://Example.COM/", "https://example.com"),
        ("HTTPS://example.com:443", "https://example.com"),
        ("http://example.com:80/", "http://example.com"),
        ("http://example.com:443", "http://example.com:443"),
        ("https://example.com:08443", "https://example.com:8443"),
        ("http://[::1]:3000", "http://[::1]:3000"),
        ("http://[0:0::0:1]:3000", "http://[::1]:3000"),
        ("http://127.0.0.1:8000", "http://127.0.0.1:8000"),
        ("https://xn--exmple-cua.com", "https://xn--exmple-cua.com"),
        ("capacitor://localhost", "capacitor://localhost"),
        ("chrome-extension://abcdefghijklmnop", "chrome-extension://abcdefghijklmnop"),
    ],
)
def test_a_trusted_origin_is_taken_as_browsers_write_it(text, origin):
    assert parse_origin(text) == origin
    assert parse_origin(origin) == origin


@pytest.mark.parametrize(
    "text",
    [
        "", "*", "null", "example.com", "//example.com", "https://", "https:///", "https://*.example.com",
        "https://example.com/path", "https://example.com//", "https://example.com?x", "https://example.com#x",
        "https://user@example.com", "https://example.com:", "https://example.com:0", "https://example.com:65536",
        "https://example.com:-1", "https://exämple.com", "https://example.com, https://example.org", "https://a b",
        "https://example.com\n", "https://example.com\\", "https://.example.com", "https://example..com",
        "https://[::1", "https://::1", "https://[::g]", "https://127.1", "https://1.2.3.4.5", "https://0x7f.1",
        "https://2130706433", "https://127.0.0.01", "https://a.b.0x1", "https://\uff45xample.com", "file:///x",
        "https://example.com:\u0664\u0664\u0663", "\u212aapacitor://localhost",
    ],
)  # fmt: skip
def test_hc35_what_is_not_one_origin_is_not_trusted(text):
    with pytest.raises(ValueError, match="is not an origin"):
        parse_origin(text)


@given(st.binary(max_size=40), st.binary(max_size=12))
def test_hc35_no_header_raises(origin, site):
    scope = {"type": "http", "method": "POST", "headers": [(b"origin", origin), (b"sec-fetch-site", site)]}

    assert decide(scope) or site in (b"same-origin", b"none")
