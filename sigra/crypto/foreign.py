"""Password hashes of other libraries: read, bounded and checked, so that nobody has to set a new password to move here.

A scheme is an algorithm; each is known in the spellings of Django, passlib and pwdlib (which fastapi-users uses). What
it costs is counted in its own unit, so that what a stored hash costs less than its scheme's budget can be made up for.
"""

from __future__ import annotations

import binascii
import hashlib
import hmac
import re
from base64 import b64decode, b64encode
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from argon2.exceptions import HashingError
from argon2.low_level import Type, core, ffi

MAXIMUM_MEMORY = 256 * 2**20
"""Bytes that one hash may take: what the libraries' defaults take is 100 MiB at most."""

BCRYPT_BYTES = 72
"""All that bcrypt reads of a password (Provos and Mazières, "A Future-Adaptable Password Scheme", section 3)."""

ARGON2_OK = 0
"""What `argon2_ctx` returns when it has computed (argon2.h)."""

_Matches = Callable[[bytes], bool]


class BrokenHash(Exception):
    """Raised for a stored hash that has a scheme's form and cannot be computed, or not at a sane cost."""


@dataclass(frozen=True, slots=True)
class ForeignHash:
    """A stored hash, read.

    Args:
        scheme: The algorithm.
        cost: What one computation costs, in the scheme's unit.
        matches: Compute it for the bytes of a password.
    """

    scheme: str
    cost: int
    matches: _Matches = field(repr=False)


def read_hash(text: str) -> ForeignHash | None:
    """The hash behind a stored text, None when it has the form of no scheme.

    Raises:
        BrokenHash: Its parameters are none that the algorithm takes, or it asks for too much memory.
    """
    for form, make in _FORMS.items():
        found = re.fullmatch(form, text, re.ASCII)
        if found is not None:
            return make(found)
    return None


def spend(scheme: str, cost: int) -> None:
    """Do work of `cost` for nobody, as nearly as the scheme's parameters can say it."""
    _SPENDING[scheme](cost)


# bcrypt, in units of its rounds: 2 to the power of the cost that is written


_BCRYPT = r"\$2[aby]\$(?P<cost>\d\d)\$[./A-Za-z0-9]{53}"
_BCRYPT_SHA256 = r"(?P<ident>2[aby]),(?:r=)?(?P<cost>\d{1,2})\$(?P<salt>[./A-Za-z0-9]{22})\$(?P<tag>[./A-Za-z0-9]{31})"


def _bcrypt(found: re.Match[str]) -> ForeignHash:
    """The plain form: what is above 72 bytes does not count, as in every library that made one."""
    return _bcrypt_of(found["hash"], int(found["cost"]), lambda secret: secret[:BCRYPT_BYTES])


def _django_bcrypt_sha256(found: re.Match[str]) -> ForeignHash:
    """Django, `BCryptSHA256PasswordHasher`: bcrypt of the hexadecimal digest."""
    return _bcrypt_of(found["hash"], int(found["cost"]), lambda secret: hashlib.sha256(secret).hexdigest().encode())


def _passlib_bcrypt_sha256(found: re.Match[str]) -> ForeignHash:
    """passlib, `bcrypt_sha256`: bcrypt of a digest in base64, keyed by the salt since version 2."""
    cost, salt = int(found["cost"]), found["salt"].encode()

    def keyed(secret: bytes) -> bytes:
        return b64encode(hmac.digest(salt, secret, "sha256"))

    def bare(secret: bytes) -> bytes:
        return b64encode(hashlib.sha256(secret).digest())

    hash = f"${found['ident']}${cost:02}${found['salt']}{found['tag']}"
    return _bcrypt_of(hash, cost, keyed if found["version"] else bare)


def _bcrypt_of(hash: str, cost: int, prepared: Callable[[bytes], bytes]) -> ForeignHash:
    if not 4 <= cost <= 31:
        raise BrokenHash
    import bcrypt  # noqa: PLC0415  (an extra: only who has such hashes needs it)

    return ForeignHash("bcrypt", 2**cost, lambda secret: bcrypt.checkpw(prepared(secret), hash.encode()))


