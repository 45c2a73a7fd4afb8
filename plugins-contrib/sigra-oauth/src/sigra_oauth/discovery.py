"""What an OpenID provider says of itself (OpenID Connect Discovery 1.0), fetched when first needed, and checked."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from sigra_oauth.errors import OAuthFailed
from sigra_oauth.kept import Kept
from sigra_oauth.outbound import Outbound, checked

PATH = "/.well-known/openid-configuration"
LIFETIME = timedelta(hours=1)

ENDPOINTS = (
    "authorization_endpoint",
    "token_endpoint",
    "jwks_uri",
    "userinfo_endpoint",
    "revocation_endpoint",
    "end_session_endpoint",
)


@dataclass(frozen=True, slots=True)
class Metadata:
    """Where a provider is and what it can; an endpoint is None where it has none.

    Args:
        algorithms: Of ID tokens, as announced; empty when it is not said.
        authentication: How clients prove themselves at the token endpoint, as announced; empty when it is not said.
        names_itself: Whether every answer has `iss` (RFC 9207, section 3).
    """

    issuer: str
    authorization_endpoint: str | None = None
    token_endpoint: str | None = None
    jwks_uri: str | None = None
    userinfo_endpoint: str | None = None
    revocation_endpoint: str | None = None
    end_session_endpoint: str | None = None
    algorithms: frozenset[str] = frozenset()
    authentication: frozenset[str] = frozenset()
    names_itself: bool = False

    def at(self, endpoint: str) -> str:
        """An endpoint that must be there.

        Raises:
            OAuthFailed: It is not.
        """
        url: str | None = getattr(self, endpoint)
        if url is None:
            raise OAuthFailed(f"{self.issuer} has no {endpoint}")
        return url


class Discovery:
    """The metadata of one issuer.

    Args:
        issuer: As configured.
        announced: The issuer that the document must name: the same, but for Microsoft's.
        overrides: Endpoints that are known better, by name.
        development: Whether http with loopback hosts is right.
    """

    def __init__(
        self,
        outbound: Outbound,
        clock: Callable[[], datetime],
        *,
        issuer: str,
        announced: str | None = None,
        overrides: Mapping[str, Any] | None = None,
        development: bool = False,
    ) -> None:
        self._outbound, self._issuer, self._announced = outbound, issuer, announced or issuer
        self._overrides, self._development = dict(overrides or {}), development
        self._kept = Kept(self._fetch, clock, LIFETIME)

    async def metadata(self) -> Metadata:
        """What it says.

        Raises:
            OAuthFailed: It cannot be trusted.
            OAuthUnavailable: It cannot be asked now.
        """
        return await self._kept.get()

    @property
    def last(self) -> Metadata | None:
        """What it said last; asks nobody."""
        return self._kept.last

    async def _fetch(self) -> Metadata:
        told = await self._outbound.get_json(self._issuer.rstrip("/") + PATH)
        return replace(read_metadata(told, self._announced, development=self._development), **self._overrides)


def read_metadata(told: object, issuer: str, *, development: bool) -> Metadata:
    """The checked document (Discovery 1.0, sections 3 and 4.3).

    Raises:
        OAuthFailed: It is of another issuer, names an endpoint that must not be asked, or has no code flow.
    """
    if not isinstance(told, dict):
        raise OAuthFailed("the provider's metadata are no object")
    if told.get("issuer") != issuer:
        raise OAuthFailed(f"the metadata of {issuer} are of another issuer, {ascii(told.get('issuer'))[:200]}")
    if "code" not in _texts(told, "response_types_supported", default=("code",)):
        raise OAuthFailed(f"{issuer} has no code flow")
    found = {name: checked(told[name], development=development) for name in ENDPOINTS if told.get(name) is not None}
    return Metadata(
        issuer=issuer,
        **found,
        algorithms=_texts(told, "id_token_signing_alg_values_supported"),
        authentication=_texts(told, "token_endpoint_auth_methods_supported"),
        names_itself=told.get("authorization_response_iss_parameter_supported") is True,
    )


def _texts(told: Mapping[str, Any], name: str, default: tuple[str, ...] = ()) -> frozenset[str]:
    values = told.get(name, list(default))
    if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
        raise OAuthFailed(f"{name} in the provider's metadata is no list of texts")
    return frozenset(values)
