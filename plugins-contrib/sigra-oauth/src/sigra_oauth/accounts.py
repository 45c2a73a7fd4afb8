"""What a provider's documents say about an account, by the paths that its preset names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sigra_oauth.errors import OAuthFailed
from sigra_oauth.id_tokens import is_name
from sigra_oauth.presets import Emails, Preset
from sigra_oauth.provider import Claims

EMAIL_LENGTH = 254
"""Characters (RFC 5321, section 4.5.3.1.3, with its erratum 1690)."""

NAME_LENGTH = 200

Address = tuple[str | None, bool]
"""An address, and whether the provider says that it is its user's."""


def walk(document: object, path: str) -> Any:
    """What a dotted path leads to; None when it leads nowhere.

    The whole path may be one name, since some are URLs.
    """
    if isinstance(document, Mapping) and path in document:
        return document[path]
    for member in path.split(".") if path else ():
        if not isinstance(document, Mapping):
            return None
        document = document.get(member)
    return document


def read_claims(preset: Preset, account: Mapping[str, Any]) -> Claims:
    """Who it is.

    Raises:
        OAuthFailed: It has no subject.
    """
    email, verified = read_address(account, preset.email, preset.verified)
    parts = [text for text in (walk(account, path) for path in preset.name) if isinstance(text, str)]
    return Claims(
        issuer=preset.issuer,
        subject=read_subject(walk(account, preset.subject)),
        email=email,
        email_verified=verified,
        name=cleaned(" ".join(parts), NAME_LENGTH),
    )


def read_subject(value: object) -> str:
    """A subject, which some providers tell as a number."""
    text = str(value) if isinstance(value, int) and not isinstance(value, bool) else value
    if not is_name(text):
        raise OAuthFailed("the provider does not say who it is, or not in a way that can be kept")
    return text


def read_address(document: Mapping[str, Any], email: str, verified: Sequence[str]) -> Address:
    """The address, verified only by a JSON `true` at every path, of the same document.

    The text "true", 1 and everything else are no `true` (OpenID Connect Core 1.0, section 5.1: a boolean).
    """
    told = walk(document, email) if email else None
    address = told.strip() if isinstance(told, str) else ""
    if not 1 <= len(address) <= EMAIL_LENGTH or not address.isprintable():
        return None, False
    return address, bool(verified) and all(walk(document, path) is True for path in verified)


def read_primary(emails: Emails, document: object) -> Address:
    """The primary address of a list of them."""
    items = walk(document, emails.items)
    for item in items if isinstance(items, list) else ():
        if isinstance(item, Mapping) and walk(item, emails.primary) is True:
            return read_address(item, emails.address, (emails.verified,))
    return None, False


def cleaned(text: str, length: int) -> str | None:
    """A text of a provider that can be kept and shown; None when nothing is left of it."""
    kept = "".join(character for character in text if character.isprintable()).strip()
    return kept[:length].strip() or None
