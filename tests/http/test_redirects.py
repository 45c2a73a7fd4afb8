"""Redirect targets: a path of this origin, as a browser parses it."""

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sigra.http.redirects import LIMIT, safe_next

BASE = "https://example.com"

OWN = [
    ("/", "/"),
    ("/account", "/account"),
    ("/account?tab=keys&x=1#top", "/account?tab=keys&x=1#top"),
    ("/a//b", "/a//b"),
    ("/a/...", "/a/..."),
    ("/.well-known/x", "/.well-known/x"),
    ("/?next=//evil.test", "/?next=//evil.test"),
    ("/?next=https://evil.test/../..", "/?next=https://evil.test/../.."),
    ("/#//evil.test", "/#//evil.test"),
    ("/a?b=\\evil.test", "/a?b=%5Cevil.test"),
    ("/a b", "/a%20b"),
    ("/caf\xe9?q=\u2713", "/caf%C3%A9?q=%E2%9C%93"),
    ("/caf%C3%A9", "/caf%C3%A9"),
    ("/\uff0f\uff0fevil.test", "/%EF%BC%8F%EF%BC%8Fevil.test"),
    ("/@evil.test", "/@evil.test"),
    ("/x:evil", "/x:evil"),
    ('/"><script>', "/%22%3E%3Cscript%3E"),
    ("https://example.com/account", "/account"),
    ("https://example.com/account?x#y", "/account?x#y"),
]

FOREIGN = [
    "", " ", "account", "?x", "#x", "?//evil.test", "#//evil.test", ".", "..", "./x", "../x",
    # another host
    "//evil.test", "///evil.test", "////evil.test", "//evil.test/..", "//", "//example.com", "//example.com@evil.test",
    "https://evil.test", "http://example.com/", "https:evil.test", "https:/evil.test", "https:///evil.test",
    "https:\\\\evil.test", "HTTPS://EVIL.test", "http:/evil.test", "//0x7f.1", "//[::1]", "ftp://evil.test",
    # backslash is slash
    "/\\evil.test", "\\\\evil.test", "\\/evil.test", "/\\/evil.test", "\\evil.test", "//\\evil.test",
    "/a\\..\\\\evil.test",
    # what browsers drop
    "/\t/evil.test", "/\n/evil.test", "/\r/evil.test", "\t//evil.test", " //evil.test", "/\t\\evil.test",
    "\x00//evil.test",
    "\x1f//evil.test", "//evil.test\t", "/ev\nil", "/\x7f", "/\x00", "ht\ntps://evil.test", "java\tscript:alert(1)",
    # dot segments that leave an empty one in front
    "/.//evil.test", "/..//evil.test", "/./\\evil.test", "/%2e//evil.test", "/%2E%2e//evil.test", "/.%2e//evil.test",
    "/a/..//evil.test", "/a/../../..//evil.test", "/a/.", "/..", "/%2e", "/a/%2e%2E/b",
    # encoded slashes in front
    "/%2fevil.test", "/%2Fevil.test", "/%5cevil.test", "/%5Cevil.test", "%2f%2fevil.test", "%2fevil.test",
    "/%09/evil.test", "/%0A%2Fevil.test", "/%0d%09%5cevil.test",
    # no http at all
    "javascript:alert(1)", "JavaScript:alert(1)", "data:text/html,x", "vbscript:x", "mailto:x",
    "blob:https://example.com/x",
    "view-source:https://example.com", "x:/account",
    # look-alikes of our own
    "https://example.com", "https://example.com.evil.test/", "https://example.com@evil.test/",
    "https://example.comevil/",
    "https://example.com:443@evil.test/", "https://example.com:8443/", "https://example.com\\@evil.test/",
    "https://user@example.com/", "https://evil.test/https://example.com/", "https://evil.test#https://example.com/",
    "https://example.com//evil.test", "https://example.com/\\evil.test", "https://example.com/.//evil.test",
    "https://\uff45xample.com/", "https://example\u3002com/", "https://example.com%2eevil.test/",
    "https://examp1e.com/",
    # not text
    "/\ud800", "/a\udfff?x",
    # headers
    "/a\r\nset-cookie: x=y", "/a\r\n\r\n<script>", "/a\nlocation: //evil.test",
    # size
    "/" + "a" * LIMIT, "/" + "\xe9" * (LIMIT // 3),
]  # fmt: skip


@pytest.mark.parametrize(("target", "path"), OWN)
def test_hc36_a_path_of_this_origin_is_taken(target, path):
    assert safe_next(target, BASE) == path
    assert safe_next(path, BASE) == path


@pytest.mark.parametrize("target", FOREIGN)
def test_hc36_anything_else_is_not(target):
    assert safe_next(target, BASE) is None


def test_hc36_no_target_is_none():
    assert safe_next(None, BASE) is None


def test_hc36_the_longest_target_is_taken():
    assert safe_next("/" + "a" * (LIMIT - 1), BASE) == "/" + "a" * (LIMIT - 1)


def stays(reference: str) -> bool:
    """Whether a browser at an https origin, given the reference, stays there (WHATWG URL, basic URL parser)."""
    reference = re.sub(r"[\t\n\r]", "", reference.strip("".join(map(chr, range(33)))))
    if re.match(r"[A-Za-z][A-Za-z0-9+.-]*:", reference):
        return False
    return not re.match(r"[/\\]{2}", reference)


def normalised(path: str) -> str:
    """The path after dot segments are gone (WHATWG URL, path state)."""
    kept: list[str] = []
    *segments, last = re.split(r"[/\\]", re.split(r"[?#]", path)[0])[1:]
    for segment in [*segments, last]:
        plain = re.sub("%2e", ".", segment, flags=re.IGNORECASE)
        kept = kept[:-1] if plain == ".." else kept if plain == "." else [*kept, segment]
    return "/" + "/".join(kept)


@given(
    st.lists(
        st.sampled_from(
            ["/", "\\", ".", "..", "%2e", "%2f", "%5C", ":", "@", "?", "#", "\t", "\n", " ", "e", "https", "\xe9"]
        ),
        max_size=8,
    ).map("".join)
)
@example("/.//e")
def test_hc36_what_is_taken_stays_on_the_origin(target):
    taken = safe_next(target, BASE)

    assert taken is None or (stays(taken) and not normalised(taken).startswith("//"))


@given(st.text(max_size=30).map("/".__add__))
def test_hc36_what_is_taken_is_a_header_value_and_taken_again(target):
    taken = safe_next(target, BASE)

    assert taken is None or (re.fullmatch(r"[\x21-\x7e]+", taken) and stays(taken) and safe_next(taken, BASE) == taken)
