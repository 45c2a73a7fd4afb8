"""Which new passwords are taken: long enough, not known to everybody, not made of what is known of their owner.

No rule asks for kinds of characters or for a change from time to time (NIST SP 800-63B-4, section 3.1.1.2).
"""

from __future__ import annotations

import asyncio
import re
import unicodedata
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from pathlib import Path

from sigra.errors import WeakPassword
from sigra.models import User

MAXIMUM_BYTES = 1_024
"""What the hasher takes, after NFC."""

SHORTEST_COMMON = 8
"""Shorter ones of the list are too short for every policy."""

SHORTEST_WORD = 3
"""Shorter parts of a name or an address are in too much that has nothing to do with them."""


class Policy:
    """The rules that need nobody else.

    Args:
        minimum: Characters (code points after NFC), at least.
        host: The service's own, whose name is a context word.
    """

    def __init__(self, minimum: int, host: str) -> None:
        self._minimum = minimum
        self._host = host
        self._common: frozenset[str] | None = None

    async def check(self, password: str, user: User | None) -> None:
        """Raise for the first rule that the password breaks.

        Raises:
            WeakPassword
        """
        text = fitting(password)
        self._check_length(text)
        folded = text.casefold()
        unit = repeated(folded)
        if unit != folded and len(unit) < self._minimum:
            raise WeakPassword("Do not repeat a short text.", "repeated")
        if self._common is None:
            # Once, in a thread: it takes a tenth of a second.
            self._common = await asyncio.to_thread(common_passwords)
        if {folded, unit} & self._common:
            raise WeakPassword("This password is among the most common ones.", "too_common")
        if len(without(folded, context_words(user, self._host))) < self._minimum:
            raise WeakPassword(
                "Leave out your name, your address and the name of this service, or add to them.", "context_word"
            )

    def _check_length(self, text: str) -> None:
        if len(text) < self._minimum:
            raise WeakPassword(f"Use at least {self._minimum} characters.", "too_short")


def fitting(password: str) -> str:
    """The password as it is hashed, after NFC (RFC 8265, section 4.2).

    Raises:
        WeakPassword: It is longer than the hasher takes, or holds what no password may: a NUL, a lone surrogate.
    """
    # Normalising leaves at least a third as many bytes as there were characters, and takes long for endless accents.
    if len(password) > 3 * MAXIMUM_BYTES:
        raise WeakPassword(f"Use at most {MAXIMUM_BYTES} bytes.", "too_long")
    text = unicodedata.normalize("NFC", password)
    if "\0" in text or re.search("[\ud800-\udfff]", text):
        raise WeakPassword("There is a character that no password may have.", "unfit_character")
    if len(text.encode()) > MAXIMUM_BYTES:
        raise WeakPassword(f"Use at most {MAXIMUM_BYTES} bytes.", "too_long")
    return text


def repeated(text: str) -> str:
    """The shortest text that, repeated, makes `text`; itself when there is none."""
    period = (text + text).find(text, 1)
    return text[:period]


def context_words(user: User | None, host: str) -> frozenset[str]:
    """What somebody who knows the user, or the service, would try first, in one case."""
    email, name = (_folded(user.email), _folded(user.name)) if user is not None else ("", "")
    local, _, domain = email.partition("@")
    words = {email, local, domain, host, name, *_parts(local), *_parts(name), *_labels(domain), *_labels(host)}
    return frozenset(word for word in words if len(word) >= SHORTEST_WORD)


def without(text: str, words: frozenset[str]) -> str:
    """What is left of a text when every word is taken out of it, the longest first."""
    for word in sorted(words, key=lambda word: (-len(word), word)):
        text = text.replace(word, "")
    return text


def common_passwords() -> frozenset[str]:
    """The passwords that are guessed first: the list of zxcvbn (Wheeler, USENIX Security 2016), in lower case."""
    package = find_spec("zxcvbn")
    assert package is not None
    assert package.submodule_search_locations is not None
    # Its data alone, let go afterwards: the package itself would rank lists that nobody asks, and keep 14 MB of them.
    path = Path(next(iter(package.submodule_search_locations))) / "frequency_lists.py"
    spec = spec_from_file_location("frequency_lists", path)
    assert spec is not None
    assert spec.loader is not None
    lists = module_from_spec(spec)
    spec.loader.exec_module(lists)
    return frozenset(word for word in lists.FREQUENCY_LISTS["passwords"] if len(word) >= SHORTEST_COMMON)


def _folded(text: str | None) -> str:
    return unicodedata.normalize("NFC", text or "").casefold()


def _parts(text: str) -> list[str]:
    return re.split(r"[\W_]+", text)


def _labels(domain: str) -> list[str]:
    """The labels of a domain, and their parts, but the last, which half the world shares."""
    name = domain.rpartition(".")[0] or domain
    return [*name.split("."), *_parts(name)]
