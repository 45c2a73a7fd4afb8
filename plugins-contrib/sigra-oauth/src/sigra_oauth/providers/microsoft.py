"""Microsoft Entra: one address for all tenants, each an issuer of its own."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import Any

from sigra_oauth.errors import OAuthFailed
from sigra_oauth.providers.openid import OpenID

CONSUMERS = "9188040d-6c67-4c5b-b112-36a304b66dad"
"""The tenant of all personal accounts ("Access token claims reference", `iss`)."""

HOST = "https://login.microsoftonline.com"


class Microsoft(OpenID):
    """https://learn.microsoft.com/entra/identity-platform/v2-protocols-oidc.

    A subject is `sub`: it never changes and is never given to another ("ID token claims reference"). `oid` is the same
    in all applications of a tenant, and absent without the scope `profile`; what names a person to others (`email`,
    `preferred_username`, `upn`) may be given to somebody else.
    """

    def announced_issuer(self) -> str:
        """The metadata for many tenants name a template; those for personal accounts their tenant."""
        tenant = self.registration.tenant or "common"
        known = {"common": "{tenantid}", "organizations": "{tenantid}", "consumers": CONSUMERS}
        return self.preset.issuer.replace(f"/{tenant}/", f"/{known.get(tenant, tenant)}/")

    def issuer_of(self, claims: Mapping[str, Any]) -> str:
        """The issuer of the tenant that the token says it is of, if people may come from there."""
        tenant = claims.get("tid")
        if not isinstance(tenant, str) or not _is_id(tenant):
            raise OAuthFailed("the token does not say of which tenant it is (tid)")
        if self.registration.tenant == "organizations" and tenant == CONSUMERS:
            raise OAuthFailed("the token is of a personal account, and people come from organizations")
        return self.announced_issuer().replace("{tenantid}", tenant)


def _is_id(text: str) -> bool:
    try:
        return str(uuid.UUID(text)) == text
    except ValueError:
        return False
