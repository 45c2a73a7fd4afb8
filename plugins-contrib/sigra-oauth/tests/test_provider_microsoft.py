"""Microsoft: one address for all tenants, and who may come from which."""

from __future__ import annotations

from typing import Any

import pytest

from sigra.testing import FrozenClock
from sigra_oauth.building import make_provider
from sigra_oauth.errors import OAuthFailed
from sigra_oauth.options import ProviderOptions
from sigra_oauth.outbound import Outbound
from sigra_oauth.providers.microsoft import CONSUMERS, Microsoft

TENANT = "72f988bf-86f1-41af-91ab-2d7cd011db47"
OTHER = "11111111-2222-3333-4444-555555555555"


def made(tenant: str | None) -> Microsoft:
    options = ProviderOptions(preset="microsoft", client_id="client", client_secret="secret", tenant=tenant)
    one = make_provider("microsoft", options, Outbound(), FrozenClock())
    assert isinstance(one, Microsoft)
    return one


def issuer(tenant: str) -> str:
    return f"https://login.microsoftonline.com/{tenant}/v2.0"


@pytest.mark.parametrize(
    ("tenant", "announced"),
    [
        (None, "{tenantid}"),
        ("common", "{tenantid}"),
        ("organizations", "{tenantid}"),
        ("consumers", CONSUMERS),
        (TENANT, TENANT),
        (TENANT.upper(), TENANT),
    ],
)
def test_its_metadata_name_a_template_or_a_tenant(tenant: str | None, announced: str) -> None:
    assert made(tenant).announced_issuer() == issuer(announced)


def test_a_token_is_of_the_issuer_of_its_tenant() -> None:
    assert made("common").issuer_of({"tid": TENANT}) == issuer(TENANT)
    assert made("common").issuer_of({"tid": CONSUMERS}) == issuer(CONSUMERS)
    assert made("organizations").issuer_of({"tid": TENANT}) == issuer(TENANT)


def test_hc29_a_token_of_another_tenant_has_another_issuer() -> None:
    """Where people come from one tenant alone, what the token says of its tenant changes nothing."""
    assert made(TENANT).issuer_of({"tid": OTHER}) == issuer(TENANT)
    assert made("consumers").issuer_of({"tid": OTHER}) == issuer(CONSUMERS)


def test_hc29_a_personal_account_is_none_of_an_organization() -> None:
    with pytest.raises(OAuthFailed) as refused:
        made("organizations").issuer_of({"tid": CONSUMERS})

    assert refused.value.reason == "the token is of a personal account, and people come from organizations"


@pytest.mark.parametrize(
    "tid",
    [None, "", 7, [TENANT], "common", TENANT.upper(), f"{{{TENANT}}}", f"{TENANT}/../x", "{tenantid}"],
    ids=range(9),
)
def test_hc29_a_tenant_is_an_id_as_it_is_written(tid: Any) -> None:
    with pytest.raises(OAuthFailed) as refused:
        made("common").issuer_of({"tid": tid})

    assert refused.value.reason == "the token does not say of which tenant it is (tid)"
