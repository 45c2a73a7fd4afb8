"""New secrets and their checksums."""

import base64
import re
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sigra.crypto import has_checksum, new_secret, with_checksum

PREFIX = "sigra_sk_"
CHARACTERS = st.characters() | st.integers(0xD800, 0xDFFF).map(chr)
"""Lone surrogates too, which JSON can carry."""
KEY = "sigra_sk_" + "A" * 43 + "C8XEnQ"


def test_secret_has_256_bits_in_43_characters() -> None:
    secret = new_secret(lambda count: b"\xff" * count)

    assert secret == "_" * 42 + "8"


def test_secrets_differ() -> None:
    assert len({new_secret() for _ in range(1_000)}) == 1_000


@given(st.binary(min_size=32, max_size=32))
def test_every_secret_with_its_checksum_is_well_formed(data: bytes) -> None:
    key = with_checksum(PREFIX, new_secret(lambda _: data))

    assert re.fullmatch(r"sigra_sk_[A-Za-z0-9_-]{49}", key)
    assert has_checksum(PREFIX, key)


def test_keys_stay_well_formed_across_releases() -> None:
    assert with_checksum(PREFIX, new_secret(bytes)) == KEY
    assert has_checksum(PREFIX, KEY)


@given(st.integers(0, len(KEY) - 1), CHARACTERS)
def test_one_changed_character_is_told(place: int, character: str) -> None:
    changed = KEY[:place] + character + KEY[place + 1 :]

    assert has_checksum(PREFIX, changed) == (changed == KEY)


@pytest.mark.parametrize(
    "text",
    [
        "",
        PREFIX,
        KEY[:-1],
        KEY + "A",
        KEY + "\n",
        " " + KEY,
        KEY.removeprefix(PREFIX),
        PREFIX + KEY,
        KEY.upper(),
        KEY.replace("sigra_sk_", "SIGRA_SK_"),
        KEY.replace("sigra_sk_", "sigra_sK_"),
        KEY.translate({ord("A"): "\uff21"}),
        KEY + "\0",
        "\ud800" + KEY,
        PREFIX + "\ud800" * 49,
        PREFIX + "\0" * 49,
        KEY * 100_000,
    ],
)
def test_hc25_other_forms_are_refused(text: str) -> None:
    assert not has_checksum(PREFIX, text)


def checksum(text: str) -> str:
    """What anybody can compute."""
    return base64.urlsafe_b64encode(zlib.crc32(text.encode()).to_bytes(4, "big")).rstrip(b"=").decode()


@pytest.mark.parametrize(
    "secret", ["A" * 42, "A" * 44, "A" * 42 + "=", "A" * 42 + "+", "A" * 42 + "\n", "A" * 42 + "\0"]
)
def test_hc25_a_right_checksum_does_not_excuse_a_wrong_form(secret: str) -> None:
    text = PREFIX + secret

    assert not has_checksum(PREFIX, text + checksum(text))
    with pytest.raises(ValueError, match="new_secret"):
        with_checksum(PREFIX, secret)


@pytest.mark.parametrize("prefix", ["sigra_rt_", "SIGRA_SK_"])
def test_hc18_checksum_holds_for_its_prefix_alone(prefix: str) -> None:
    other = with_checksum(prefix, new_secret(bytes))

    assert not has_checksum(PREFIX, other)
    assert not has_checksum(PREFIX, PREFIX + other.removeprefix(prefix))


@given(st.text(CHARACTERS))
def test_hc43_any_text_can_be_asked_about(text: str) -> None:
    assert not has_checksum(PREFIX, PREFIX + text)
