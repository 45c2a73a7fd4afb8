"""From options to the relying party, or an error at start: passkeys that no browser would use help nobody."""

from __future__ import annotations

from urllib.parse import SplitResult, urlsplit

from sigra import ConfigurationError
from sigra_passkeys.relying_party import RelyingParty
from sigra_passkeys.shapes import Options


def relying_party(options: Options, base_url: str) -> RelyingParty:
    """Who asks for passkeys.

    Raises:
        ConfigurationError: Browsers would refuse it (Level 3, sections 5.1.3 and 5.11); names the option and the cure.
    """
    host = urlsplit(base_url).hostname or ""
    id = options.rp_id or host
    if host != id and not host.endswith(f".{id}"):
        raise ConfigurationError(
            f"SIGRA_PASSKEYS__RP_ID: {id!r} is neither the host of SIGRA_BASE_URL ({host}) nor a domain above it: "
            "leave it empty, or name such a domain."
        )
    if options.rp_id and "." not in id and id != "localhost":
        raise ConfigurationError(
            f"SIGRA_PASSKEYS__RP_ID: browsers take {id!r} for a whole suffix of domains: name your own domain."
        )
    origins = tuple(_origin(text) for text in options.origins) or (_origin(base_url),)
    return RelyingParty(id, options.rp_name or id, origins)


def _origin(text: str) -> str:
    """An origin as browsers write it (RFC 6454, section 6.2)."""
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        raise _no_origin(text) from None
    if not _is_usable(parts):
        raise _no_origin(text)
    host = parts.hostname or ""
    shown = f"[{host}]" if ":" in host else host
    default = {"https": 443, "http": 80}[parts.scheme]
    return f"{parts.scheme}://{shown}" if port in (None, default) else f"{parts.scheme}://{shown}:{port}"


def _is_usable(parts: SplitResult) -> bool:
    host = parts.hostname or ""
    # No browser takes an address for a domain, but pages are served there all the same.
    local = host in ("localhost", "127.0.0.1", "::1") or host.endswith(".localhost")
    secure = parts.scheme == "https" or (parts.scheme == "http" and local)
    alone = not (parts.path.strip("/") or parts.query or parts.fragment or parts.username)
    return secure and alone and bool(host) and host.isascii()


def _no_origin(text: str) -> ConfigurationError:
    return ConfigurationError(
        f"SIGRA_PASSKEYS__ORIGINS: {text!r} is no origin on which a browser would use passkeys: "
        "write it as in https://app.example.com, the host in its ASCII form."
    )
