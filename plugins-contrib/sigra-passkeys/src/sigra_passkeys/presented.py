"""What a credential says of itself, read strictly, before any of it is proven."""

from __future__ import annotations

import json
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from typing import Any

from webauthn.helpers import base64url_to_bytes


class BadCredential(Exception):
    """Raised for an answer that proves nothing; says why, for those who test it."""


def credential_id(credential: Mapping[str, Any]) -> bytes | None:
    """The id that a credential says it has; None when that is no id."""
    text = credential.get("rawId")
    if not isinstance(text, str):
        return None
    try:
        return decoded(text)
    except BadCredential:
        return None


def user_handle(credential: Mapping[str, Any]) -> bytes | None:
    """The user handle of an assertion; None when it has none, empty when it has one that is nobody's."""
    response = credential.get("response")
    text = response.get("userHandle") if isinstance(response, Mapping) else None
    if text is None:
        return None
    try:
        return decoded(text) if isinstance(text, str) else b""
    except BadCredential:
        return b""


def answered(credential: Mapping[str, Any]) -> str:
    """The challenge that a credential says it answers; empty when it names none."""
    response = credential.get("response")
    try:
        challenge = client_data(response.get("clientDataJSON") if isinstance(response, Mapping) else None)["challenge"]
    except (BadCredential, KeyError):
        return ""
    return challenge if isinstance(challenge, str) else ""


def client_data(text: object) -> dict[str, Any]:
    """The members of client data (Level 3, section 5.8.1).

    Raises:
        BadCredential: It is none.
    """
    if not isinstance(text, str):
        raise BadCredential("client data")
    try:
        data = json.loads(decoded(text).decode())
    except (ValueError, RecursionError):
        raise BadCredential("client data") from None
    if not isinstance(data, dict):
        raise BadCredential("client data")
    return data


def decoded(text: str) -> bytes:
    """Base64url without padding, written in the one way that there is (RFC 4648, section 5).

    Raises:
        BadCredential: It is not.
    """
    try:
        data = base64url_to_bytes(text)
    except ValueError:
        raise BadCredential("base64url") from None
    if urlsafe_b64encode(data).rstrip(b"=").decode() != text:
        raise BadCredential("base64url")
    return data
