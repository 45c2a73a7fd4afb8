"""One canonical form of an e-mail address, for look-up, uniqueness and limits alike; mail goes to the typed one."""

from __future__ import annotations

import unicodedata

from email_validator import validate_email

MAXIMUM_LENGTH = 254
"""Octets of an address: a path of 256 less its angle brackets (RFC 5321, section 4.5.3.1.3)."""

_TYPED_LENGTH = 4 * MAXIMUM_LENGTH
"""Longer text is not looked at: normalising can shrink an address, but no more than that."""


def canonical_email(text: str) -> str:
    """The one form of all spellings of an address that differ only by case or look.

    Compatibility forms are folded first (NFKC, UAX #15), so that what is checked is what is stored; the local part then
    loses its case (by way of upper case, so that a dotless i is an i), and the domain becomes its
    A-labels (IDNA 2008, RFC 5891, by way of UTS #46). Quoted local parts, comments, display names, lists and address
    literals have no canonical form. Idempotent.

    Raises:
        ValueError: The text is not an address.
    """
    local, _, domain = _validated(unicodedata.normalize("NFKC", _bounded(text)))
    return "@".join(_validated(f"{_folded(local)}@{domain}")[::2])


def typed_email(text: str) -> str:
    """The address as typed, without spaces around it, once it is one that mail can be sent to as it stands.

    Raises:
        ValueError: The text is not an address, or only becomes one by folding compatibility forms.
    """
    typed = _bounded(text)
    _validated(typed)
    canonical_email(typed)
    return typed


def mailbox_of(address: str) -> tuple[str, str]:
    """Where mail to a typed address goes: the local part as it is, the domain in ASCII (A-labels, RFC 5890, 2.3.2.1).

    Raises:
        ValueError: It is not one address that mail can be sent to as it stands.
    """
    typed = typed_email(address)
    return typed.rpartition("@")[0], _validated(typed)[2]


def _bounded(text: str) -> str:
    if len(text) > _TYPED_LENGTH:
        raise ValueError("the address is too long")
    return text.strip(" ")


def _validated(address: str) -> tuple[str, str, str]:
    """The local part, the sign and the domain in ASCII, of an address that is well formed."""
    # Whether mail arrives is found out by sending it; `.test` is for trying things out (RFC 2606, section 2).
    found = validate_email(address, check_deliverability=False, test_environment=True, strict=True)
    domain = found.ascii_domain.lower()
    if "." not in domain:
        raise ValueError("the domain has no dot")
    if len(found.local_part.encode()) + len(domain) + 1 > MAXIMUM_LENGTH:
        raise ValueError("the address is too long")
    if "=?" in found.local_part:
        # Programs on the way that decode it see another address; it is allowed in none (RFC 2047, section 5).
        raise ValueError("the address has an encoded word")
    return found.local_part, "@", domain


def _folded(local: str) -> str:
    """The local part without case, folded until nothing changes."""
    # Decomposed first, so that an iota below a letter stands where upper case looks for it (Unicode 3.13, D145).
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFD", local).upper().casefold())
    return folded if folded == local else _folded(folded)