def _spend_bcrypt(cost: int) -> None:
    import bcrypt  # noqa: PLC0415

    # Any cost is a sum of powers of two, and bcrypt does those from the fourth.
    for power in range(4, cost.bit_length()):
        if cost >> power & 1:
            bcrypt.hashpw(b"", f"$2b${power:02}${'.' * 22}".encode())


# PBKDF2 (RFC 8018, section 5.2), in iterations


def _django_pbkdf2(found: re.Match[str]) -> ForeignHash:
    return _pbkdf2_of(found["digest"], found, found["salt"].encode())


def _passlib_pbkdf2(found: re.Match[str]) -> ForeignHash:
    return _pbkdf2_of(found["digest"] or "sha1", found, _decoded(found["salt"]))


def _pbkdf2_of(digest: str, found: re.Match[str], salt: bytes) -> ForeignHash:
    iterations, tag = int(found["cost"]), _decoded(found["tag"])
    if iterations < 1 or len(tag) != hashlib.new(digest).digest_size:
        raise BrokenHash

    def matches(secret: bytes) -> bool:
        return hmac.compare_digest(tag, hashlib.pbkdf2_hmac(digest, secret, salt, iterations))

    return ForeignHash(f"pbkdf2_{digest}", iterations, matches)


def _spend_pbkdf2(digest: str) -> Callable[[int], None]:
    def spend(cost: int) -> None:
        if cost > 0:
            hashlib.pbkdf2_hmac(digest, b"", b"", cost)

    return spend


# scrypt (RFC 7914), in blocks: N times r times p


def _django_scrypt(found: re.Match[str]) -> ForeignHash:
    return _scrypt_of(int(found["n"]), found, found["salt"].encode())


def _passlib_scrypt(found: re.Match[str]) -> ForeignHash:
    return _scrypt_of(2 ** int(found["ln"]), found, _decoded(found["salt"]))


def _scrypt_of(n: int, found: re.Match[str], salt: bytes) -> ForeignHash:
    r, p, tag = int(found["r"]), int(found["p"]), _decoded(found["tag"])
    if n < 2 or n & (n - 1) or r < 1 or p < 1 or len(tag) not in (32, 64) or _scrypt_memory(n, r, p) > MAXIMUM_MEMORY:
        raise BrokenHash

    def matches(secret: bytes) -> bool:
        return hmac.compare_digest(tag, _scrypt(secret, salt, n, r, p, len(tag)))

    return ForeignHash("scrypt", n * r * p, matches)


def _scrypt(secret: bytes, salt: bytes, n: int, r: int, p: int, length: int) -> bytes:
    return hashlib.scrypt(secret, salt=salt, n=n, r=r, p=p, dklen=length, maxmem=_scrypt_memory(n, r, p) + 2**20)


def _scrypt_memory(n: int, r: int, p: int) -> int:
    return 128 * r * (n + p + 2)


