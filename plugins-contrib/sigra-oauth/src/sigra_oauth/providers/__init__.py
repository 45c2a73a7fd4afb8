"""Providers by kind; whoever needs code of their own takes one of these and changes a method."""

from sigra_oauth.providers.oauth2 import OAuth2
from sigra_oauth.providers.openid import OpenID

__all__ = ["OAuth2", "OpenID"]
