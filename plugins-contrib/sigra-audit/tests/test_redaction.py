"""What may stand in a row: bounded, one line, no secret, whatever a plugin puts into its event."""

import json
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from enum import Enum

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sigra_audit.redaction import METADATA_BYTES, identifier, is_secret, metadata_text, plain

TOKEN = "Zm9vYmFyYmF6cXV4cXV1eGNvcmdlZ3JhdWx0Z2FycGx"
assert len(TOKEN) == 43


def cleaned(metadata):
    return json.loads(metadata_text(metadata, lambda _: "email:1234"))


@pytest.mark.parametrize(
    "secret",
    [
        TOKEN,
        f"see {TOKEN}.",
        f"https://app.example.com/auth/verify#token={TOKEN}",
        "https://app.example.com/#token=short",
        f"sigra_sk_{TOKEN}abcdef",
        "sigra_sk_short",
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln",
        "$argon2id$v=19$m=8,t=1,p=1$c2FsdA$aGFzaA",
        "$2b$12$abcdefghijklmnopqrstuv",
        "Authorization: Bearer abc123",
        "Basic YTpi",
        "postgresql://sigra:hunter2@db/app",
        "a=1&password=hunter2&b=2",
        "code=12345678",
        "ABCD-EFGH-IJKL-MNOP-QRST-UV27",
        "typed abcd-efgh-ijkl-mnop-qrst-uv27, twice",
        "ABCDEFGHIJKLMNOPQRSTUV27",
        f"{TOKEN}{TOKEN}",
    ],
)
@pytest.mark.parametrize("place", ["value", "key", "list", "deep"])
def test_hc21_a_secret_is_seen_by_its_form(secret, place):
    wrapped = {
        "value": {"text": secret},
        "key": {secret: 1},
        "list": {"text": ["a", [secret]]},
        "deep": {"a": {"b": ({"c": secret},)}},
    }
    text = metadata_text(wrapped[place], lambda _: "email:1234")

    assert "[redacted]" in text
    for word in (
        TOKEN[:20],
        "hunter2",
        "short",
        "c2ln",
        "aGFzaA",
        "abcdefghij",
        "abc123",
        "YTpi",
        "12345678",
        "UV27",
        "uv27",
    ):
        assert word not in text or word not in secret


@pytest.mark.parametrize(
    "name",
    [
        "password", "new_password", "currentPassword", "PASSWORD", "passwd", "pwd", "secret", "client_secret", "token",
        "login_token", "refreshToken", "authorization", "cookie", "set-cookie", "api_key", "apiKey", "private_key",
        "key", "otp_secret", "jwt", "credential", "hash", "digest", "salt",
    ],
)  # fmt: skip
def test_hc21_a_secret_is_seen_by_its_name(name):
    assert cleaned({"a": [{name: "hunter2"}]}) == {"a": [{name: "[redacted]"}]}
    assert cleaned({name: {"any": "thing"}}) == {name: "[redacted]"}
    assert cleaned({name: 1234}) == {name: "[redacted]"}


@pytest.mark.parametrize("name", ["code", "otp", "pin", "recovery_codes", "totpCode"])
def test_hc21_a_code_is_seen_by_its_name_and_form(name):
    assert "12345678" not in metadata_text({name: "12345678"}, str)
    assert "12345678" not in metadata_text({name: 12345678}, str)
    assert "12345678" not in metadata_text({name: ["12345678", {"a": 1}]}, str)


@pytest.mark.parametrize(
    "typed", ["abcd efgh ijkl mnop qrst uv27", "abcdefghijklmnopqrstuv27", "ABCD-EFGHIJKLMNOPQRSTUV27"]
)
def test_hc21_a_recovery_code_is_seen_however_it_was_typed(typed):
    assert cleaned({"recovery_code": typed}) == {"recovery_code": "[redacted]"}
    assert cleaned({"codes": [typed, "few"]}) == {"codes": ["[redacted]", "few"]}


@pytest.mark.parametrize(
    "harmless",
    [
        {"method": "password", "amr": ["pwd"], "carrier": "token", "kinds": ["mfa"]},
        {"api_keys": False, "token_id": "5", "key_id": str(uuid.UUID(int=5)), "session": str(uuid.UUID(int=1))},
        {"reason": "password_changed", "fields": ["name", "locale"], "code": "not_found", "status_code": 404},
        {"erase_at": "2026-01-01T00:00:00Z", "n": 1.5, "none": None, "yes": True},
        {"method": "recovery_code", "remaining": 9, "word": "A" * 23},
    ],
)
def test_what_is_no_secret_stays(harmless):
    assert cleaned(harmless) == harmless


