"""What a logout token must say (OpenID Connect Back-Channel Logout 1.0, section 2.6)."""

from __future__ import annotations

from datetime import datetime

from sigra_oauth.errors import OAuthFailed
from sigra_oauth.id_tokens import check_audience, check_issuer, check_times, is_name, read_subject
from sigra_oauth.provider import LoggedOut
from sigra_oauth.signed import Signed

TYPES = frozenset({"logout+jwt", "jwt"})
"""`logout+jwt` is recommended, and older providers send what every token has (section 2.4)."""

EVENT = "http://schemas.openid.net/event/backchannel-logout"


def check_logout_token(token: Signed, *, issuer: str, client_id: str, now: datetime) -> LoggedOut:
    """Who is signed out.

    Raises:
        OAuthFailed: It breaks a rule; the reason names the claim.
    """
    claims = token.claims
    check_issuer(claims, issuer)
    check_audience(claims, client_id)
    ends = check_times(claims, now)
    events = claims.get("events")
    if not isinstance(events, dict) or not isinstance(events.get(EVENT), dict):
        raise OAuthFailed("the token is of no sign-out (events)")
    if "nonce" in claims:
        raise OAuthFailed("the token has a nonce, and an ID token is no logout token")
    subject, session, id = read_subject(claims), read_session(claims.get("sid")), read_session(claims.get("jti"))
    if subject is None and session is None:
        raise OAuthFailed("the token names nobody (sub, sid)")
    if id is None:
        raise OAuthFailed("the token has no jti")
    return LoggedOut(issuer, id, ends, subject, session)


def read_session(value: object) -> str | None:
    """A name that a provider gives; None when it gives none.

    Raises:
        OAuthFailed: It is no text that can be kept.
    """
    if value is not None and not is_name(value):
        raise OAuthFailed("the token's sid or jti is no text that can be kept")
    return value
