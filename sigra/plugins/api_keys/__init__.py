"""API keys: bearer credentials for programs, with explicit scopes, shown once and revocable one by one."""

from sigra.plugins.api_keys.plugin import APIKeyCreated, APIKeyRevoked, APIKeys
from sigra.plugins.api_keys.shapes import PREFIX, NewKey

__all__ = ["PREFIX", "APIKeyCreated", "APIKeyRevoked", "APIKeys", "NewKey"]