def test_half_a_token_at_the_end_of_a_long_text_is_no_form_and_goes():
    text = "a " * 2040 + TOKEN

    assert TOKEN[:12] not in metadata_text({"text": text}, str)
    assert TOKEN[:12] not in metadata_text({"text": (TOKEN + " ") * 200}, str)


def test_addresses_are_pseudonyms():
    assert cleaned({"email": "ada@example.com", "to": "Ada <ada@example.com>, b@c"}) == {
        "email": "email:1234",
        "to": "Ada <email:1234>, email:1234",
    }


class Raising(Mapping):
    def __getitem__(self, key):
        raise KeyError(key)

    def __iter__(self):
        raise RuntimeError("no")

    def __len__(self):
        return 1


class Loud(str):
    __slots__ = ()

    def __str__(self):
        raise RuntimeError("no")


class Colour(Enum):
    RED = "red"


class Lying:
    @property
    def __class__(self):
        raise RuntimeError("no")

    def __repr__(self):
        return "hunter2"


def circle():
    found: dict = {}
    found["self"] = found
    return found


@pytest.mark.parametrize(
    "value",
    [
        Raising(), Loud("text"), Loud, object(), circle(), b"hunter2", bytearray(b"hunter2"), {1, 2}, float("nan"),
        float("-inf"), 10**5000, Colour.RED, uuid.UUID(int=3), datetime(2026, 1, 1, tzinfo=UTC), lambda: 1, ...,
        "\ud800", "\x00", [[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]], {"a": {b"hunter2": 1}}, {None: 1, 2: 3}, range(10**9),
        iter([1]),
    ],
    ids=lambda value: type(value).__name__,
)  # fmt: skip
def test_hc47_no_value_keeps_a_row_from_being_made(value):
    for metadata in (value, {"a": value}, [value]):
        text = metadata_text(metadata, str)

        assert isinstance(json.loads(text), dict)
        assert "hunter2" not in text


def test_an_id_of_any_size_is_text():
    assert identifier(7) == "7"
    assert identifier(10**5000) == "[int]"


def raised_by(metadata):
    try:
        metadata_text(metadata, str)
    except RuntimeError as error:
        return error
    return None


def test_hc47_a_value_that_lies_about_itself_does_not_either():
    # Looked at by an assertion, it would raise there.
    outcomes = [raised_by({"a": Lying()}), raised_by(Lying())]

    assert outcomes == [None, None]


anything = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text() | st.binary() | st.uuids() | st.datetimes(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.integers(), inner) | st.tuples(inner),
)


@given(anything)
def test_any_metadata_is_one_short_line_of_ascii_json(metadata):
    text = metadata_text(metadata, str)

    assert len(text) <= METADATA_BYTES
    assert all(" " <= char <= "~" for char in text)
    assert isinstance(json.loads(text), dict)


@pytest.mark.parametrize(
    "long",
    [
        {f"k{n}": "x " * 500 for n in range(100)},
        {"a": "\U0001f600" * 100_000},
        {"a": [{"b": "\x00" * 1000}] * 300},
        {f"{n}" * 200: n for n in range(400)},
        {"a": list(range(100_000))},
        [["x"] * 1000] * 1000,
    ],
    ids=["members", "emoji", "nuls", "keys", "numbers", "lists"],
)
def test_what_is_too_long_is_cut_and_stays_json(long):
    text = metadata_text(long, str)

    assert len(text) <= METADATA_BYTES
    assert isinstance(json.loads(text), dict)


def test_members_are_kept_in_order_as_long_as_there_is_room():
    kept = cleaned({"first": 1, **{f"k{n}": "x " * 400 for n in range(20)}})

    assert kept["first"] == 1
    assert kept["[cut]"] is True
    assert "k0" in kept
    assert "k19" not in kept


@given(st.text())
def test_hc38_a_text_of_a_column_is_one_printable_line(text):
    said = plain(text, 64)

    assert said is not None
    assert said.isprintable()
    assert len(said) <= 64


@pytest.mark.parametrize(
    "text", ["a\nb", "a\r\nb", "\x1b[31m", "\u202eevil", "\u2028", "\x9b", "\x7f", "\u2066", "\ufeff"]
)
def test_hc38_what_a_terminal_or_a_log_obeys_is_escaped(text):
    assert text not in plain(text, 64)
    assert "\\u" in plain(text, 64)
    assert text not in metadata_text({"a": text, text: 1}, str)


def test_a_name_that_only_names_something_about_a_secret_is_none():
    assert not is_secret("token_id")
    assert not is_secret("password_changed_at")
    assert is_secret("token_identity")
