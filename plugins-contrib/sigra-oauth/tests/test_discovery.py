"""What an OpenID provider says of itself."""

from __future__ import annotations

from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route

from sigra.testing import FrozenClock
from sigra_oauth.discovery import Discovery, Metadata, read_metadata
from sigra_oauth.errors import OAuthFailed, OAuthUnavailable
from sigra_oauth.outbound import Outbound
from tests.oauth.serving import Place

ISSUER = "https://login.example.com"

TOLD = {
    "issuer": ISSUER,
    "authorization_endpoint": f"{ISSUER}/authorize",
    "token_endpoint": f"{ISSUER}/token",
    "jwks_uri": f"{ISSUER}/keys",
    "userinfo_endpoint": f"{ISSUER}/userinfo",
    "revocation_endpoint": f"{ISSUER}/revoke",
    "end_session_endpoint": f"{ISSUER}/logout",
    "response_types_supported": ["code", "id_token"],
    "id_token_signing_alg_values_supported": ["RS256"],
    "token_endpoint_auth_methods_supported": ["client_secret_post"],
    "authorization_response_iss_parameter_supported": True,
}


def read(**changes: Any) -> Metadata:
    told = {name: value for name, value in {**TOLD, **changes}.items() if value is not None}
    return read_metadata(told, ISSUER, development=False)


def test_metadata_say_where_it_is_and_what_it_can() -> None:
    assert read() == Metadata(
        issuer=ISSUER,
        authorization_endpoint=f"{ISSUER}/authorize",
        token_endpoint=f"{ISSUER}/token",
        jwks_uri=f"{ISSUER}/keys",
        userinfo_endpoint=f"{ISSUER}/userinfo",
        revocation_endpoint=f"{ISSUER}/revoke",
        end_session_endpoint=f"{ISSUER}/logout",
        algorithms=frozenset({"RS256"}),
        authentication=frozenset({"client_secret_post"}),
        names_itself=True,
    )


def test_what_is_not_said_is_not_there() -> None:
    bare = read(**dict.fromkeys(TOLD, None) | {"issuer": ISSUER})

    assert bare == Metadata(issuer=ISSUER)
    with pytest.raises(OAuthFailed) as refused:
        bare.at("token_endpoint")
    assert refused.value.reason == f"{ISSUER} has no token_endpoint"


@pytest.mark.parametrize(
    "issuer",
    [
        None,
        "",
        f"{ISSUER}/",
        "https://login.example.org",
        "HTTPS://login.example.com",
        [ISSUER],
        "http://login.example.com",
    ],
    ids=range(7),
)
def test_hc30_metadata_of_another_issuer_are_refused(issuer: object) -> None:
    with pytest.raises(OAuthFailed) as refused:
        read(issuer=issuer)

    assert refused.value.reason.startswith(f"the metadata of {ISSUER} are of another issuer, ")


def test_what_an_issuer_is_called_cannot_write_lines_into_the_log() -> None:
    with pytest.raises(OAuthFailed) as refused:
        read(issuer="a\nb" + "x" * 1000)

    assert "\n" not in refused.value.reason
    assert len(refused.value.reason) < 300


@pytest.mark.parametrize("told", [None, [], "text", 7, [TOLD]], ids=range(5))
def test_metadata_are_an_object(told: object) -> None:
    with pytest.raises(OAuthFailed):
        read_metadata(told, ISSUER, development=False)


@pytest.mark.parametrize("endpoint", [name for name in TOLD if name.endswith(("endpoint", "uri"))])
@pytest.mark.parametrize(
    "url", ["http://login.example.com/", "javascript:alert(1)", 7, "", "https://a@b/"], ids=range(5)
)
def test_hc30_an_endpoint_that_is_not_https_is_refused(endpoint: str, url: object) -> None:
    with pytest.raises(OAuthFailed):
        read(**{endpoint: url})


def test_a_provider_without_the_code_flow_is_refused() -> None:
    with pytest.raises(OAuthFailed) as refused:
        read(response_types_supported=["id_token", "code token"])

    assert refused.value.reason == f"{ISSUER} has no code flow"


@pytest.mark.parametrize("name", ["response_types_supported", "id_token_signing_alg_values_supported"])
@pytest.mark.parametrize("value", ["code", {"code": 1}, [1], [None], 7], ids=range(5))
def test_lists_of_texts_are_lists_of_texts(name: str, value: object) -> None:
    with pytest.raises(OAuthFailed):
        read(**{name: value})


@pytest.mark.parametrize("value", [False, "true", 1, None])
def test_only_true_says_that_answers_name_their_issuer(value: object) -> None:
    assert not read(authorization_response_iss_parameter_supported=value).names_itself


class Provider:
    """Says what it is told to say, wherever it is asked."""

    def __init__(self, place: Place) -> None:
        self.issuer = f"{place.origin}/realms/main"
        self.told: Any = {"issuer": self.issuer, "token_endpoint": f"{self.issuer}/token"}
        self.status, self.asked = 200, []
        place.app = Starlette(routes=[Route("/{path:path}", self.answer)])

    async def answer(self, request):
        self.asked.append(request.url.path)
        return JSONResponse(self.told, self.status)


@pytest.fixture
def says(place: Place) -> Provider:
    return Provider(place)


async def test_it_is_asked_below_its_issuer_once_an_hour(says: Provider, clock: FrozenClock) -> None:
    discovery = Discovery(Outbound(development=True), clock, issuer=says.issuer, development=True)

    metadata = [await discovery.metadata() for _ in range(3)]

    assert metadata == [Metadata(says.issuer, token_endpoint=f"{says.issuer}/token")] * 3
    assert says.asked == ["/realms/main/.well-known/openid-configuration"]


async def test_a_slash_at_the_end_belongs_to_the_issuer_and_not_to_the_path(says: Provider, clock: FrozenClock) -> None:
    says.told["issuer"] = f"{says.issuer}/"
    discovery = Discovery(Outbound(development=True), clock, issuer=f"{says.issuer}/", development=True)

    assert (await discovery.metadata()).issuer == f"{says.issuer}/"
    assert says.asked == ["/realms/main/.well-known/openid-configuration"]


async def test_what_is_known_better_is_not_asked(says: Provider, clock: FrozenClock) -> None:
    better = {"token_endpoint": "https://tokens.example.com/"}
    discovery = Discovery(Outbound(development=True), clock, issuer=says.issuer, overrides=better, development=True)

    assert (await discovery.metadata()).token_endpoint == "https://tokens.example.com/"


async def test_who_is_down_is_asked_again_ten_seconds_later(says: Provider, clock: FrozenClock) -> None:
    discovery = Discovery(Outbound(development=True), clock, issuer=says.issuer, development=True)
    says.status = 503
    for _ in range(3):
        with pytest.raises(OAuthUnavailable):
            await discovery.metadata()
    while_down = len(says.asked)
    says.status = 200
    clock.now = clock.now.replace(second=10)

    assert await discovery.metadata()
    assert (while_down, len(says.asked)) == (1, 2)
