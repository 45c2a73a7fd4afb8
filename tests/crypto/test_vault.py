"""The vault: what is sealed opens where it was put, and nowhere else."""

import subprocess
import sys
import uuid
from collections.abc import Callable

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Column, Integer, LargeBinary, MetaData, Table

from sigra.crypto import Vault
from sigra.crypto.keys import subkey
from sigra.errors import SealBroken, Unavailable

OLD = "old-key-old-key-old-key-old-key-"
NEW = "new-key-new-key-new-key-new-key-"
ROW = uuid.UUID("01890000-0000-7000-8000-000000000001")
SECRET = b"JBSWY3DPEHPK3PXP"


def column(table: str = "sigra_totp", name: str = "seed") -> Column[bytes]:
    made: Column[bytes] = Column(name, LargeBinary)
    Table(table, MetaData(), Column("id", Integer, primary_key=True), made)
    return made


SEED = column()


def opened(vault: Vault, sealed: bytes, at: Column[bytes] = SEED, id: object = ROW) -> bytes | Exception:
    """What opens, or why it does not."""
    try:
        return vault.open(at, id, sealed)
    except Exception as error:  # noqa: BLE001  (any other than ours is a fault)
        return error


def refused(vault: Vault, sealed: bytes, at: Column[bytes] = SEED, id: object = ROW) -> str:
    """What the log is told of a value that does not open."""
    error = opened(vault, sealed, at, id)
    assert type(error) is SealBroken
    assert error.__cause__ is None
    assert SECRET.decode() not in repr(error)
    return str(error)


# The format


def test_hc22_a_sealed_value_is_version_key_id_nonce_and_what_any_aes_gcm_opens() -> None:
    sealed = Vault([NEW], random=lambda count: b"n" * count).seal(SEED, ROW, SECRET)

    header, nonce = sealed[:9], b"n" * 12
    place = f"sigra_totp\0seed\0{ROW}".encode()
    assert header[:1] == b"\x01"
    assert sealed == header + nonce + AESGCM(subkey(NEW, b"vault")).encrypt(nonce, SECRET, header + place)
    assert len(sealed) == 1 + 8 + 12 + len(SECRET) + 16


def test_hc22_sealed_values_open_across_releases() -> None:
    """Whoever changes the format keeps the old one readable."""
    assert opened(Vault([NEW, OLD]), bytes.fromhex(STORED)) == SECRET


STORED = "017fed927b493f7052000102030405060708090a0bdb62c4856ea4dc4dda46523c716a5123ff80fa75ecb8c1ded705a3f8b160feea"


@given(st.binary(max_size=4096), st.uuids() | st.integers() | st.text(st.characters(exclude_categories=["Cs"])))
def test_what_was_sealed_opens(content: bytes, id: object) -> None:
    assert Vault([NEW]).open(SEED, id, Vault([NEW]).seal(SEED, id, content)) == content


def test_a_text_and_what_it_stands_for_are_one_row() -> None:
    """A column of UUIDs gives the same text on every database."""
    assert Vault([NEW]).open(SEED, ROW, Vault([NEW]).seal(SEED, str(ROW), SECRET)) == SECRET


def test_hc22_nothing_of_the_content_is_seen_and_no_two_values_are_alike() -> None:
    vault = Vault([NEW])
    values = {vault.seal(SEED, ROW, SECRET) for _ in range(100)}

    assert len(values) == len({value[9:21] for value in values}) == len({value[21:] for value in values}) == 100
    assert not any(SECRET in value for value in values)


def test_hc22_no_key_of_the_vault_is_one_of_another_use() -> None:
    used = {subkey(NEW, use) for use in (b"vault", b"vault id", b"digest", b"derive", b"sign")}

    assert len({*used, NEW.encode()}) == 6


# Moved, changed, under other keys


