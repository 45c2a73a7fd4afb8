"""What may stand in a row: no secret, no address in the clear, nothing that a terminal, a log or a spreadsheet obeys.

An event may be of a plugin that nobody knew when this was written: whatever it carries, a row is made of it.
"""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Callable, Iterable, Mapping
from datetime import date, timedelta
from enum import Enum
from typing import Any

REDACTED = "[redacted]"
CUT = "…[cut]"

METADATA_BYTES = 8192
TEXT_LENGTH = 1024
"""Characters of one text within the metadata."""
DEPTH = 8
BREADTH = 500
"""Values in all; what comes after is cut."""
DIGITS = 256
"""Bits of a number; Python refuses to write very long ones down (CVE-2020-10735)."""

_SECRET_NAMES = (
    "password", "passwd", "passphrase", "secret", "token", "authorization", "cookie", "credential", "apikey",
    "privatekey", "accesskey", "signature", "verifier",
)  # fmt: skip
"""Wherever they stand in a key."""

_SECRET_WORDS = frozenset({"pwd", "pass", "jwt", "bearer", "digest", "hash", "salt", "nonce", "mac", "totp", "seed"})
"""As one of the words of a key."""

_CODE_WORDS = frozenset({"code", "codes", "otp", "pin", "digits"})
"""What stands under them is a secret when it looks like a code."""

_HARMLESS_ENDS = ("_id", "_ids", "_at", "_count", "_kind", "_type", "_kinds")
"""Of a key that names something about a secret, not the secret itself."""

_CODE = re.compile(
    r"(?<!\w)[0-9]{6,10}(?!\w)"
    r"|(?<!\w)[A-Za-z0-9]{4}(?:[ -]?[A-Za-z0-9]{4}){5}(?!\w)"  # a recovery code, as it may be typed
)
_WORDS = re.compile(r"[A-Z]?[a-z]+|[A-Z]+|[0-9]+")

_FORMS = re.compile(
    r"sigra_[a-z]{2}_[A-Za-z0-9_-]+"  # our keys, with their checksum or without
    r"|#token=[^\s\"'<>]*"  # the fragment of a mailed link
    r"|eyJ[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]*)?"  # a signed token (RFC 7519, section 3.1)
    r"|\$(?:argon2\w*|2[abxy]|pbkdf2[\w-]*|scrypt|[156y])\$\S*"  # a stored password (the PHC string format)
    r"|(?<=://)[^\s/@]+@"  # user and password of a URL (RFC 3986, section 3.2.1)
    r"|(?<![\w-])[A-Za-z0-9]{4}(?:-[A-Za-z0-9]{4}){5}(?![\w-])"  # a recovery code, as it is written
    r"|(?<!\w)[A-Z2-7]{24}(?!\w)"  # the same without dashes (RFC 4648, section 6)
    r"|(?<![A-Za-z0-9_-])[A-Za-z0-9_-]{43,}"  # 256 bits in base64url, which all our tokens are (RFC 4648, section 5)
    r"|(?i:\b(?:bearer|basic)\s+[^\s,;]+)"  # the value of a header (RFC 9110, section 11.6.2)
    r"|(?i:\b(?:password|passwd|secret|token|api[_-]?key|code)=[^\s&\"'<>]+)"  # a field of a form or a query
)

_EMAIL = re.compile(r"[^\s@<>\"'(),:;\[\]\\=/]{1,64}@[^\s@<>\"'(),:;\[\]\\=/]{1,253}")
"""Sooner too much than too little: what is no address is not missed."""

_LAST_WORD = re.compile(r"\S*\Z")

Pseudonym = Callable[[str], str]
"""What stands for an e-mail address: the same for the same one, and not to be turned back."""


def metadata_text(metadata: object, pseudonym: Pseudonym) -> str:
    """The metadata as a JSON object of at most 8 KiB, all ASCII; whatever it was.

    Too long, its members are kept in their order as long as there is room, and `"[cut]": true` says that some are not.
    """
    try:
        cleaned = _Cleaner(pseudonym).value(metadata, "", 0)
    except Exception:  # noqa: BLE001  (whatever a stranger's values do when they are looked at, the fact stands)
        cleaned = "[unreadable]"
    members = cleaned if isinstance(cleaned, dict) else {"value": cleaned}
    text = _json(members)
    return text if len(text) <= METADATA_BYTES else _fitting(members)


def plain(value: object, length: int, pseudonym: Pseudonym | None = None) -> str | None:
    r"""One line of text without secrets and with nothing but printable characters; None for what is no text.

    Everything else (line ends, escapes of terminals, marks that turn the direction of text) is written as `\uXXXX`.
    """
    if not isinstance(value, str):
        return None
    return _cut(escaped(_safe(_start(str.__str__(value), 4 * length), pseudonym)), length)