def _spend_scrypt(cost: int) -> None:
    r = 8
    while cost >= 2 * r:
        n = min(2**14, 2 ** ((cost // r).bit_length() - 1))
        p = cost // (n * r)
        _scrypt(b"", b"", n, r, p, 64)
        cost -= n * r * p


# Argon2 (RFC 9106), in KiB times passes


def _argon2(found: re.Match[str]) -> ForeignHash:
    memory, time, lanes = int(found["m"]), int(found["t"]), int(found["p"])
    salt, tag = _decoded(found["salt"]), _decoded(found["tag"])
    fits = time >= 1 and lanes >= 1 and 8 * lanes <= memory <= MAXIMUM_MEMORY // 1024
    if not fits or len(salt) < 8 or not 4 <= len(tag) <= 128 or found["version"] not in ("16", "19"):
        raise BrokenHash
    kind, version = Type[found["kind"].upper()], int(found["version"])

    def matches(secret: bytes) -> bool:
        return hmac.compare_digest(tag, _argon2_tag(secret, salt, time, memory, lanes, len(tag), kind, version))

    return ForeignHash("argon2", memory * time, matches)


def _argon2_tag(
    secret: bytes, salt: bytes, time: int, memory: int, lanes: int, length: int, kind: Type, version: int
) -> bytes:
    """The tag, computed in this thread alone: lanes of their own threads would take more cores than the queue gives."""
    out, password, salted = ffi.new("uint8_t[]", length), ffi.new("uint8_t[]", secret), ffi.new("uint8_t[]", salt)
    context: Any = ffi.new(
        "argon2_context *",
        {
            "version": version,
            "out": out,
            "outlen": length,
            "pwd": password,
            "pwdlen": len(secret),
            "salt": salted,
            "saltlen": len(salt),
            "secret": ffi.NULL,
            "secretlen": 0,
            "ad": ffi.NULL,
            "adlen": 0,
            "t_cost": time,
            "m_cost": memory,
            "lanes": lanes,
            "threads": 1,
            "allocate_cbk": ffi.NULL,
            "free_cbk": ffi.NULL,
            "flags": 0,
        },
    )
    if core(context, kind.value) != ARGON2_OK:
        raise HashingError("argon2 could not be computed")
    return bytes(ffi.buffer(out, length))


def _spend_argon2(cost: int) -> None:
    memory = min(cost // 2, MAXIMUM_MEMORY // 2048)
    if memory >= 8:
        _argon2_tag(b"", bytes(16), cost // memory, memory, 1, 32, Type.ID, 19)


def _decoded(text: str) -> bytes:
    """Base64 with or without padding; passlib writes a dot for the plus."""
    bare = text.rstrip("=").replace(".", "+")
    try:
        return b64decode(bare + "=" * (-len(bare) % 4), validate=True)
    except binascii.Error:
        raise BrokenHash from None


_SALT = r"(?P<salt>[!-#%-~]{1,128})"
_DATA = r"(?P<salt>[./+A-Za-z0-9]{1,128})\$(?P<tag>[./+A-Za-z0-9]{1,128})"
_TAG = r"(?P<tag>[+/A-Za-z0-9]{1,128}={0,2})"

_FORMS: Mapping[str, Callable[[re.Match[str]], ForeignHash]] = MappingProxyType(
    {
        rf"(?:bcrypt\$)?(?P<hash>{_BCRYPT})": _bcrypt,
        rf"bcrypt_sha256\$(?P<hash>{_BCRYPT})": _django_bcrypt_sha256,
        rf"\$bcrypt-sha256\$(?P<version>v=2,t=)?{_BCRYPT_SHA256}": _passlib_bcrypt_sha256,
        rf"pbkdf2_(?P<digest>sha1|sha256)\$(?P<cost>\d{{1,10}})\${_SALT}\${_TAG}": _django_pbkdf2,
        rf"\$pbkdf2(?:-(?P<digest>sha256|sha512))?\$(?P<cost>\d{{1,10}})\${_DATA}": _passlib_pbkdf2,
        rf"scrypt\$(?P<n>\d{{1,10}})\${_SALT}\$(?P<r>\d{{1,6}})\$(?P<p>\d{{1,6}})\${_TAG}": _django_scrypt,
        rf"\$scrypt\$ln=(?P<ln>\d{{1,2}}),r=(?P<r>\d{{1,6}}),p=(?P<p>\d{{1,6}})\${_DATA}": _passlib_scrypt,
        r"(?:argon2)?\$argon2(?P<kind>id|i|d)\$v=(?P<version>\d\d)"
        rf"\$m=(?P<m>\d{{1,10}}),t=(?P<t>\d{{1,10}}),p=(?P<p>\d{{1,6}})\${_DATA}": _argon2,
    }
)

_SPENDING: Mapping[str, Callable[[int], None]] = MappingProxyType(
    {
        "bcrypt": _spend_bcrypt,
        "pbkdf2_sha1": _spend_pbkdf2("sha1"),
        "pbkdf2_sha256": _spend_pbkdf2("sha256"),
        "pbkdf2_sha512": _spend_pbkdf2("sha512"),
        "scrypt": _spend_scrypt,
        "argon2": _spend_argon2,
    }
)
