"""Whether the secret keys could be guessed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from zxcvbn import zxcvbn  # type: ignore[import-untyped]

from sigra.cli.doctor.finding import Finding

SUBJECT = "SIGRA_SECRET_KEYS"

ENOUGH_GUESSES = 24
"""Powers of ten, about 80 bits. zxcvbn counts ten guesses a character that it makes nothing of, whatever the alphabet
(Wheeler, "zxcvbn: Low-Budget Password Strength Estimation", 2016, section 4.4): 32 random digits stay well above."""

READ = 72
"""Characters that zxcvbn looks at, at most: its time grows faster than the text."""


def findings(keys: Sequence[str]) -> Iterator[Finding]:
    """What is wrong with the ring; a key is named by its place."""
    for place, key in enumerate(keys, start=1):
        if key in keys[: place - 1]:
            yield Finding(SUBJECT, f"Key {place} is there twice, which adds nothing.", "Remove one of the two.")
        elif is_weak(key):
            yield Finding(
                SUBJECT,
                f"Key {place} is made of words or patterns: whoever guesses it can sign in as anybody.",
                f"Put a new one of `sigra keys generate` first, and remove key {place} when nobody needs it any more.",
            )


def is_weak(key: str) -> bool:
    """Whether a key was written by a person rather than drawn: generated ones hold no blanks."""
    if any(char.isspace() for char in key):
        return True
    return float(zxcvbn(key[:READ])["guesses_log10"]) < ENOUGH_GUESSES
