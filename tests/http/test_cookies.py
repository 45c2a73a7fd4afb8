"""Cookies: one strict form in, one strict form out."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sigra.http.cookies import LIMIT, set_cookie, values
from sigra.models import Cookie
from sigra.settings import Settings

NAME = "__Host-sigra"
SECURE = Settings(secret_keys=["k" * 32], base_url="https://example.com")
LOCAL = Settings(secret_keys=["k" * 32], base_url="http://localhost:8000")


def read(http_scope, *headers, name=NAME):
    return values(http_scope(*(("cookie", header) for header in headers)), name)


def test_a_cookie_is_found_among_others(http_scope):
    assert read(http_scope, "a=1; __Host-sigra=abc-_.123; b=2") == ["abc-_.123"]


def test_an_absent_cookie_is_no_value(http_scope):
    assert read(http_scope) == []
    assert read(http_scope, "a=__Host-sigra") == []


def test_hc34_two_cookies_of_one_name_are_both_seen_in_one_header_and_over_two(http_scope):
    assert read(http_scope, "__Host-sigra=a; __Host-sigra=b") == ["a", "b"]
    assert read(http_scope, "__Host-sigra=a", "__Host-sigra=b") == ["a", "b"]


@pytest.mark.parametrize("name", ["__host-sigra", "__Host-sigra2", "x__Host-sigra", "=__Host-sigra", "sigra", "$Path"])
def test_hc34_another_name_is_not_ours(http_scope, name):
    assert read(http_scope, f"{name}=a") == []


@pytest.mark.parametrize("blank", [b"\xa0", b"\x85", b"\x0b", b"\x0c", b"\x1c", b"\x00", b"\xe2\x80\x80"])
def test_hc34_a_name_behind_a_blank_that_browsers_keep_is_not_ours(http_scope, blank):
    assert read(http_scope, blank + b"__Host-sigra=planted") == []


@pytest.mark.parametrize(
    "value",
    [b'"abc"', b'"', b"a b", b"a,b", b"a\\b", b"\xff\xfe", "é".encode(), b"a\x00b", b"a\tb", b"\x7f", b'"\\141"'],
)
def test_hc34_a_value_that_is_not_our_form_is_present_and_bad(http_scope, value):
    assert read(http_scope, b"__Host-sigra=" + value) == [""]


def test_hc34_a_quoted_value_does_not_hide_the_pairs_in_it(http_scope):
    assert read(http_scope, 'a="x; __Host-sigra=b; c="') == ["b"]


@pytest.mark.parametrize("header", ["__Host-sigra", "__Host-sigra=", "; ;;__Host-sigra=;", " __Host-sigra = "])
def test_hc34_an_empty_value_is_present_and_bad(http_scope, header):
    assert read(http_scope, header) == [""]


def test_hc34_an_oversized_value_is_present_and_bad(http_scope):
    longest = "a" * (LIMIT - len(NAME))

    assert read(http_scope, f"__Host-sigra={longest}") == [longest]
    assert read(http_scope, f"__Host-sigra={longest}a") == [""]


@pytest.mark.parametrize("header", [b'a=%b"', b'a%b"', b'a=b%b"', b'%b"', b'a="%b'])
def test_hc43_a_header_of_blanks_is_gone_through_once(header):
    scope = {"type": "http", "headers": [(b"cookie", header % (b" " * 8_000))]}

    begun = time.perf_counter()
    found = values(scope, "a")

    assert found in ([""], [])
    assert time.perf_counter() - begun < 0.5


@given(st.lists(st.binary(max_size=64), max_size=4))
def test_hc34_no_cookie_header_raises(headers):
    scope = {"type": "http", "headers": [(b"cookie", header) for header in headers]}

    assert all(value.isascii() for value in values(scope, "a"))


def test_hc34_over_https_a_cookie_is_host_only_secure_and_not_for_scripts():
    header = set_cookie(Cookie("sigra", "abc", 60), SECURE)

    assert header == "__Host-sigra=abc; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age=60"


def test_hc34_over_http_on_localhost_a_cookie_is_bare_and_not_secure():
    header = set_cookie(Cookie("sigra", "abc"), LOCAL)

    assert header == "sigra=abc; Path=/; HttpOnly; SameSite=Lax"


@pytest.mark.parametrize("settings", [SECURE, LOCAL], ids=["https", "localhost"])
def test_hc31_a_cookie_of_other_sites_forms_is_secure_wherever_it_is_set(settings):
    header = set_cookie(Cookie("sigra", "abc", cross_site=True), settings)

    assert header == f"{settings.cookie_name('sigra')}=abc; Path=/; Secure; HttpOnly; SameSite=None"


def test_age_zero_deletes_for_old_browsers_too():
    header = set_cookie(Cookie("sigra", "", 0), SECURE)

    assert header.endswith("; Max-Age=0; Expires=Thu, 01 Jan 1970 00:00:00 GMT")


@pytest.mark.parametrize(
    "cookie",
    [
        Cookie("sigra", "a;Domain=example.com"),
        Cookie("sigra", "a\r\nSet-Cookie: b=c"),
        Cookie("sigra", "a b"),
        Cookie("sigra", 'a"'),
        Cookie("sigra", "é"),
        Cookie("sigra", "a\n"),
        Cookie("sigra", "a" * LIMIT),
        Cookie("sigra", "a", -1),
        Cookie("si=gra", "a"),
        Cookie("si gra", "a"),
        Cookie("si\ngra", "a"),
    ],
)
def test_hc34_an_impossible_cookie_is_refused(cookie):
    with pytest.raises(ValueError, match="the cookie"):
        set_cookie(cookie, SECURE)


def test_an_impossible_cookie_is_refused_without_telling_its_value():
    with pytest.raises(ValueError, match="sigra") as raised:
        set_cookie(Cookie("sigra", "se cret"), SECURE)

    assert "se cret" not in str(raised.value)


@given(st.text(st.characters(codec="ascii"), max_size=40))
def test_what_is_set_is_read_back(value):
    try:
        header = set_cookie(Cookie("sigra", value), SECURE)
    except ValueError:
        return

    assert values({"headers": [(b"cookie", header.partition(";")[0].encode())]}, NAME) == [value]
