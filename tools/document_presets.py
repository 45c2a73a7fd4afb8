"""Writes the table of docs/plugins/oauth.md from the presets: who somebody is there, and when an address counts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType

from sigra_oauth.presets import Preset, presets
from tools.marked import DOCS, filled

PAGE = DOCS / "plugins" / "oauth.md"

KINDS: Mapping[str, str] = MappingProxyType({"openid": "OpenID Connect", "oauth2": "OAuth 2.0"})


def rendered(page: str) -> str:
    """The page with today's presets."""
    return filled(page, "presets", "\n".join(lines()))


def lines() -> Iterator[str]:
    """The table, in the order of names."""
    heads = ("`preset`", "provider", "speaks", "who it is", "an address is verified by", "PKCE", "proof again")
    yield f"| {' | '.join((*heads, 'needs besides'))} |"
    yield f"|{'---|' * (len(heads) + 1)}"
    for name, preset in sorted(presets().items()):
        told = (KINDS[preset.kind], subject(preset), verified(preset))
        can = ("yes" if preset.pkce else "no", "`auth_time`" if preset.auth_time else "its word")
        yield f"| {' | '.join((f'`{name}`', preset.label, *told, *can, needs(preset)))} |"


def subject(preset: Preset) -> str:
    """The claim that never changes."""
    return "`sub`" if preset.kind == "openid" else f"`{preset.subject}`"


def verified(preset: Preset) -> str:
    """What must be `true`."""
    if preset.emails is not None:
        return f"`{preset.emails.verified}` of the primary address"
    if not preset.email:
        return "it tells none"
    return " and ".join(f"`{path}`" for path in preset.verified) or "nothing"


def needs(preset: Preset) -> str:
    """Options without which it does not start, and what else must be so."""
    if preset.authentication == "apple":
        return "`team_id`, `key_id`, `private_key`, in place of the secret"
    if "{domain}" in preset.issuer:
        return "`domain`"
    return "`tenant`, unless anybody may come (`common`)" if "{tenant}" in preset.issuer else ""
