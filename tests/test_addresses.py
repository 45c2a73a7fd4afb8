from contextlib import suppress

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from sigra.addresses import canonical_email, typed_email

LOOKALIKES = [
    ("Anna@Example.COM", "anna@example.com"),
    (" anna@example.com ", "anna@example.com"),
    ("anna\uff20example.com", "anna@example.com"),
    ("anna\ufe6bexample.com", "anna@example.com"),
    ("\uff41\uff4e\uff4e\uff41@\uff45xample.com", "anna@example.com"),
    ("m\u0131ke@example.com", "mike@example.com"),
    ("MIKE@EXAMPLE.COM", "mike@example.com"),
    ("\u212aim@example.com", "kim@example.com"),
    ("wei\u00df@example.com", "weiss@example.com"),
    ("wei\u1e9e@example.com", "weiss@example.com"),
    ("\ufb01@example.com", "fi@example.com"),
    ("e\u0301va@example.com", "\u00e9va@example.com"),
    ("\u0391\u03a3@example.com", "\u03b1\u03c3@example.com"),
    ("\u03b1\u03c2@example.com", "\u03b1\u03c3@example.com"),
    ("\u1fbc\u0342@example.com", "\u1fb6\u03b9@example.com"),
    ("\u1fb7@example.com", "\u1fb6\u03b9@example.com"),
    ("anna@b\u00fccher.example.com", "anna@xn--bcher-kva.example.com"),
    ("anna@B\u00dcCHER.example.com", "anna@xn--bcher-kva.example.com"),
    ("anna@XN--BCHER-KVA.example.com", "anna@xn--bcher-kva.example.com"),
    ("anna@fa\u00df.example.com", "anna@xn--fa-hia.example.com"),
    ("anna@example\u3002com", "anna@example.com"),
    ("anna@example\uff0ecom", "anna@example.com"),
]

REFUSED = [
    "",
    "anna",
    "@example.com",
    "anna@",
    "anna@example",
    "anna@test",
    "anna@example.com.",
    "anna.@example.com",
    ".anna@example.com",
    "an..na@example.com",
    "anna@@example.com",
    "anna@example.com\n",
    "anna@example.com\r\nBcc: eve@example.org",
    "an\nna@example.com",
    "anna\t@example.com",
    "anna\x00@example.com",
    "anna@example.com\x00",
    "anna\u200b@example.com",
    "anna\u202e@example.com",
    "anna\ud800@example.com",
    "anna @example.com",
    "anna\u00a0@example.com",
    '"anna"@example.com',
    '"an na"@example.com',
    "\uff02anna\uff02@example.com",
    "anna(comment)@example.com",
    "=?utf-8?q?eve=40example.org?=@example.com",
    "anna@example.com(comment)",
    "Anna <anna@example.com>",
    "<anna@example.com>",
    "anna@example.com,eve@example.org",
    "anna@example.com;eve@example.org",
    "anna@example.com\uff0ceve@example.org",
    "anna@127.0.0.1",
    "anna@[127.0.0.1]",
    "anna@[IPv6:::1]",
    "anna@-example.com",
    "anna@exa_mple.com",
    "a" * 65 + "@example.com",
    "anna@" + "b" * 64 + ".com",
    "a" * 100_000,
    "\ufdfa" * 60 + "@example.com",
    "\u00df" * 40 + "@example.com",
]


@pytest.mark.parametrize(("text", "canonical"), LOOKALIKES)
def test_hc07_what_differs_by_case_or_look_is_one_address(text, canonical):
    assert canonical_email(text) == canonical


@pytest.mark.parametrize("text", REFUSED)
def test_hc07_what_is_no_plain_address_is_refused(text):
    with pytest.raises(ValueError):  # noqa: PT011  many kinds, one meaning
        canonical_email(text)


def test_hc07_accents_and_scripts_are_no_look():
    addresses = ["anna@example.com", "\u00e0nna@example.com", "\u0430nna@example.com"]

    assert len({canonical_email(address) for address in addresses}) == 3


def test_an_address_has_at_most_254_octets():
    domain = ".".join(["b" * 60] * 3) + ".example"
    local = "\u00e9" * ((254 - len(domain) - 1) // 2)

    assert len(canonical_email(f"{local}@{domain}").encode()) <= 254
    with pytest.raises(ValueError, match="long"):
        canonical_email(f"{local}\u00e9@{domain}")


def test_the_typed_address_keeps_its_spelling():
    assert typed_email("  Anna.Wei\u00df@Example.COM ") == "Anna.Wei\u00df@Example.COM"


def test_hc07_an_address_that_is_only_one_after_folding_is_not_typed():
    with pytest.raises(ValueError, match="full-width"):
        typed_email("anna\uff20example.com")


letters = st.characters(codec="utf-8")


@settings(deadline=None)
@given(st.builds("{}@{}.{}".format, st.text(letters, max_size=12), st.text(letters, max_size=12), st.just("com")))
@example("\u0345\u03b9@x.com")
@example("\u1e9e\u0130\u0131@x.com")
@example("\u03f4@\u1e9e.com")
@example("\u0390\u1fd3\u01f0@x.com")
def test_hc07_the_canonical_form_is_canonical(text):
    try:
        canonical = canonical_email(text)
    except ValueError:
        return

    assert canonical_email(canonical) == canonical


@given(st.text(st.characters(categories=["L", "N"]), min_size=1, max_size=8))
def test_hc07_every_case_of_an_address_is_one_address(local):
    try:
        canonical = canonical_email(f"{local}@example.com")
    except ValueError:
        return

    assert canonical_email(f"{local.upper()}@example.com") == canonical
    assert canonical_email(f"{local.casefold()}@EXAMPLE.com") == canonical


@given(st.text(max_size=40))
def test_any_text_is_an_address_or_a_value_error(text):
    with suppress(ValueError):
        assert "@" in canonical_email(text)
