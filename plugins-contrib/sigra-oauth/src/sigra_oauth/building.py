"""From the options to the providers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime

from sigra import ConfigurationError
from sigra_oauth.addresses import Allowed
from sigra_oauth.configuring import register
from sigra_oauth.options import Options, ProviderOptions
from sigra_oauth.outbound import Outbound
from sigra_oauth.provider import Provider
from sigra_oauth.providers import OAuth2, OpenID
from sigra_oauth.providers.apple import Apple
from sigra_oauth.providers.microsoft import Microsoft

BY_PRESET: Mapping[str, type[OAuth2]] = {"apple": Apple, "microsoft": Microsoft}
"""Where data is not enough."""


def make_providers(
    options: Options, *, development: bool, clock: Callable[[], datetime], outbound: Outbound | None = None
) -> dict[str, Provider]:
    """Every configured provider, by name; none is asked anything yet.

    Args:
        clock: UTC.
        outbound: Another way out, for tests: one that finds a provider's host at another address.

    Raises:
        ConfigurationError: An option does not fit; names it and the cure.
    """
    way = outbound or make_outbound(options, development=development)
    made = {
        name: make_provider(name, one, way, clock, development=development) for name, one in options.providers.items()
    }
    _check_issuers(made)
    return {**made}


def _check_issuers(providers: Mapping[str, OAuth2]) -> None:
    """Of one issuer, accounts of one subject are one account: so it must be one place that says whose they are."""
    places: dict[str, tuple[str, object]] = {}
    for name, one in providers.items():
        preset = one.preset
        place = preset.kind, preset.subject, preset.userinfo_endpoint, preset.jwks_uri
        other, its = places.setdefault(preset.issuer, (name, place))
        if its != place:
            raise ConfigurationError(
                f"SIGRA_OAUTH__PROVIDERS: {name}: issuer: it is {preset.issuer}, as that of {other}, which asks "
                "elsewhere whose an account is: one could be taken for the other's. "
                "Set an issuer of its own, or remove one of them."
            )


def make_outbound(options: Options, *, development: bool) -> Outbound:
    """The way out, for all providers."""
    return Outbound(development=development, allowed=Allowed(options.allow_private))


def make_provider(
    name: str,
    options: ProviderOptions,
    outbound: Outbound,
    clock: Callable[[], datetime],
    *,
    development: bool = False,
    kind: type[OAuth2] | None = None,
) -> OAuth2:
    """One provider.

    Args:
        kind: The class, where it has one of its own.

    Raises:
        ConfigurationError: An option does not fit; names it and the cure.
    """
    registration = register(name, options, development=development)
    usual = OpenID if registration.preset.kind == "openid" else OAuth2
    return (kind or BY_PRESET.get(options.preset or "", usual))(registration, outbound, clock)