def escaped(text: str) -> str:
    r"""The text with all that is not printable written as `\uXXXX`."""
    return text if text.isprintable() else "".join(map(_escape, text))


def identifier(value: object) -> str | None:
    """An id as text: of whatever type a plugin's are."""
    if value is None:
        return None
    if isinstance(value, uuid.UUID) or (isinstance(value, int) and value.bit_length() <= DIGITS):
        return str(value)[:64]
    return plain(value, 64) or f"[{type(value).__name__}]"[:64]


class _Cleaner:
    """Turns a value into one of JSON, within bounds."""

    def __init__(self, pseudonym: Pseudonym) -> None:
        self._pseudonym = pseudonym
        self._left = BREADTH

    def value(self, value: object, key: str, depth: int) -> Any:  # noqa: PLR0911  (one line a kind of value)
        self._left -= 1
        if value is None or isinstance(value, bool):
            return value
        if is_secret(key):
            return REDACTED
        if isinstance(value, Enum):
            return self.value(value.value, key, depth + 1) if depth < DEPTH else CUT
        if isinstance(value, str):
            return self._text(str.__str__(value), key)
        if isinstance(value, int | float):
            return _number(value, key)
        if isinstance(value, uuid.UUID | date | timedelta):
            return str(value)
        if isinstance(value, Mapping | list | tuple | set | frozenset):
            return self._members(value, key, depth) if depth < DEPTH and self._left > 0 else CUT
        return f"[{_kind(value)}]"

    def _members(self, value: Any, key: str, depth: int) -> Any:
        try:
            if isinstance(value, Mapping):
                members = self._some(value.items())
                return {self._key(name): self.value(one, _name(name), depth + 1) for name, one in members}
            return [self.value(one, key, depth + 1) for one in self._some(value)]
        except Exception:  # noqa: BLE001  (what a stranger's mapping raises must not undo the fact)
            return f"[unreadable {_kind(value)}]"

    def _some(self, members: Iterable[Any]) -> Iterable[Any]:
        for member in members:
            if self._left <= 0:
                return
            yield member

    def _key(self, name: object) -> str:
        return _cut(_safe(_start(_name(name), 512), self._pseudonym), 128)

    def _text(self, text: str, key: str) -> str:
        safe = _safe(_start(text, 4 * TEXT_LENGTH), self._pseudonym)
        if _is_code(key):
            safe = _CODE.sub(REDACTED, safe)
        return _cut(safe, TEXT_LENGTH)


def is_secret(key: str) -> bool:
    """Whether what stands under a key is a secret by the key's name alone."""
    lowered = key.lower()
    if lowered.endswith(_HARMLESS_ENDS):
        return False
    joined = re.sub(r"[^a-z0-9]", "", lowered)
    return joined == "key" or any(name in joined for name in _SECRET_NAMES) or bool(_words(key) & _SECRET_WORDS)


def _is_code(key: str) -> bool:
    return bool(_words(key) & _CODE_WORDS)


def _words(key: str) -> set[str]:
    return {word.lower() for word in _WORDS.findall(key)}


def _number(value: float, key: str) -> int | float | str:
    if isinstance(value, int):
        if value.bit_length() > DIGITS:
            return "[int]"
        return REDACTED if _is_code(key) and _CODE.fullmatch(f"{abs(int(value))}") else int(value)
    # NaN and the infinities are no JSON (RFC 8259, section 6).
    return float(value) if value - value == 0 else f"[{float(value)}]"


def _safe(text: str, pseudonym: Pseudonym | None) -> str:
    text = _FORMS.sub(REDACTED, text)
    return text if pseudonym is None or "@" not in text else _EMAIL.sub(lambda found: pseudonym(found[0]), text)


def _start(text: str, length: int) -> str:
    """The first characters, and no half of a word: half a token has no form by which it would be seen."""
    return text if len(text) <= length else _LAST_WORD.sub("", text[:length])


def _fitting(members: Mapping[str, Any]) -> str:
    kept: dict[str, Any] = {}
    room = METADATA_BYTES - len(_json({"[cut]": True}))
    for name, value in members.items():
        size = len(_json({name: value}))
        if size <= room:
            kept[name] = value
            room -= size
    return _json({**kept, "[cut]": True})


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=True, separators=(",", ":"))


def _cut(text: str, length: int) -> str:
    return text if len(text) <= length else text[: length - len(CUT)] + CUT


def _escape(char: str) -> str:
    return char if char.isprintable() else f"\\u{ord(char):04x}"


def _name(name: object) -> str:
    return str.__str__(name) if isinstance(name, str) else f"[{_kind(name)}]"


def _kind(value: object) -> str:
    return type(value).__name__
