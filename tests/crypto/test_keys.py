"""The key ring: digests by purpose and key, signed values, rotation."""

import hashlib
import hmac
from base64 import urlsafe_b64decode
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sigra.crypto import KeyRing, new_secret
from sigra.crypto.keys import hkdf

OLD = "old-key-old-key-old-key-old-key-"
NEW = "new-key-new-key-new-key-new-key-"
NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
ANY_TEXT = st.text(st.characters() | st.integers(0xD800, 0xDFFF).map(chr))
"""Lone surrogates too, which JSON can carry."""


def at(moment: datetime, *keys: str) -> KeyRing:
    return KeyRing(keys or (NEW,), clock=lambda: moment)


def test_hkdf_gives_the_published_vector() -> None:
    # RFC 5869, appendix A.1, first block.
    okm = hkdf(bytes.fromhex("0b" * 22), bytes.fromhex("000102030405060708090a0b0c"), bytes(range(0xF0, 0xFA)))

    assert okm.hex() == "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf"


def test_digest_is_hmac_of_purpose_zero_byte_and_secret() -> None:
    key = hkdf(NEW.encode(), b"sigra", b"digest")

    digest = KeyRing((NEW,)).digest("session", "secret")

    assert digest == hmac.digest(key, b"session\0secret", hashlib.sha256)


def test_stored_digests_stay_valid_across_releases() -> None:
    digest = KeyRing((NEW,)).digest("session", "secret")

    assert digest.hex() == "05de99a77782784d7bd5f41a0522672f9ca5d70e29ce317dff885b36fda98b86"


def test_hc18_digest_of_one_purpose_is_none_of_another() -> None:
    ring = KeyRing((NEW,))

    assert ring.digest("session", "secret") != ring.digest("api_key", "secret")


def test_hc18_no_purpose_runs_into_the_secret() -> None:
    ring = KeyRing((NEW,))

    assert ring.digest("a", "bc") != ring.digest("ab", "c")


@pytest.mark.parametrize("call", ["digest", "digests", "sign"])
def test_hc18_purpose_with_a_nul_is_refused(call: str) -> None:
    with pytest.raises(ValueError, match="NUL"):
        getattr(KeyRing((NEW,)), call)("session\0", "secret")


def test_hc22_digest_needs_the_key() -> None:
    assert KeyRing((NEW,)).digest("session", "secret") != KeyRing((OLD,)).digest("session", "secret")


def test_hc22_digest_is_made_under_no_key_as_it_is_configured() -> None:
    digest = KeyRing((NEW,)).digest("session", "secret")

    assert digest != hmac.digest(NEW.encode(), b"session\0secret", hashlib.sha256)


def test_hc23_first_key_digests_and_every_key_is_tried_in_order() -> None:
    rotated = KeyRing((NEW, OLD))

    digests = rotated.digests("session", "secret")

    assert digests == [KeyRing((NEW,)).digest("session", "secret"), KeyRing((OLD,)).digest("session", "secret")]
    assert rotated.digest("session", "secret") == digests[0]


def test_hc23_digest_of_a_retired_key_is_found_no_more() -> None:
    stored = KeyRing((OLD,)).digest("session", "secret")

    assert stored in KeyRing((NEW, OLD)).digests("session", "secret")
    assert stored not in KeyRing((NEW,)).digests("session", "secret")


def test_digesting_leaves_the_ring_as_it_was() -> None:
    ring = KeyRing((NEW,))

    first = ring.digest("session", "secret")

    assert ring.digest("session", "secret") == first


@given(ANY_TEXT)
def test_hc43_any_text_has_a_digest_and_matches_no_secret(text: str) -> None:
    ring, secret = KeyRing((NEW, OLD)), new_secret(bytes)

    digests = ring.digests("session", text)

    assert (ring.digest("session", secret) in digests) == (text == secret)


@pytest.mark.parametrize("other", ["a", "a?", "a\udfff", "a\\ud800"])
def test_hc43_lone_surrogate_is_no_other_text(other: str) -> None:
    ring = KeyRing((NEW,))

    assert ring.digest("session", "a\ud800") != ring.digest("session", other)


@given(ANY_TEXT, ANY_TEXT)
def test_hc43_different_texts_have_different_digests(one: str, other: str) -> None:
    ring = KeyRing((NEW,))

    assert (ring.digest("session", one) == ring.digest("session", other)) == (one == other)


def test_ring_without_a_key_is_refused() -> None:
    with pytest.raises(ValueError, match="needs a key"):
        KeyRing(())


def test_hc21_repr_shows_no_key() -> None:
    ring = KeyRing((NEW, OLD))

    assert repr(ring) == "KeyRing(2 keys)"


@pytest.mark.parametrize("value", [{"next": "/ü", "n": [1, None]}, "text", 0, [], "\ud800", "x" * 5_000])
def test_signed_value_comes_back(value: object) -> None:
    ring = at(NOON)

    text = ring.sign("state", value)

    assert ring.unsign("state", text, HOUR) == value
    assert set(text) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.")


def test_hc18_value_signed_for_one_purpose_is_none_for_another() -> None:
    text = at(NOON).sign("state", "value")

    assert at(NOON).unsign("trusted", text, HOUR) is None


@pytest.mark.parametrize(("age", "value"), [(HOUR, "value"), (HOUR + timedelta(seconds=1), None)])
def test_signed_value_expires(age: timedelta, value: str | None) -> None:
    text = at(NOON).sign("state", "value")

    assert at(NOON + age).unsign("state", text, HOUR) == value


def test_value_signed_in_the_future_is_refused() -> None:
    text = at(NOON + timedelta(minutes=1)).sign("state", "value")

    assert at(NOON).unsign("state", text, HOUR) is None


def test_hc23_value_signed_with_an_old_key_is_read_until_the_key_is_retired() -> None:
    text = at(NOON, OLD).sign("state", "value")

    assert at(NOON, NEW, OLD).unsign("state", text, HOUR) == "value"
    assert at(NOON, NEW).unsign("state", text, HOUR) is None


def test_hc23_first_key_signs() -> None:
    text = at(NOON, NEW, OLD).sign("state", "value")

    assert at(NOON, NEW).unsign("state", text, HOUR) == "value"


def test_signature_is_hmac_sha256_under_a_key_of_its_own() -> None:
    signed, signature = at(NOON).sign("state", "value").rsplit(".", 1)

    key = hmac.digest(hkdf(NEW.encode(), b"sigra", b"sign"), b"state", hashlib.sha256)
    assert urlsafe_b64decode(signature + "=") == hmac.digest(key, signed.encode(), hashlib.sha256)


@pytest.mark.parametrize("change", [lambda text: text[:-2], lambda text: "x" + text, lambda text: text.swapcase()])
def test_changed_text_is_refused(change: Callable[[str], str]) -> None:
    text = at(NOON).sign("state", "value")

    assert at(NOON).unsign("state", change(text), HOUR) is None


@pytest.mark.parametrize("text", ["", ".", "..", "\0", "\ud800", "\u00e9", "a.b.c", "." * 1_000_000])
def test_hc43_text_of_another_form_is_refused(text: str) -> None:
    assert at(NOON).unsign("state", text, HOUR) is None


@given(ANY_TEXT | st.from_regex(r"[\w.-]{0,40}\.[\w-]{0,12}\.[\w-]{0,50}", fullmatch=True))
def test_hc43_any_text_can_be_unsigned_and_is_refused(text: str) -> None:
    assert at(NOON).unsign("state", text, HOUR) is None
