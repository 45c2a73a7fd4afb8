"""The client's address and scheme: only as much of the headers as the operator trusts."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sigra.errors import ConfigurationError
from sigra.http.client import TrustedProxies, subnet

PROXIES = TrustedProxies(["10.0.0.0/8", "2001:db8:ffff::/48", "192.0.2.10", " ::1 "])


def address(http_scope, peer, *forwarded, proxies=PROXIES):
    client = (peer, 5000) if peer is not None else None
    return proxies.client_address(http_scope(*(("x-forwarded-for", line) for line in forwarded), client=client))


@pytest.mark.parametrize(
    ("peer", "forwarded", "expected"),
    [
        # no trust, no header
        ("203.0.113.9", [], "203.0.113.9"),
        ("203.0.113.9", ["198.51.100.1"], "203.0.113.9"),
        ("10.0.0.1", [], "10.0.0.1"),
        # counted from the right
        ("10.0.0.1", ["198.51.100.1"], "198.51.100.1"),
        ("10.0.0.1", ["1.1.1.1, 198.51.100.1"], "198.51.100.1"),
        ("10.0.0.1", ["1.1.1.1, 10.9.9.9, 198.51.100.1, 10.0.0.2"], "198.51.100.1"),
        ("192.0.2.10", ["198.51.100.1"], "198.51.100.1"),
        ("192.0.2.11", ["198.51.100.1"], "192.0.2.11"),
        # several headers are one list
        ("10.0.0.1", ["1.1.1.1", "198.51.100.1"], "198.51.100.1"),
        ("10.0.0.1", ["198.51.100.1", "10.0.0.2"], "198.51.100.1"),
        # only proxies
        ("10.0.0.1", ["10.0.0.3, 10.0.0.2"], "10.0.0.3"),
        # garbage ends the walk at the last good one
        ("10.0.0.1", ["198.51.100.1, garbage"], "10.0.0.1"),
        ("10.0.0.1", ["198.51.100.1, garbage, 10.0.0.2"], "10.0.0.2"),
        ("10.0.0.1", ["198.51.100.1,, 10.0.0.2"], "10.0.0.2"),
        ("10.0.0.1", ["198.51.100.1, "], "10.0.0.1"),
        ("10.0.0.1", [""], "10.0.0.1"),
        ("10.0.0.1", ["unknown"], "10.0.0.1"),
        ("10.0.0.1", ["198.51.100.01"], "10.0.0.1"),
        ("10.0.0.1", ["3325256705"], "10.0.0.1"),
        ("10.0.0.1", ["198.51.100.1/24"], "10.0.0.1"),
        ("10.0.0.1", ["198.51.100.1:x"], "10.0.0.1"),
        ("10.0.0.1", ["[198.51.100.1"], "10.0.0.1"),
        ("10.0.0.1", ["for=198.51.100.1"], "10.0.0.1"),
        ("10.0.0.1", ["\xb9.1.1.1"], "10.0.0.1"),
        ("10.0.0.1", ["9" * 9000], "10.0.0.1"),
        # ports
        ("10.0.0.1", ["198.51.100.1:4711"], "198.51.100.1"),
        ("10.0.0.1", ["[2001:db8::9]:80"], "2001:db8::9"),
        ("10.0.0.1", ["[2001:db8::9]"], "2001:db8::9"),
        ("10.0.0.1", ["2001:db8::9"], "2001:db8::9"),
        # one client, one spelling
        ("10.0.0.1", ["2001:DB8:0:0::9"], "2001:db8::9"),
        ("10.0.0.1", ["::ffff:198.51.100.1"], "198.51.100.1"),
        ("10.0.0.1", ["::ffff:c633:6401"], "198.51.100.1"),
        ("10.0.0.1", ["[::ffff:198.51.100.1]:80"], "198.51.100.1"),
        ("10.0.0.1", ["fe80::1%eth0"], "fe80::1"),
        ("10.0.0.1", ["fe80::1%a%b"], "fe80::1"),
        ("::ffff:203.0.113.9", [], "203.0.113.9"),
        ("fe80::1%eth0", [], "fe80::1"),
        # a mapped or zoned proxy is that proxy
        ("::ffff:10.0.0.1", ["198.51.100.1"], "198.51.100.1"),
        ("10.0.0.1", ["198.51.100.1, ::ffff:10.0.0.2"], "198.51.100.1"),
        ("2001:db8:ffff::1", ["198.51.100.1"], "198.51.100.1"),
        ("::1", ["198.51.100.1"], "198.51.100.1"),
        # no peer
        (None, ["198.51.100.1"], "unknown"),
        ("", ["198.51.100.1"], "unknown"),
        ("testclient", ["198.51.100.1"], "unknown"),
    ],
)
def test_hc41_the_client_is_the_first_from_the_right_that_is_no_proxy(http_scope, peer, forwarded, expected):
    assert address(http_scope, peer, *forwarded) == expected


def test_hc41_without_proxies_no_header_is_believed(http_scope):
    nobody = TrustedProxies()
    scope = http_scope(("x-forwarded-for", "1.1.1.1"), ("x-forwarded-proto", "https"), client=("127.0.0.1", 1))

    assert nobody.client_address(scope) == "127.0.0.1"
    assert nobody.scheme(scope) == "http"


def test_hc41_a_mapped_network_is_its_ipv4_network(http_scope):
    proxies = TrustedProxies(["::ffff:10.0.0.0/104"])

    assert address(http_scope, "10.1.1.1", "198.51.100.1", proxies=proxies) == "198.51.100.1"
    assert address(http_scope, "11.1.1.1", "198.51.100.1", proxies=proxies) == "11.1.1.1"


@pytest.mark.parametrize(
    ("peer", "scheme", "said", "expected"),
    [
        ("10.0.0.1", "http", ["https"], "https"),
        ("10.0.0.1", "http", ["HTTPS"], "https"),
        ("10.0.0.1", "https", ["http"], "http"),
        ("10.0.0.1", "http", ["https, http"], "http"),
        ("10.0.0.1", "http", ["http", "https"], "https"),
        ("10.0.0.1", "http", ["javascript"], "http"),
        ("10.0.0.1", "https", [""], "https"),
        ("10.0.0.1", "https", [], "https"),
        ("203.0.113.9", "http", ["https"], "http"),
        (None, "http", ["https"], "http"),
    ],
)
def test_hc41_the_scheme_is_what_a_trusted_proxy_said(http_scope, peer, scheme, said, expected):
    client = (peer, 1) if peer else None
    scope = http_scope(*(("x-forwarded-proto", line) for line in said), client=client, scheme=scheme)

    assert PROXIES.scheme(scope) == expected


def test_a_websocket_behind_a_proxy_is_secure_as_the_page(http_scope):
    scope = http_scope(("x-forwarded-proto", "https"), client=("10.0.0.1", 1), scheme="ws")

    assert PROXIES.scheme({**scope, "type": "websocket"}) == "wss"


def test_hc37_a_forwarded_host_changes_nothing(http_scope):
    scope = http_scope(("x-forwarded-host", "evil.test"), ("forwarded", "for=1.1.1.1"), client=("10.0.0.1", 1))

    assert PROXIES.client_address(scope) == "10.0.0.1"


@pytest.mark.parametrize("network", ["*", "0.0.0.0/0", "::/0", "::ffff:0:0/96", " * "])
def test_hc49_everybody_is_no_trusted_proxy(network):
    with pytest.raises(ConfigurationError, match=r"SIGRA_TRUSTED_PROXIES: .* is everybody; name the proxies"):
        TrustedProxies(["10.0.0.1", network])


@pytest.mark.parametrize("network", ["", "nginx", "10.0.0.1/8", "10.0.0.0/33", "10.0.0.0-10.0.0.9", "10.0.0.1:80"])
def test_hc49_a_proxy_that_is_no_network_is_refused(network):
    with pytest.raises(ConfigurationError, match=r"SIGRA_TRUSTED_PROXIES: .* neither an address nor a network"):
        TrustedProxies([network])


@pytest.mark.parametrize(
    ("client", "counted"),
    [
        ("198.51.100.1", "198.51.100.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::1", "2001:db8:1:2::/64"),
        ("2001:db8:1:3::1", "2001:db8:1:3::/64"),
        ("::ffff:198.51.100.1", "198.51.100.1"),
        ("unknown", "unknown"),
    ],
)
def test_hc41_an_ipv6_client_is_counted_by_its_64(client, counted):
    assert subnet(client) == counted


@given(st.binary(max_size=60), st.binary(max_size=12))
def test_hc41_no_header_raises(forwarded, proto):
    headers = [(b"x-forwarded-for", forwarded), (b"x-forwarded-proto", proto)]
    scope = {"type": "http", "headers": headers, "client": ("10.0.0.1", 1), "scheme": "http"}

    assert PROXIES.client_address(scope)
    assert PROXIES.scheme(scope) in ("http", "https")