@pytest.mark.parametrize(
    ("at", "id"),
    [
        (SEED, uuid.UUID(int=ROW.int + 1)),
        (column(name="other"), ROW),
        (column(table="sigra_other"), ROW),
        (column(table="sigra_tot", name="pseed"), ROW),
        (column(name=f"seed{str(ROW)[0]}"), str(ROW)[1:]),
    ],
    ids=["row", "column", "table", "where table and column meet", "where column and row meet"],
)
def test_hc22_what_was_moved_does_not_open(at: Column[bytes], id: object) -> None:
    vault = Vault([NEW])

    told = refused(vault, vault.seal(SEED, ROW, SECRET), at, id)

    assert (
        told == f"The value of {at.table.name}.{at.name} in the row {id} was sealed elsewhere, or it was changed since."
    )


@given(st.data())
def test_hc22_no_changed_byte_is_overlooked(data: st.DataObject) -> None:
    vault = Vault([NEW, OLD])
    sealed = bytearray(vault.seal(SEED, ROW, SECRET))
    place = data.draw(st.integers(0, len(sealed) - 1))
    sealed[place] ^= data.draw(st.integers(1, 255))

    refused(vault, bytes(sealed))


@given(st.data())
def test_hc22_what_was_cut_or_prolonged_does_not_open(data: st.DataObject) -> None:
    vault = Vault([NEW])
    sealed = vault.seal(SEED, ROW, SECRET)
    cut = sealed[: data.draw(st.integers(0, len(sealed) - 1))]

    refused(vault, cut)
    refused(vault, sealed + data.draw(st.binary(min_size=1)))


@pytest.mark.parametrize("key", [OLD, NEW + "x", ""], ids=["old", "longer", "none"])
def test_hc22_another_key_s_name_on_a_value_does_not_open_it(key: str) -> None:
    """The header is authenticated: a value cannot be passed off as another key's."""
    theirs, ours = Vault([key]).seal(SEED, ROW, SECRET), Vault([NEW]).seal(SEED, ROW, SECRET)

    refused(Vault([NEW]), ours[:9] + theirs[9:])


@pytest.mark.parametrize(
    "junk", [b"", b"\x01", b"\x01" * 9, b"\x01" * 37, b"\x00" * 64, SECRET], ids=lambda one: one.hex()
)
def test_hc22_junk_does_not_open(junk: bytes) -> None:
    refused(Vault([NEW]), junk)


def test_hc23_the_first_key_seals_and_every_key_opens() -> None:
    old, both, new = Vault([OLD]), Vault([NEW, OLD]), Vault([NEW])
    before, after = old.seal(SEED, ROW, SECRET), both.seal(SEED, ROW, SECRET)

    assert (opened(both, before), opened(both, after), opened(new, after)) == (SECRET, SECRET, SECRET)
    assert refused(new, before).endswith("was sealed under a key that is not in SIGRA_SECRET_KEYS.")
    assert (before.startswith(both.first), after.startswith(both.first)) == (False, True)


def test_a_key_that_is_there_twice_changes_nothing() -> None:
    assert Vault([NEW, OLD, NEW]).open(SEED, ROW, Vault([NEW]).seal(SEED, ROW, SECRET)) == SECRET


# What is told


def test_hc21_the_vault_shows_no_key() -> None:
    shown = repr(Vault([NEW, OLD]))

    assert shown == "Vault(2 keys)"


def test_whoever_asks_is_told_to_come_back_and_nothing_else() -> None:
    error = SealBroken("sigra_totp", "seed", ROW, "elsewhere")

    assert (error.status, error.code, error.detail) == (503, "unavailable", Unavailable.detail)
    assert error.headers == {"retry-after": "5"}


def test_who_seals_nothing_does_not_load_the_library() -> None:
    code = (
        "import sys; from sigra import Sigra; from sigra.testing import cheap_settings; "
        "Sigra(cheap_settings(), ['sessions', 'password']); print('cryptography' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)

    assert done.stdout == "False\n"


@pytest.mark.parametrize("random", [lambda count: b"a" * count, lambda count: b"b" * count], ids=["a", "b"])
def test_randomness_comes_by_argument(random: Callable[[int], bytes]) -> None:
    assert Vault([NEW], random=random).seal(SEED, ROW, SECRET)[9:21] == random(12)
